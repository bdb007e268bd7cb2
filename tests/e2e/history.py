"""Every version of a kind's objects, as whoever watches them gets to see it: none is missed.

What a GitOps tool decides hangs on the versions in between, which no polling sees.
"""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from e2e.cluster import KUBECTL, Body, Cluster

SECONDS = 3600
"""Longer than any module takes."""


@dataclass(frozen=True)
class History:
    """A watch of the API that runs on beside the test, into a file."""

    file: Path

    def versions(self, name: str) -> list[Body]:
        """All versions of the object so far, the oldest first; the last is written at deletion."""
        return [body for body in self._bodies() if body["metadata"]["name"] == name]

    def _bodies(self) -> Iterator[Body]:
        whole, _, _ = self.file.read_text().rpartition("\n")
        for line in whole.splitlines():
            event = json.loads(line)
            assert event["type"] in ("ADDED", "MODIFIED", "DELETED"), event
            yield event["object"]


@contextmanager
def history(cluster: Cluster, plural: str, namespace: str, folder: Path) -> Iterator[History]:
    """From now on. The version that the list has makes sure that nothing falls in between."""
    path = f"/apis/postbase.sh/v1alpha1/namespaces/{namespace}/{plural}"
    since = json.loads(cluster.kubectl("get", f"--raw={path}"))["metadata"]["resourceVersion"]
    query = f"watch=true&timeoutSeconds={SECONDS}&resourceVersion={since}"
    file = folder / f"{plural}.json"
    with file.open("w") as out:
        watch = subprocess.Popen(
            [str(KUBECTL), f"--kubeconfig={cluster.kubeconfig}", "get", f"--raw={path}?{query}"],
            stdin=subprocess.DEVNULL,
            stdout=out,
            env={k: v for k, v in os.environ.items() if k != "KUBECONFIG"},
        )
    try:
        yield History(file)
        assert watch.poll() is None, f"the watch of {plural} has ended by itself"
    finally:
        watch.terminate()
        watch.wait()
