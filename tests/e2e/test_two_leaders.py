"""Two operators lead at once over a provision, as if the election had failed, and spoil nothing.

The second is the operator's own image with its own rights; only its elector is replaced
(forced_leader.py). Both reconcile the same Databases from the first second to the last.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from e2e.children import names_of
from e2e.cluster import OPERATOR, OPERATOR_NAMESPACE, Body, Cluster, eventually, throughout
from e2e.conftest import NewDb
from e2e.database import Db
from e2e.operators import holder, is_ready, metric, wait_replicas, writes
from e2e.writes import at_rest, written_since

pytestmark = pytest.mark.timeout(900)

USURPER = "usurper"
SCRIPT = Path(__file__).with_name("forced_leader.py")
QUIET_FOR = 20
NAMES = ("first", "second", "third")
MORE = 5
"""So many more are made, one by one, for a leader that came later each time and found all done."""


@pytest.fixture(scope="module")
def usurper(cluster: Cluster, namespace: str) -> Iterator[str]:
    """A second leader, for the module's namespace alone: other modules' Databases are not its."""
    remove(cluster)
    cluster.apply(
        {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": USURPER, "namespace": OPERATOR_NAMESPACE},
            "data": {SCRIPT.name: SCRIPT.read_text()},
        },
        pod(cluster, namespace),
    )
    eventually(
        lambda: is_ready(cluster.get("pod", OPERATOR_NAMESPACE, USURPER)),
        "the second leader is ready",
        seconds=60,
    )
    eventually(lambda: metric(cluster, USURPER, "postbase_leader") == 1, "it leads", seconds=30)
    yield USURPER
    remove(cluster)


def remove(cluster: Cluster) -> None:
    for kind in ("pod", "configmap"):
        cluster.delete(kind, OPERATOR_NAMESPACE, USURPER, "--ignore-not-found")


def pod(cluster: Cluster, namespace: str) -> Body:
    """As the Deployment makes them, but for the program, and for labels that nobody selects."""
    (deployment,) = cluster.listed("deployments", OPERATOR_NAMESPACE, OPERATOR)
    spec = deployment["spec"]["template"]["spec"]
    container = spec["containers"][0]
    own = ("POSTBASE_WATCH_NAMESPACES",)
    environment = [variable for variable in container["env"] if variable["name"] not in own]
    script = {"name": "script", "mountPath": "/script", "readOnly": True}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": USURPER, "namespace": OPERATOR_NAMESPACE},
        "spec": {
            **{key: value for key, value in spec.items() if key != "topologySpreadConstraints"},
            "terminationGracePeriodSeconds": 5,
            "volumes": [*spec["volumes"], {"name": "script", "configMap": {"name": USURPER}}],
            "containers": [
                {
                    **container,
                    "command": ["/opt/postbase/bin/python3", f"/script/{SCRIPT.name}"],
                    "args": [],
                    "env": [*environment, {"name": own[0], "value": namespace}],
                    "volumeMounts": [*container["volumeMounts"], script],
                }
            ],
        },
    }


@pytest.fixture(scope="module")
def databases(cluster: Cluster, usurper: str, new_db: NewDb) -> list[Db]:
    """Made while both lead, side by side: each has its part in it."""
    leader = wait_replicas(cluster)
    made = [new_db(name) for name in NAMES]
    before = {name: writes(cluster, name) for name in (leader, usurper)}
    _made(cluster, made)

    def idle() -> list[str]:
        done = {name: writes(cluster, name) - count for name, count in before.items()}
        print(f"writes: {done}")
        return [name for name, count in done.items() if not count]

    while idle() and len(made) < len(NAMES) + MORE:
        made.append(new_db(f"more-{len(made)}"))
        _made(cluster, made[-1:])
    assert not idle(), "it has no part in it"
    assert holder(cluster) == leader
    return made


def _made(cluster: Cluster, databases: list[Db]) -> None:
    """A backup by schedule would be a child more, and writes."""
    cluster.apply(*(db.manifest(backup={"suspend": True}) for db in databases))
    for db in databases:
        db.wait_ready()


def test_there_is_one_of_each_and_nothing_was_restarted(databases: list[Db]) -> None:
    for db in databases:
        assert db.names() == names_of(db.name)
        pod = db.cluster.get("pod", db.namespace, db.pod)
        assert [c["restartCount"] for c in pod["status"]["containerStatuses"]] == [0]
        assert db.logs().count("ready to accept connections") == 1


def test_the_one_password_is_that_of_the_secret(databases: list[Db]) -> None:
    """By a login of the real client program, and the certificate verified."""
    for db in databases:
        db.fill("a row")
        assert db.notes() == ["a row"]


def test_they_do_not_undo_each_others_work(databases: list[Db]) -> None:
    db = databases[0]
    seen = at_rest(db.cluster, db.namespace)
    written = written_since(db.cluster, db.namespace, seen)
    throughout(written, "written to while two lead", seconds=QUIET_FOR, every=4)


def test_a_change_reaches_the_server_once(databases: list[Db]) -> None:
    db = databases[0]
    started = db.started_at()
    db.patch(parameters={"work_mem": "9MB"})
    eventually(lambda: db.value("SHOW work_mem") == "9MB", "it is loaded", seconds=15)
    db.wait_ready(seconds=30)
    seen = at_rest(db.cluster, db.namespace)
    written = written_since(db.cluster, db.namespace, seen)
    throughout(written, "written to after a change", seconds=8, every=4)
    assert db.started_at() == started
