"""Who may reach the pods of the chart, worked out over its policies; the node enforces none."""

from __future__ import annotations

import pytest

from apiserver.charts import (
    EMBEDDED,
    EVERYTHING,
    HELD,
    RAILWAY,
    Body,
    find,
    pod_template,
    rendered,
)
from postbase_operator.desired import meta, names
from unit.conftest import database
from unit.desired.reach import Pod, allowed, matches

SYSTEM = "postbase-system"
HELD_STORE = {**EMBEDDED, **HELD}
STRANGER = Pod("apps", {"app": "web"})
OUTSIDE = Pod("", address="203.0.113.7", outside=True)
PROMETHEUS = Pod(SYSTEM, {"app": "prometheus"})
DATA = Pod("warehouse", {"app": "spark"}, {"team": "data"})


def may(values: Body, source: Pod, name: str, port: int) -> bool:
    """A port that a policy names is the port of that name in the pod."""
    objects = rendered(values)
    template = pod_template(objects, f"postbase-{name}")
    ports = {p["name"]: p["containerPort"] for p in template["spec"]["containers"][0]["ports"]}
    policies = [o for o in objects if o["kind"] == "NetworkPolicy"]
    for rule in (rule for policy in policies for rule in policy["spec"]["ingress"]):
        rule["ports"] = [{**p, "port": ports.get(p["port"])} for p in rule["ports"]]
    return allowed(policies, source, Pod(SYSTEM, template["metadata"]["labels"]), port)


@pytest.mark.parametrize(
    ("values", "source", "name", "port", "allowed"),
    [
        ({}, STRANGER, "operator", 8080, True),
        ({}, OUTSIDE, "operator", 8080, True),
        ({}, STRANGER, "operator", 22, False),
        (HELD, STRANGER, "operator", 8080, False),
        (HELD, PROMETHEUS, "operator", 8080, True),
        (HELD, PROMETHEUS, "operator", 22, False),
        (EMBEDDED, STRANGER, "object-store", 7070, True),
        (EMBEDDED, OUTSIDE, "object-store", 7070, True),
        (EMBEDDED, STRANGER, "object-store", 22, False),
        (HELD_STORE, STRANGER, "object-store", 7070, False),
        (HELD_STORE, DATA, "object-store", 7070, True),
        ({"networkPolicy": {"enabled": False}}, STRANGER, "operator", 22, True),
    ],
)
def test_who_may_come_in(values: Body, source: Pod, name: str, port: int, allowed: bool) -> None:
    assert may(values, source, name, port) is allowed


def test_helm_test_reaches_the_operator_whoever_else_may_not() -> None:
    labels = find(rendered({}), "Pod", "postbase-release-test")["metadata"]["labels"]
    assert may(HELD, Pod(SYSTEM, labels), "operator", 8080)


def test_the_operator_goes_anywhere_unless_told() -> None:
    """A policy that forgot the API server would be an operator that does nothing."""
    policy = find(rendered({}), "NetworkPolicy", "postbase-operator")["spec"]
    assert policy["policyTypes"] == ["Ingress"]
    assert "egress" not in policy


def test_told_where_it_goes_it_still_reaches_databases_and_dns() -> None:
    policy = find(rendered(EVERYTHING), "NetworkPolicy", "postbase-operator")["spec"]
    assert policy["policyTypes"] == ["Ingress", "Egress"]
    given = HELD["networkPolicy"]["operator"]["egress"]
    assert policy["egress"][: len(given)] == given
    databases, *_, dns = policy["egress"][len(given) :]
    ports = (names.PORT, names.SIDECAR_PORT)
    assert databases["ports"] == [{"port": port, "protocol": "TCP"} for port in ports]
    (peer,) = databases["to"]
    assert matches(peer["namespaceSelector"], {})
    assert matches(peer["podSelector"], meta.labels(database()))
    assert {port["protocol"] for port in dns["ports"] if port["port"] == 53} == {"UDP", "TCP"}


def test_told_where_it_goes_it_still_reaches_the_store_that_comes_along() -> None:
    """It plans restores by what is in it, and ends what is over."""
    objects = rendered(HELD_STORE)
    policy = find(objects, "NetworkPolicy", "postbase-operator")["spec"]
    pod = pod_template(objects, "postbase-object-store")
    (port,) = pod["spec"]["containers"][0]["ports"]
    rules = [rule for rule in policy["egress"] if rule["ports"][0]["port"] == port["name"]]
    (peer,) = [peer for rule in rules for peer in rule["to"]]
    assert peer.keys() == {"podSelector"}
    assert matches(peer["podSelector"], pod["metadata"]["labels"])


def test_with_railway_it_also_reaches_what_is_outside_and_no_private_network() -> None:
    policy = find(rendered(RAILWAY), "NetworkPolicy", "postbase-operator")["spec"]
    *_, outside = policy["egress"]
    assert {"port": 443, "protocol": "TCP"} in outside["ports"]
    four, six = (peer["ipBlock"] for peer in outside["to"])
    assert "10.0.0.0/8" in four["except"]
    assert "fc00::/7" in six["except"]
    assert len(policy["egress"]) == len(HELD["networkPolicy"]["operator"]["egress"]) + 3
