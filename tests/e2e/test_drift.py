"""Replicas that are changed by hand are put back, and a Database at rest costs no write.

Edits and deletions of each child: test_children.py. Leases aside, idle means silent: a fleet would
be a load otherwise.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest

from e2e.cluster import eventually, promised, throughout
from e2e.database import Db
from e2e.writes import at_rest, written_since

pytestmark = pytest.mark.timeout(900)

MENDED_WITHIN = 5
IDLE_FOR = 75
"""Seconds: longer than the minute after which the Secrets are looked at again."""


def has_replicas(db: Db, number: int) -> Callable[[], bool]:
    def probe() -> bool:
        spec = db.cluster.get("statefulset", db.namespace, f"{db.name}-1")["spec"]
        return bool(spec["replicas"] == number)

    return probe


def test_a_second_replica_by_hand_goes_and_spoils_nothing(db: Db) -> None:
    """Its pod would mount the same volume."""
    db.fill("one replica")
    started = db.started_at()
    db.cluster.patch("statefulset", db.namespace, "main-1", {"spec": {"replicas": 2}})
    promised(has_replicas(db, 1), "one replica again", seconds=MENDED_WITHIN)
    eventually(
        lambda: db.cluster.find("pod", db.namespace, "main-1-1") is None,
        "no second pod",
        seconds=60,
    )
    db.wait_answers(seconds=15)  # the nodes' rules forget the second one's address a little later
    assert db.notes() == ["one replica"]
    assert db.started_at() == started


def test_scaled_to_nothing_by_hand_it_comes_back(db: Db) -> None:
    """This does stop PostgreSQL: the StatefulSet's controller is mostly quicker than anybody."""
    db.fill("scaled to nothing")
    before = db.pod_uid()
    db.cluster.patch("statefulset", db.namespace, "main-1", {"spec": {"replicas": 0}})
    promised(has_replicas(db, 1), "one replica again", seconds=MENDED_WITHIN)

    def is_stopped_or_spared() -> bool:
        live = db.cluster.get("statefulset", db.namespace, "main-1")
        pod = db.cluster.find("pod", db.namespace, db.pod)
        if pod is None or pod["metadata"]["uid"] != before:
            return True
        seen = live["status"].get("observedGeneration") == live["metadata"]["generation"]
        return seen and "deletionTimestamp" not in pod["metadata"]  # we were quicker than anybody

    eventually(is_stopped_or_spared, "the pod was stopped, or spared", seconds=120)
    db.wait_answers()
    assert "scaled to nothing" in db.notes()
    db.wait_ready()


def test_an_idle_database_causes_no_write(db: Db) -> None:
    db.patch(backup={"suspend": True})  # one by schedule would be no idleness
    db.wait_ready()
    seen = at_rest(db.cluster, db.namespace)
    written = written_since(db.cluster, db.namespace, seen)
    throughout(written, "written to while idle", seconds=IDLE_FOR, every=5)
