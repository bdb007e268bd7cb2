"""The leading replica ends, and the other one works in its place; no database notices.

What counts is work: a changed parameter that reaches the running server. The Lease lasts 10 s and
is tried every 2 s, so that a replica that says nothing is followed within 15 s, one that says good
bye within 3 s.
"""

from __future__ import annotations

import time

import pytest

from e2e.cluster import OPERATOR_NAMESPACE, Cluster, eventually, throughout
from e2e.database import Db
from e2e.operators import freeze, holder, kill, on_our_node, thaw, wait_other_leads, wait_replicas

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


def acts(db: Db, work_mem: str, since: float, *, seconds: float) -> float:
    """Asks for a parameter and waits until the server has it; answers the time since `since`."""
    db.patch(parameters={"work_mem": work_mem})
    left = since + seconds - time.monotonic()
    eventually(
        lambda: db.value("SHOW work_mem") == work_mem, f"work_mem is {work_mem}", seconds=left
    )
    return time.monotonic() - since


def test_a_killed_leader_is_followed(cluster: Cluster, db: Db, leader: str) -> None:
    started = db.started_at()
    since = time.monotonic()
    kill(cluster, leader)
    worked = acts(db, "6MB", since, seconds=SILENT)
    led = wait_other_leads(cluster, leader, since, seconds=SILENT)
    print(f"killed: another leads after {led:.1f} s at most, has worked after {worked:.1f} s")
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
    since = time.monotonic()
    cluster.delete("pod", OPERATOR_NAMESPACE, leader, "--wait=false")
    led = wait_other_leads(cluster, leader, since, seconds=ORDERLY)
    worked = acts(db, "7MB", since, seconds=SILENT)
    print(f"stopped: another leads after {led:.1f} s, has worked after {worked:.1f} s")
    assert db.started_at() == started
    db.wait_ready(seconds=30)


def test_a_frozen_leader_ends_before_it_writes_again(cluster: Cluster, db: Db, leader: str) -> None:
    """It thaws beside one that leads: its time stood still, so it still believes in its Lease."""
    started, before = db.started_at(), restarts(cluster, leader)
    since = time.monotonic()
    container = freeze(cluster, leader)
    try:
        wait_other_leads(cluster, leader, since, seconds=SILENT)
        acts(db, "8MB", since, seconds=SILENT)
    finally:
        thaw(container)
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
