"""The node goes down as by a power cycle, and comes back: every process of it by SIGKILL at once.

The control plane lives on, as on a cluster whose nodes are other machines. Mounts are kept, which a
machine that boots would have made anew; memory, sockets and addresses of pods are lost as there.
"""

from __future__ import annotations

import signal
from functools import partial

import pytest

from e2e.cluster import Cluster, eventually
from e2e.conftest import NewDb
from e2e.database import Db
from e2e.operators import on_our_node, wait_replicas
from node import cgroups, paths, processes
from node.bringup import NODE
from node.commands import succeeds
from node.control_plane import Argv
from node.daemons import NAME

pytestmark = [
    pytest.mark.timeout(900),
    pytest.mark.skipif(not on_our_node(), reason="the processes of the node itself are killed"),
]

STAYS = ("etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler")
RUNTIME = "containerd"
OTHERS = ("kubelet", "kube-proxy", "coredns", "provisioner")


def power_cycle() -> set[int]:
    """Kills all that runs on the node, and starts what a boot starts; answers what was killed."""
    killed = cgroups.pids() | {p.pid for p in processes.ours() if p.role not in STAYS}
    for pid in killed:
        processes.send(pid, signal.SIGKILL)
    processes.end(killed)
    boot(RUNTIME, NODE.head()[RUNTIME])
    eventually(runtime_answers, f"{RUNTIME} answers", seconds=60)  # a kubelet without one ends
    for role in OTHERS:
        boot(role, NODE.body()[role])
    return killed


BOOTED: list[processes.Daemon] = []
"""They outlive this process; held, as Python warns of a child that nobody waits for."""


def boot(role: str, command: Argv) -> None:
    BOOTED.append(processes.start(role, command, log=paths.LOG / f"{role}.log"))


def runtime_answers() -> bool:
    return succeeds(["ctr", "--address", NODE.socket, "version"])


def test_after_a_restart_of_its_node_every_row_is_there(
    cluster: Cluster, db: Db, new_db: NewDb
) -> None:
    """A commit that was acknowledged the moment before is there; the pods keep their identity."""
    other = new_db("other")
    other.apply()
    other.wait_ready()
    other.fill("of the other")
    started = {each.name: each.started_at() for each in (db, other)}
    pods = {each.name: each.pod_uid() for each in (db, other)}
    db.fill("the moment before")
    killed = power_cycle()
    assert len(killed) > len(OTHERS)
    eventually(lambda: is_ready(cluster), "the node is Ready", seconds=90)
    for each in (db, other):
        eventually(partial(each.is_restarted, started[each.name]), "it serves", seconds=120)
        each.wait_ready(seconds=60)
    assert db.notes() == ["the moment before"]
    assert other.notes() == ["of the other"]
    assert {each.name: each.pod_uid() for each in (db, other)} == pods
    db.wait_logged("database system was not properly shut down")
    wait_replicas(cluster, seconds=120)


def is_ready(cluster: Cluster) -> bool:
    conditions = cluster.get("node", "", NAME)["status"]["conditions"]
    return any(c["type"] == "Ready" and c["status"] == "True" for c in conditions)
