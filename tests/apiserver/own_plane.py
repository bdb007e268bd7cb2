"""A control plane of a test's own, whose parts can be killed, stopped and brought back."""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from apiserver.access import ROOT
from node import golang, paths, ports, waiting
from node.control_plane import Plane

Child = subprocess.Popen[bytes]


@contextmanager
def child(argv: Sequence[str | Path], log: Path, **env: str) -> Iterator[Child]:
    """A process that ends with ours, even by kill -9."""
    setpriv = [paths.BIN / "setpriv", "--pdeathsig", "KILL"]
    with log.open("ab") as output:
        process = subprocess.Popen(
            [str(word) for word in (*setpriv, *argv)],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            env=env or None,
        )
    try:
        yield process
    finally:
        process.kill()
        process.wait()


@dataclass
class OwnPlane:
    """etcd and an API server with our definitions."""

    plane: Plane
    _parts: ExitStack = field(default_factory=ExitStack)

    def begin(self) -> None:
        self.plane.prepare()
        self._etcd = self._parts.enter_context(child(self.plane.etcd(), self._log("etcd")))
        self.bring_back()
        self.apply_definitions()

    def end(self) -> None:
        self._parts.close()

    def apply_definitions(self) -> None:
        self.kubectl("apply", "--server-side", "-f", str(ROOT / "crds"))
        self.kubectl("wait", "--for=condition=Established", "crd", "--all", "--timeout=30s")

    def kill(self) -> None:
        """The API server, at once."""
        self._apiserver.kill()
        self._apiserver.wait()

    def bring_back(self) -> None:
        """The API server, on the same port and the same data."""
        argv = self.plane.apiserver()
        self._apiserver = self._parts.enter_context(child(argv, self._log("kube-apiserver")))
        waiting.until(self.plane.ready, f"kube-apiserver (log: {self.plane.folder})", seconds=60)

    def freeze(self) -> None:
        """etcd answers nobody, and its connections stay open."""
        self._etcd.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        self._etcd.send_signal(signal.SIGCONT)

    def kubectl(self, *arguments: str, stdin: str = "") -> str:
        done = subprocess.run(
            [str(self.plane.kubectl), f"--kubeconfig={self.plane.kubeconfig}", *arguments],
            input=stdin,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def _log(self, role: str) -> Path:
        return self.plane.folder / f"{role}.log"


@contextmanager
def own_plane(folder: Path) -> Iterator[OwnPlane]:
    if not golang.built("kube").exists():
        pytest.skip("kube-apiserver is not built: run `make up`, or `python3 -m node build`")
    made = OwnPlane(Plane(folder, "127.0.0.1", ports.free(), ports.free(), ports.free()))
    try:
        made.begin()
        yield made
    finally:
        made.end()
