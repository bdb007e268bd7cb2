"""The operator's replicas: which one leads, what it says of itself, and how it is made to end."""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime

from e2e.cluster import OPERATOR_NAMESPACE, ROOT, Body, Cluster, eventually
from node.bringup import ctr

LEASE = "postbase-operator"
GIVEN_BACK = ""
"""Who holds a Lease that nobody holds."""


def on_our_node() -> bool:
    """Whether the cluster is the node of `make up`, whose containerd we reach."""
    file = ROOT / ".cluster" / "cluster.json"
    return file.exists() and json.loads(file.read_text())["kind"] == "node"


def holder(cluster: Cluster) -> str:
    """The pod that leads."""
    return holder_of(cluster.get("lease", OPERATOR_NAMESPACE, LEASE)["spec"])


def holder_of(spec: Body) -> str:
    """Whose a version of the Lease is."""
    return str(spec.get("holderIdentity") or GIVEN_BACK)


def wait_replicas(cluster: Cluster, *, seconds: float = 60) -> str:
    """Two that are ready, and one of them leads: its name."""

    def leader() -> str:
        ready = {p["metadata"]["name"] for p in cluster.operator_pods() if is_ready(p)}
        leads = holder(cluster)
        return leads if len(ready) == 2 and leads in ready else ""

    return eventually(leader, "two replicas, one of which leads", seconds=seconds)


def is_ready(pod: Body) -> bool:
    return "deletionTimestamp" not in pod["metadata"] and any(
        condition["type"] == "Ready" and condition["status"] == "True"
        for condition in pod["status"].get("conditions", [])
    )


@contextmanager
def lease_followed(cluster: Cluster) -> Iterator[Reigns]:
    """Each version of the Lease from now on, as the server had them: none is missed, however slow
    we are."""
    words = ("get", "lease", LEASE, f"--namespace={OPERATOR_NAMESPACE}", "--watch")
    with cluster.follow(*words, '--output=jsonpath={.spec}{"\\n"}') as versions:
        yield Reigns(versions)


@dataclass(frozen=True)
class Reigns:
    """Versions of the Lease, each a line of JSON; its stamps are of those who wrote them."""

    lines: list[str]

    def wait_handed_over(self, former: str) -> HandOver:
        """Until another than `former` holds it. When that came, the versions say themselves."""

        def handed() -> HandOver | None:
            versions = [json.loads(line) for line in list(self.lines)]
            for last, taken in itertools.pairwise(versions):
                if holder_of(taken) not in (GIVEN_BACK, former):
                    return HandOver(last, taken)
            return None

        return eventually(handed, f"another one leads than {former}", seconds=60)


@dataclass(frozen=True)
class HandOver:
    """The last version of the one who led, and the first of the next."""

    last: Body
    taken: Body

    @property
    def seconds(self) -> float:
        began, ended = self.last["renewTime"], self.taken["acquireTime"]
        return (datetime.fromisoformat(ended) - datetime.fromisoformat(began)).total_seconds()


def writes(cluster: Cluster, pod: str) -> int:
    """How many writes of a pod the API server has taken, but for Leases."""
    name = r"postbase_api_requests_total\{code=\"20.\",resource=\"(\w+)\",verb=\"(?!GET)\w+\"\}"
    found = re.findall(rf"^{name} (\S+)$", metrics(cluster, pod), re.MULTILINE)
    return int(sum(float(count) for resource, count in found if resource != "leases"))


def metric(cluster: Cluster, pod: str, name: str) -> float:
    """One sample of a pod's metrics; 0 where there is none yet."""
    found = re.search(rf"^{re.escape(name)} (\S+)$", metrics(cluster, pod), re.MULTILINE)
    return float(found[1]) if found else 0.0


def metrics(cluster: Cluster, pod: str) -> str:
    """What Prometheus would read, through the API server."""
    path = f"/api/v1/namespaces/{OPERATOR_NAMESPACE}/pods/{pod}:8080/proxy/metrics"
    return cluster.kubectl("get", f"--raw={path}")


def container_id(cluster: Cluster, pod: str) -> str:
    live = cluster.get("pod", OPERATOR_NAMESPACE, pod)
    return str(live["status"]["containerStatuses"][0]["containerID"]).rpartition("/")[2]


def kill(cluster: Cluster, pod: str) -> None:
    """By SIGKILL: nothing is given back. The pod goes too, or it would begin anew under its name.

    A deletion by force alone is no kill: the kubelet still sends SIGTERM first.
    """
    ctr("tasks", "kill", "--signal=SIGKILL", container_id(cluster, pod))
    cluster.forget("pod", OPERATOR_NAMESPACE, pod)


def freeze(cluster: Cluster, pod: str) -> str:
    """Stops its time, as a machine that hangs would. Answers what to thaw."""
    container = container_id(cluster, pod)
    ctr("tasks", "pause", container)
    return container


def thaw(container: str) -> None:
    ctr("tasks", "resume", container)
