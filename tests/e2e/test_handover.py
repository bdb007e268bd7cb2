"""The leading replica ends, and the other one works in its place; no database notices.

Whether it works is told by a changed parameter that reaches the running server; when it led, by the
stamps in the Lease, which cost no time of ours. The Lease lasts 10 s and is looked at every second:
a replica that says nothing is followed within 15 s, one that says good bye within 3 s.
"""

from __future__ import annotations

import pytest

from e2e.cluster import OPERATOR_NAMESPACE, Cluster, eventually, throughout
from e2e.database import Db
from e2e.operators import (
    GIVEN_BACK,
    freeze,
    holder,
    holder_of,
    kill,
    lease_followed,
    on_our_node,
    thaw,
    wait_replicas,
)

pytestmark = [
    pytest.mark.timeout(900),
    pytest.mark.skipif(not on_our_node(), reason="a container is killed on the node itself"),
]

SILENT = 15
ORDERLY = 3


@pytest.fixture
def leader(cluster: Cluster, db: Db) -> str:
    """Of two replicas that are ready, before a Database that is."""
    leads = wait_replicas(cluster)
    db.wait_ready(seconds=30)
    return leads


def acts(db: Db, work_mem: str) -> None:
    """Asks for a parameter, and the server has it."""
    db.patch(parameters={"work_mem": work_mem})
    eventually(lambda: db.value("SHOW work_mem") == work_mem, f"work_mem is {work_mem}", seconds=60)


def test_a_killed_leader_is_followed(cluster: Cluster, db: Db, leader: str) -> None:
    started = db.started_at()
    with lease_followed(cluster) as reigns:
        kill(cluster, leader)
        acts(db, "6MB")
        handed = reigns.wait_handed_over(leader)
    print(f"killed: another leads {handed.seconds:.1f} s after its last sign of life")
    assert holder_of(handed.last) == leader
    assert handed.seconds <= SILENT
    assert db.started_at() == started
    db.wait_ready(seconds=30)
    followed = wait_replicas(cluster)
    before = restarts(cluster, followed)
    throughout(
        lambda: holder(cluster) != followed or restarts(cluster, followed) != before,
        "no longer led by the one that followed",
        seconds=12,
        every=2,
    )


def test_a_leader_that_is_stopped_hands_over(cluster: Cluster, db: Db, leader: str) -> None:
    started = db.started_at()
    with lease_followed(cluster) as reigns:
        cluster.delete("pod", OPERATOR_NAMESPACE, leader, "--wait=false")
        handed = reigns.wait_handed_over(leader)
        acts(db, "7MB")
    print(f"stopped: another leads {handed.seconds:.1f} s after its good bye")
    assert holder_of(handed.last) == GIVEN_BACK
    assert handed.seconds <= ORDERLY
    assert db.started_at() == started
    db.wait_ready(seconds=30)


def test_a_frozen_leader_ends_before_it_writes_again(cluster: Cluster, db: Db, leader: str) -> None:
    """It thaws beside one that leads: its time stood still, so it still believes in its Lease."""
    started, before = db.started_at(), restarts(cluster, leader)
    with lease_followed(cluster) as reigns:
        container = freeze(cluster, leader)
        try:
            handed = reigns.wait_handed_over(leader)
            acts(db, "8MB")
        finally:
            thaw(container)
    assert handed.seconds <= SILENT
    eventually(lambda: restarts(cluster, leader) > before, f"{leader} has ended", seconds=15)
    said = cluster.logs(OPERATOR_NAMESPACE, leader, "--previous")
    assert "the Lease is lost" in said
    assert wait_replicas(cluster) != leader
    assert db.value("SHOW work_mem") == "8MB"
    assert db.started_at() == started
    db.wait_ready(seconds=30)


def restarts(cluster: Cluster, pod: str) -> int:
    live = cluster.get("pod", OPERATOR_NAMESPACE, pod)
    return int(live["status"]["containerStatuses"][0]["restartCount"])
