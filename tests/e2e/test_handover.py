"""The leading replica ends, and the other one works in its place; no database notices.

Whether it works is told by a changed parameter that reaches the running server; when it led, by the
stamps in the Lease, which cost no time of ours. The Lease lasts 10 s and is looked at every second:
a replica that says nothing is followed within 15 s, one that says good bye within 3 s.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable

import pytest

from e2e.cluster import OPERATOR_NAMESPACE, Cluster, eventually, throughout
from e2e.database import Db
from e2e.operators import (
    GIVEN_BACK,
    HandOver,
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


MEGABYTES = itertools.count(6)


@pytest.fixture
def ready(cluster: Cluster, db: Db) -> None:
    """Two replicas, before a Database that is."""
    wait_replicas(cluster)
    db.wait_ready(seconds=30)


def within(seconds: float, hand_over: Callable[[], HandOver]) -> HandOver:
    """What is promised, three times at most: a machine that stood still once, does not always."""
    for _ in range(3):
        handed = hand_over()
        print(f"another leads {handed.seconds:.1f} s after the last sign of life")
        if handed.seconds <= seconds:
            return handed
    raise AssertionError(f"another leads after {handed.seconds:.1f} s, not {seconds} s")


def acts(db: Db) -> str:
    """Asks for a parameter's value that was never asked for, and the server has it."""
    work_mem = f"{next(MEGABYTES)}MB"
    db.patch(parameters={"work_mem": work_mem})
    eventually(lambda: db.value("SHOW work_mem") == work_mem, f"work_mem is {work_mem}", seconds=60)
    return work_mem


@pytest.mark.usefixtures("ready")
def test_a_killed_leader_is_followed(cluster: Cluster, db: Db) -> None:
    started = db.started_at()

    def hand_over() -> HandOver:
        leader = wait_replicas(cluster)
        with lease_followed(cluster) as reigns:
            kill(cluster, leader)
            acts(db)
            handed = reigns.wait_handed_over(leader)
        assert holder_of(handed.last) == leader
        return handed

    within(SILENT, hand_over)
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


@pytest.mark.usefixtures("ready")
def test_a_leader_that_is_stopped_hands_over(cluster: Cluster, db: Db) -> None:
    started = db.started_at()

    def hand_over() -> HandOver:
        leader = wait_replicas(cluster)
        with lease_followed(cluster) as reigns:
            cluster.delete("pod", OPERATOR_NAMESPACE, leader, "--wait=false")
            handed = reigns.wait_handed_over(leader)
            acts(db)
        assert holder_of(handed.last) == GIVEN_BACK
        return handed

    within(ORDERLY, hand_over)
    assert db.started_at() == started
    db.wait_ready(seconds=30)


@pytest.mark.usefixtures("ready")
def test_a_frozen_leader_ends_before_it_writes_again(cluster: Cluster, db: Db) -> None:
    """It thaws beside one that leads: its time stood still, so it still believes in its Lease."""
    started = db.started_at()

    def hand_over() -> HandOver:
        leader = wait_replicas(cluster)
        before = restarts(cluster, leader)
        with lease_followed(cluster) as reigns:
            container = freeze(cluster, leader)
            try:
                handed = reigns.wait_handed_over(leader)
                wanted = acts(db)
            finally:
                thaw(container)
        eventually(lambda: restarts(cluster, leader) > before, f"{leader} has ended", seconds=15)
        said = cluster.logs(OPERATOR_NAMESPACE, leader, "--previous")
        assert "the Lease is lost" in said
        assert wait_replicas(cluster) != leader
        assert db.value("SHOW work_mem") == wanted
        return handed

    within(SILENT, hand_over)
    assert db.started_at() == started
    db.wait_ready(seconds=30)


def restarts(cluster: Cluster, pod: str) -> int:
    live = cluster.get("pod", OPERATOR_NAMESPACE, pod)
    return int(live["status"]["containerStatuses"][0]["restartCount"])
