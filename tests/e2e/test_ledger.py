"""The ledger on the node: what was acknowledged is in the bucket, whatever else was killed."""

from __future__ import annotations

import contextlib
import subprocess
import time
from collections.abc import Iterator

import pytest

from e2e.bucket import Bucket
from e2e.cluster import Cluster, eventually
from e2e.conftest import NewDb
from e2e.database import Db
from e2e.operators import on_our_node
from e2e.test_bad_days import postmaster
from e2e.test_operator_killed import kill_operator
from e2e.test_pitr import PITR, window
from e2e.test_restore_bad_days import container, kill, kill_store
from e2e.test_restores import Client, journal

pytestmark = [
    pytest.mark.timeout(900),
    pytest.mark.skipif(not on_our_node(), reason="processes are killed on the node itself"),
]


CUT_SECONDS = 10.0


@pytest.fixture(scope="module")
def zero(new_db: NewDb, cluster: Cluster) -> Iterator[Db]:
    """Its commits wait for the archive."""
    db = new_db("main")
    db.apply(pitr={**PITR["pitr"], "rpo": "Zero"})
    db.wait_ready()
    db.wait_answers()
    db.rows("CREATE TABLE journal (n int PRIMARY KEY)")
    db.wait_for("Archiving", "True", seconds=120)
    waits = "SELECT current_setting('synchronous_standby_names')"
    eventually(lambda: db.value(waits) == "postbase_walrx", "commits wait", seconds=60)
    eventually(lambda: window(db).get("from"), "there is a recovery window", seconds=240)
    uid = db.live()["metadata"]["uid"]
    yield db
    Bucket(cluster).clear(f"v1/{uid}/")


def more(client: Client, rows: int, what: str) -> None:
    wanted = len(client.acknowledged) + rows
    eventually(lambda: len(client.acknowledged) >= wanted, what, seconds=120)


@contextlib.contextmanager
def cut_off(db: Db) -> Iterator[None]:
    """The pod's own network answers nobody and reaches nobody: packets go, no connection ends."""
    # Not by any process of the pod: a probe's may have ended by now.
    enter = ("nsenter", f"--target={postmaster(db)}", "--net", "iptables", "--wait")
    ends = (("INPUT", "--in-interface"), ("OUTPUT", "--out-interface"))
    for chain, which in ends:
        subprocess.run([*enter, "--insert", chain, which, "eth0", "--jump", "DROP"], check=True)
    try:
        yield
    finally:
        for chain, which in ends:
            subprocess.run([*enter, "--delete", chain, which, "eth0", "--jump", "DROP"], check=True)


def cut(db: Db, client: Client) -> None:
    """For a while. Nothing is acknowledged meanwhile, or it was no cut."""
    started = db.started_at()
    with cut_off(db):
        time.sleep(1.0)  # what was on its way has come by then
        before = len(client.acknowledged)
        time.sleep(CUT_SECONDS)  # that long it is cut: no condition would tell more
        assert len(client.acknowledged) == before
    more(client, 50, "it writes on once the network is back")
    assert db.started_at() == started


def test_nothing_is_lost_with_operators_store_network_processes_and_volume(
    zero: Db, new_db: NewDb, cluster: Cluster
) -> None:
    with Client(zero) as client:
        more(client, 50, "the client writes")
        kill_operator(cluster)
        more(client, 50, "it writes on without an operator")
        kill_store(cluster)
        more(client, 50, "it writes again once the store is back")
        cut(zero, client)
        pod = cluster.get("pod", zero.namespace, zero.pod)
        zero.cluster.delete("pvc", zero.namespace, zero.claim, "--wait=false")
        for name in ("wal-receiver", "postgres"):
            kill(str(container(pod, name)["containerID"]).rpartition("/")[2])
        zero.cluster.delete("pod", zero.namespace, zero.pod, "--force", "--grace-period=0")
        gone = lambda: cluster.find("pvc", zero.namespace, zero.claim) is None  # noqa: E731
        eventually(gone, "the volume is gone", seconds=120)
    rescued = new_db("rescued")
    source = {"from": {"name": zero.name}, "latest": {}}
    rescued.apply(bootstrap={"restore": source}, **PITR)
    rescued.wait_ready(seconds=300)
    rescued.wait_answers()
    acknowledged = {each.n for each in client.acknowledged}
    assert len(acknowledged) >= 200
    assert acknowledged <= journal(rescued), sorted(acknowledged - journal(rescued))[:20]
