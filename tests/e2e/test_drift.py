"""What is edited or deleted by hand is mended, PostgreSQL feels none of it, and idle is silent.

The operator watches each child; an apply is skipped only where hash and owned fields both hold.
Leases aside, a Database at rest costs no write: a fleet of them would be a load otherwise.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from e2e.cluster import Body, eventually, throughout
from e2e.database import Db

pytestmark = [pytest.mark.timeout(240), pytest.mark.usefixtures("steady")]

MENDED_WITHIN = 10
IDLE_FOR = 75
"""Seconds: longer than the minute after which the Secrets are looked at again."""

Value = Callable[[Body], Any]


def child(db: Db, kind: str, name: str) -> Body | None:
    return db.cluster.find(kind, db.namespace, name)


def holds(db: Db, kind: str, name: str, value: Value, wanted: Any) -> Callable[[], bool]:
    def probe() -> bool:
        live = child(db, kind, name)
        return live is not None and value(live) == wanted

    return probe


EDITS: list[tuple[str, str, Body, Value]] = [
    (
        "service",
        "main",
        {"spec": {"selector": {"postbase.sh/role": "nobody"}}},
        lambda live: live["spec"]["selector"],
    ),
    (
        "service",
        "main",
        {"spec": {"publishNotReadyAddresses": False}},
        lambda live: live["spec"].get("publishNotReadyAddresses"),
    ),
    (
        "service",
        "main-pods",
        {"metadata": {"labels": {"postbase.sh/database": "another"}}},
        lambda live: live["metadata"]["labels"],
    ),
    (
        "configmap",
        "main-config",
        {"data": {"start.sh": "exit 0", "revision": "edited"}},
        lambda live: live["data"],
    ),
    (
        "configmap",
        "main-config",
        {"data": {"pg_hba.conf": "host all all all trust\n"}},
        lambda live: live["data"],
    ),
    (
        "statefulset",
        "main-1",
        {"metadata": {"labels": {"app.kubernetes.io/managed-by": "somebody"}}},
        lambda live: live["metadata"]["labels"],
    ),
    (
        "statefulset",
        "main-1",
        {"spec": {"updateStrategy": {"type": "RollingUpdate"}}},
        lambda live: live["spec"]["updateStrategy"]["type"],
    ),
    (
        "poddisruptionbudget",
        "main",
        {"spec": {"maxUnavailable": 0}},
        lambda live: live["spec"]["maxUnavailable"],
    ),
]


@pytest.mark.parametrize(
    ("kind", "name", "patch", "value"), EDITS, ids=lambda v: v if isinstance(v, str) else ""
)
def test_an_edit_by_hand_is_mended(db: Db, kind: str, name: str, patch: Body, value: Value) -> None:
    live = child(db, kind, name)
    assert live is not None
    wanted, started = value(live), db.started_at()
    db.cluster.patch(kind, db.namespace, name, patch)
    mended = holds(db, kind, name, value, wanted)
    eventually(mended, f"{kind} {name} is mended", seconds=MENDED_WITHIN)
    db.wait_answers(seconds=15)
    assert db.started_at() == started


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        ("service", "main"),
        ("service", "main-pods"),
        ("configmap", "main-config"),
        ("poddisruptionbudget", "main"),
        ("statefulset", "main-1"),
    ],
)
def test_a_deleted_child_is_back(db: Db, kind: str, name: str) -> None:
    """The StatefulSet without its pod: what takes the pod along cannot spare PostgreSQL."""
    live = child(db, kind, name)
    assert live is not None
    uid, started = live["metadata"]["uid"], db.started_at()
    db.cluster.delete(kind, db.namespace, name, "--cascade=orphan", "--wait=false")

    def another() -> bool:
        found = child(db, kind, name)
        return found is not None and found["metadata"]["uid"] != uid

    eventually(another, f"{kind} {name} is back", seconds=MENDED_WITHIN)
    db.wait_answers(seconds=15)
    assert db.started_at() == started


def test_a_second_replica_by_hand_goes_and_spoils_nothing(db: Db) -> None:
    """Its pod would mount the same volume."""
    db.fill("one replica")
    started = db.started_at()
    db.cluster.patch("statefulset", db.namespace, "main-1", {"spec": {"replicas": 2}})
    eventually(
        holds(db, "statefulset", "main-1", lambda live: live["spec"]["replicas"], 1),
        "one replica again",
        seconds=MENDED_WITHIN,
    )
    eventually(lambda: child(db, "pod", "main-1-1") is None, "no second pod", seconds=60)
    assert db.notes() == ["one replica"]
    assert db.started_at() == started


def test_scaled_to_nothing_by_hand_it_comes_back(db: Db) -> None:
    """This does stop PostgreSQL: the StatefulSet's controller is quicker than anybody."""
    db.fill("scaled to nothing")
    before = db.pod_uid()
    db.cluster.patch("statefulset", db.namespace, "main-1", {"spec": {"replicas": 0}})
    eventually(
        holds(db, "statefulset", "main-1", lambda live: live["spec"]["replicas"], 1),
        "one replica again",
        seconds=MENDED_WITHIN,
    )
    eventually(lambda: db.pod_uid() != before, "the pod was stopped", seconds=60)
    db.wait_answers()
    assert "scaled to nothing" in db.notes()
    db.wait_ready()


def versions(db: Db) -> dict[str, str]:
    """What we have written to the Database, its Project and its children, and every event of ours.

    By the managers' entries, not by resourceVersion: the kubelet writes a pod's status when a probe
    is late on a busy node, and the controllers of StatefulSet and PDB repeat it.
    """
    listed = [*db.children(), *db.cluster.listed("databases,projects,events", db.namespace)]
    return {
        f"{body['kind']}/{body['metadata']['name']}": written_by_us(body)
        for body in listed
        if body["kind"] != "Event" or "postbase" in str(body.get("reportingComponent"))
    }


def written_by_us(body: Body) -> str:
    """Our own resources whole; of others, when and what our managers wrote."""
    meta = body["metadata"]
    if body["apiVersion"].startswith("postbase.sh/"):
        return str(meta["resourceVersion"])
    entries = [e for e in meta.get("managedFields", []) if e["manager"].startswith("postbase")]
    return json.dumps([meta.get("generation"), entries], sort_keys=True)


def test_an_idle_database_causes_no_write(db: Db) -> None:
    db.wait_ready()
    seen = versions(db)

    def settled() -> bool:
        nonlocal seen
        before, seen = seen, versions(db)
        return before == seen

    eventually(settled, "the namespace is at rest", seconds=40, every=4)

    def written() -> list[str]:
        now = versions(db)
        return [name for name in seen | now if seen.get(name) != now.get(name)]

    throughout(written, "written to while idle", seconds=IDLE_FOR, every=5)
