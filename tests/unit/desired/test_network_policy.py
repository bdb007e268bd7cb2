"""The table of who may connect (from, to, port), evaluated over the policies that are made."""

from __future__ import annotations

from typing import Any

import pytest

from postbase_operator.api.database import Database
from postbase_operator.desired import workload
from postbase_operator.kube.apply import body_of
from postbase_operator.settings import Settings
from unit.conftest import database
from unit.desired.reach import Pod, allowed

SETTINGS = Settings(sidecar_image="registry/postbase:1")
SYSTEM = "postbase-system"
OURS = {"app.kubernetes.io/name": "postbase"}
OPERATOR = Pod(SYSTEM, OURS | {"app.kubernetes.io/component": "operator"})
GATEWAY = Pod(SYSTEM, OURS | {"app.kubernetes.io/component": "gateway"})
STORE = Pod(SYSTEM, OURS | {"app.kubernetes.io/component": "object-store"})
IMPOSTOR = Pod("apps", OURS | {"app.kubernetes.io/component": "operator"})
SHOP = database()
HOME = SHOP.metadata.namespace
NEIGHBOUR = Pod(HOME, {"app": "web"})
OWN_JOB = Pod(HOME, {"postbase.sh/database": SHOP.metadata.name})
STRANGER = Pod("apps", {"app": "web"}, {"team": "web"})
REPORTS = Pod("apps", {"app": "reports"}, {"team": "web"})
OFFICE = Pod("", address="203.0.113.7", outside=True)
HOME_OFFICE = Pod("", address="198.51.100.7", outside=True)

TEAM = {"namespaceSelector": {"matchLabels": {"team": "web"}}}
TEAMS_REPORTS = {**TEAM, "podSelector": {"matchLabels": {"app": "reports"}}}
NOT_WEB = {
    "podSelector": {
        "matchExpressions": [{"key": "app", "operator": "NotIn", "values": ["web", "old"]}]
    }
}
EVERY_NAMESPACE: dict[str, Any] = {"namespaceSelector": {}}


def policies(db: Database) -> list[dict[str, Any]]:
    bodies = [body_of(each) for each in workload.objects(db, "claim", "73", "image", SETTINGS)]
    return [body for body in bodies if body["kind"] == "NetworkPolicy"]


def pod_of(db: Database) -> Pod:
    bodies = [body_of(each) for each in workload.objects(db, "claim", "73", "image", SETTINGS)]
    (template,) = [b["spec"]["template"] for b in bodies if b["kind"] == "StatefulSet"]
    return Pod(db.metadata.namespace, template["metadata"]["labels"])


@pytest.mark.parametrize(
    ("allow_from", "source", "may"),
    [
        (None, NEIGHBOUR, True),
        (None, STRANGER, False),
        (None, OFFICE, False),
        (None, STORE, False),
        (None, IMPOSTOR, False),
        ([], NEIGHBOUR, False),
        ([TEAM], STRANGER, True),
        ([TEAM], REPORTS, True),
        ([TEAM], NEIGHBOUR, False),
        ([TEAMS_REPORTS], REPORTS, True),
        ([TEAMS_REPORTS], STRANGER, False),
        ([NOT_WEB], NEIGHBOUR, False),
        ([NOT_WEB], Pod(HOME, {"app": "api"}), True),
        ([NOT_WEB], Pod("apps", {"app": "api"}), False),
        ([EVERY_NAMESPACE], STRANGER, True),
        ([EVERY_NAMESPACE], OFFICE, False),
        ([{"cidr": "203.0.113.0/24"}], OFFICE, True),
        ([{"cidr": "203.0.113.0/24"}], HOME_OFFICE, False),
        ([{"cidr": "203.0.113.0/24"}], NEIGHBOUR, False),
        ([TEAMS_REPORTS, {"cidr": "203.0.113.0/24"}], OFFICE, True),
    ],
)
def test_who_may_connect(allow_from: list[Any] | None, source: Pod, may: bool) -> None:
    db = database() if allow_from is None else database(allowFrom=allow_from)
    assert allowed(policies(db), source, pod_of(db), 5432) is may


@pytest.mark.parametrize("allow_from", [None, [], [TEAM], [{"cidr": "203.0.113.0/24"}]])
@pytest.mark.parametrize("source", [OPERATOR, GATEWAY, OWN_JOB])
def test_our_own_always_may(allow_from: list[Any] | None, source: Pod) -> None:
    db = database() if allow_from is None else database(allowFrom=allow_from)
    assert allowed(policies(db), source, pod_of(db), 5432)


@pytest.mark.parametrize("source", [OPERATOR, NEIGHBOUR, STRANGER, OFFICE])
@pytest.mark.parametrize("port", [22, 8080, 5433])
def test_no_other_port_is_open(source: Pod, port: int) -> None:
    db = database(allowFrom=[EVERY_NAMESPACE, {"cidr": "0.0.0.0/0"}])
    assert not allowed(policies(db), source, pod_of(db), port)


def test_another_database_is_not_touched() -> None:
    other = Pod(HOME, pod_of(database(name="other")).labels)
    assert allowed(policies(SHOP), STRANGER, other, 5432)  # by these; it has a policy of its own


@pytest.mark.parametrize(
    ("source", "may"),
    [(OPERATOR, True), (GATEWAY, True), (OWN_JOB, False), (NEIGHBOUR, False), (IMPOSTOR, False)],
)
def test_only_operator_and_gateway_ask_the_sidecar(source: Pod, may: bool) -> None:
    db = database(allowFrom=[EVERY_NAMESPACE]) if source is not NEIGHBOUR else database()
    assert allowed(policies(db), source, pod_of(db), 8432) is may
