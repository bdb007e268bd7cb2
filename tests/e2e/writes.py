"""What the operator has written to a namespace, told from what others write there."""

from __future__ import annotations

import json
import time
from collections.abc import Callable

from e2e.cluster import Body, Cluster, eventually
from e2e.database import CHILDREN

Versions = dict[str, str]
REST = 6.0
"""Seconds without a write of ours: a Project counts its Databases two seconds after a change."""


def versions(cluster: Cluster, namespace: str) -> Versions:
    """What we have written to Databases, Projects and children, and every event of ours.

    By the managers' entries, not by resourceVersion: the kubelet writes a pod's status when a probe
    is late on a busy node, and the controllers of StatefulSet and PDB repeat it.
    """
    listed = [
        *cluster.listed(CHILDREN, namespace, "postbase.sh/database"),
        *cluster.listed("databases,projects,events", namespace),
    ]
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


def at_rest(cluster: Cluster, namespace: str, *, seconds: float = 60) -> Versions:
    """Waits until nothing was written for a while; answers how everything is then."""
    seen, since = versions(cluster, namespace), time.monotonic()

    def settled() -> bool:
        nonlocal seen, since
        now = versions(cluster, namespace)
        if now != seen:
            seen, since = now, time.monotonic()
        return time.monotonic() - since > REST

    eventually(settled, f"{namespace} is at rest", seconds=seconds, every=1)
    return seen


def written_since(cluster: Cluster, namespace: str, seen: Versions) -> Callable[[], list[str]]:
    """A probe: the objects that were written since."""

    def written() -> list[str]:
        now = versions(cluster, namespace)
        return [name for name in seen | now if seen.get(name) != now.get(name)]

    return written
