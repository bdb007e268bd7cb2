"""The one way in which e2e tests reach a cluster: by `.cluster/kubeconfig` and no other.

kubectl does what users do with it; reads and small changes go straight (`direct.py`).

A test that deletes namespaces must never do so in whatever cluster the environment of the person
who runs it happens to point at.
"""

from __future__ import annotations

import json
import os
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

from e2e.direct import Direct, Refused

ROOT = Path(__file__).resolve().parents[2]
KUBECONFIG = ROOT / ".cluster" / "kubeconfig"
KUBECTL = ROOT / ".cluster" / "bin" / "kubectl"
OPERATOR_NAMESPACE = "postbase-system"
OPERATOR = "app.kubernetes.io/component=operator"

PATIENCE = 3.0
"""How much longer all may take on two slow cores beside others than where nothing is in its way."""
LOOKS = 30
"""So many at most are owed to a probe, whatever the clock says: each may take seconds itself."""

Body = dict[str, Any]
T = TypeVar("T")


class KubectlFailed(AssertionError):
    """kubectl or a request ended with an error; the server's own words are the message."""


def eventually(
    probe: Callable[[], T | None], what: str, *, seconds: float, every: float = 0.3
) -> T:
    """The probe's first true answer; fails with the last one where none comes in time."""
    return promised(probe, what, seconds=seconds * PATIENCE, every=every)


def promised(probe: Callable[[], T | None], what: str, *, seconds: float, every: float = 0.1) -> T:
    """As `eventually`, of what our documents promise within these seconds: no more are given.

    It gives up when seconds and looks are both used up: a machine that stands still for a while,
    and the operator with it, costs one look and not the promise.
    """
    deadline, owed = time.monotonic() + seconds, min(LOOKS, seconds / every / 2)
    while not (answer := probe()):
        owed -= 1
        if owed <= 0 and time.monotonic() > deadline:
            raise AssertionError(f"{what}: not so after {seconds:.0f} s; last seen: {answer!r}")
        time.sleep(every)
    return answer


def throughout(probe: Callable[[], T], what: str, *, seconds: float, every: float = 3.0) -> None:
    """Fails as soon as the probe answers anything true: what is found must not be."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        found = probe()
        assert not found, f"{what}: {found!r}"
        time.sleep(min(every, max(0.0, deadline - time.monotonic())))


@contextmanager
def _told() -> Iterator[None]:
    try:
        yield
    except Refused as error:
        raise KubectlFailed(str(error)) from None


@dataclass(frozen=True)
class Cluster:
    """kubectl on one kubeconfig; bodies are JSON as the API has it."""

    kubeconfig: Path = KUBECONFIG

    def __post_init__(self) -> None:
        if self.kubeconfig.resolve() != KUBECONFIG.resolve():
            raise ValueError(f"e2e tests run on {KUBECONFIG} only, not on {self.kubeconfig}")

    @cached_property
    def _direct(self) -> Direct:
        return Direct(self.kubeconfig)

    def kubectl(self, *words: str, stdin: str | None = None, seconds: float = 90) -> str:
        """What kubectl printed. Raises KubectlFailed."""
        done = self._run(words, stdin, seconds)
        if done.returncode != 0:
            raise KubectlFailed(f"kubectl {' '.join(words[:6])}: {done.stderr.strip()}")
        return done.stdout

    def refused(self, *words: str, stdin: str | None = None) -> str:
        """What kubectl complained of; a command that goes well is the failure here."""
        done = self._run(words, stdin, 90)
        assert done.returncode != 0, f"kubectl {' '.join(words[:6])} went well: {done.stdout}"
        return done.stderr

    def diff(self, *words: str, stdin: str) -> str:
        """What applying this would change; "" where nothing."""
        done = self._run(("diff", *words, "--filename=-"), stdin, 90)
        if done.returncode > 1:
            raise KubectlFailed(f"kubectl diff {' '.join(words)}: {done.stderr.strip()}")
        return done.stdout

    @contextmanager
    def follow(self, *words: str) -> Iterator[list[str]]:
        """The lines that a kubectl prints which goes on and on; the first is there at once."""
        command = [str(KUBECTL), f"--kubeconfig={self.kubeconfig}", *words]
        said: list[str] = []
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as running:
            out = running.stdout
            assert out is not None
            reader = threading.Thread(target=lambda: said.extend(out), daemon=True)
            reader.start()
            try:
                eventually(lambda: said, f"kubectl {' '.join(words[:6])} says a line", seconds=30)
                yield said
            finally:
                running.terminate()
                reader.join()

    def _run(
        self, words: tuple[str, ...], stdin: str | None, seconds: float
    ) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [str(KUBECTL), f"--kubeconfig={self.kubeconfig}", *words],
            input=stdin,
            stdin=subprocess.DEVNULL if stdin is None else None,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=seconds,
            env={k: v for k, v in os.environ.items() if k != "KUBECONFIG"},
            check=False,
        )

    # -- objects ---------------------------------------------------------------------------

    def apply(self, *bodies: Body) -> None:
        listed = {"apiVersion": "v1", "kind": "List", "items": list(bodies)}
        self.kubectl("apply", "-f", "-", stdin=json.dumps(listed))

    def find(self, kind: str, namespace: str, name: str) -> Body | None:
        with _told():
            return self._direct.find(kind, namespace, name)

    def get(self, kind: str, namespace: str, name: str) -> Body:
        found = self.find(kind, namespace, name)
        assert found is not None, f"{kind} {namespace}/{name} is not there"
        return found

    def listed(self, kinds: str, namespace: str, labels: str = "") -> list[Body]:
        """Objects of one or more kinds (comma separated)."""
        with _told():
            return self._direct.listed(kinds, namespace, labels)

    def patch(self, kind: str, namespace: str, name: str, patch: Body) -> None:
        with _told():
            self._direct.patch(kind, namespace, name, patch)

    def delete(self, kind: str, namespace: str, name: str, *flags: str) -> None:
        """Waits until it is gone, unless a flag of kubectl's says otherwise."""
        if flags:
            words = ("delete", kind, name, f"--namespace={namespace}", *flags)
            self.kubectl(*words, seconds=330)
            return
        uid = self.get(kind, namespace, name)["metadata"]["uid"]
        with _told():
            self._direct.delete(kind, namespace, name)

        def gone() -> bool:
            found = self.find(kind, namespace, name)
            return found is None or found["metadata"]["uid"] != uid

        eventually(gone, f"{kind} {namespace}/{name} is gone", seconds=330)

    def forget(self, kind: str, namespace: str, name: str) -> None:
        """By force, and without waiting: within milliseconds, which a kubectl needs to start."""
        with _told():
            self._direct.delete(kind, namespace, name, force=True)

    # -- pods ------------------------------------------------------------------------------

    def logs(self, namespace: str, pod: str, *flags: str) -> str:
        return self.kubectl("logs", pod, f"--namespace={namespace}", *flags)

    def run_in(self, namespace: str, pod: str, container: str, *command: str) -> str:
        """One program by exec, never a shell: in PostgreSQL's container an orphan of a shell can
        crash the server."""
        return self.kubectl(
            "exec", pod, f"--namespace={namespace}", f"--container={container}", "--", *command
        )

    def operator_pods(self) -> list[Body]:
        return self.listed("pods", OPERATOR_NAMESPACE, OPERATOR)

    def operator_logs(self) -> str:
        """Of every operator pod, and of the container before a restart where there was one."""
        found = ""
        for pod in self.operator_pods():
            name = pod["metadata"]["name"]
            statuses = pod["status"].get("containerStatuses", [])
            if any("running" in status["state"] for status in statuses):
                found += self.logs(OPERATOR_NAMESPACE, name)
            if any(status["restartCount"] for status in statuses):
                found += self.logs(OPERATOR_NAMESPACE, name, "--previous")
        return found
