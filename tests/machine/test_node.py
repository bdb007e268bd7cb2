"""The node comes, survives the loss of all its processes, changes hands, and goes without a trace.

One story in order, since each bring-up costs most of a minute: a test is a chapter, and what
earlier ones have left is what later ones begin with. It ends with no node on the machine.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

from node import cgroups, kind, paths, processes, sweep

pytestmark = pytest.mark.timeout(900)

ROOT = paths.CHECKOUT
Snapshot = dict[str, list[str]]
UNSHARED = {"scratch", "buildah"}
"""Folders of the cache that builds work in: not built parts, and empty in between."""


@dataclass(frozen=True)
class Checkout:
    """A checkout whose `make up` and `make down` are run; by the machine's own Python."""

    path: Path

    def node(self, command: str, *, seconds: float = 600) -> str:
        kept = {k: v for k, v in os.environ.items() if k not in ("CLUSTER", "CONTEXT", "IMAGES")}
        done = subprocess.run(
            ["python3", "-m", "node", command],
            cwd=self.path,
            env={**kept, "PYTHONPATH": str(self.path / "tests")},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=seconds,
            check=False,
        )
        assert done.returncode == 0, f"node {command}: {done.stdout[-3000:]}{done.stderr[-2000:]}"
        return done.stdout

    def residue(self) -> Snapshot:
        found: Snapshot = json.loads(self.node("residue"))
        return found

    def kubectl(self, *words: str) -> str:
        cluster = self.path / ".cluster"
        return subprocess.run(
            [cluster / "bin" / "kubectl", f"--kubeconfig={cluster / 'kubeconfig'}", *words],
            capture_output=True,
            text=True,
            check=True,
            timeout=60,
        ).stdout

    def ready(self) -> list[str]:
        """The deployments of the product that are available, by the API server's own word."""
        listed = json.loads(
            self.kubectl("get", "deployments", "--namespace=postbase-system", "-o", "json")
        )
        return [
            body["metadata"]["name"]
            for body in listed["items"]
            for condition in body["status"].get("conditions", [])
            if condition["type"] == "Available" and condition["status"] == "True"
        ]


@pytest.fixture(scope="module")
def checkout() -> Checkout:
    if os.geteuid() != 0:
        pytest.skip("the node needs root")
    if kind.docker_answers():
        pytest.skip("a Docker engine answers: `make up` uses kind here, and there is no node")
    return Checkout(ROOT)


@pytest.fixture(scope="module")
def before(checkout: Checkout) -> Snapshot:
    """The machine without a node: as found, or once one that is up has gone."""
    if sweep.needed():
        checkout.node("down")
    return checkout.residue()


@pytest.fixture(scope="module")
def clone(checkout: Checkout, tmp_path_factory: pytest.TempPathFactory) -> Checkout:
    """A second clone of this very work tree, with what is not committed yet."""
    path = tmp_path_factory.mktemp("second") / "clone"
    git("clone", "--quiet", "--no-hardlinks", str(ROOT), str(path), at=ROOT)
    tracked = git("ls-files", "-z", at=path)
    for name in filter(None, tracked.split("\0")):
        (path / name).unlink()
    wanted = git("ls-files", "-z", "--cached", "--others", "--exclude-standard", at=ROOT)
    for name in filter(None, wanted.split("\0")):
        if (ROOT / name).is_file():
            (path / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, path / name)
    return Checkout(path)


def git(*words: str, at: Path) -> str:
    return subprocess.run(
        ["git", "-c", f"safe.directory={ROOT}", *words],
        cwd=at,
        capture_output=True,
        text=True,
        check=True,
    ).stdout


def built() -> dict[str, int]:
    """Every file of the cache that was built, with the time of its last change."""
    found = {}
    for entry in paths.cache().iterdir():
        if entry.name in UNSHARED or entry.name.endswith(".lock") or "venv-" in entry.name:
            continue
        for file in [entry, *entry.rglob("*")]:
            found[str(file.relative_to(paths.cache()))] = file.lstat().st_mtime_ns
    return found


def daemons() -> set[int]:
    """The node's own programs. What they start (shims, runc, iptables) comes and goes."""
    return set(processes.running().values())


def owner() -> str:
    return paths.OWNER.read_text().strip()


def test_it_comes_up_with_the_operator(checkout: Checkout, before: Snapshot) -> None:
    checkout.node("up", seconds=880)
    assert owner() == str(ROOT)
    assert "postbase-operator" in checkout.ready()
    assert checkout.residue() != before, "the comparison at the end would prove nothing"


def test_a_second_up_leaves_it_running(checkout: Checkout) -> None:
    before = daemons()
    assert len(before) >= 9
    checkout.node("up")
    assert daemons() == before


def test_it_comes_back_after_kill_9_of_every_process(checkout: Checkout) -> None:
    """Shims and containers too; their mounts, loop devices, addresses and rules stay behind."""
    killed = {p.pid for p in processes.ours()} | cgroups.pids()
    assert len(killed) > 9
    for pid in killed:
        processes.send(pid, signal.SIGKILL)
    processes.end(killed)
    assert sweep.mounts(), "nothing was left behind: the next line would prove nothing"
    checkout.node("up")
    assert "postbase-operator" in checkout.ready()


def test_a_second_clone_takes_it_over_and_builds_nothing(
    checkout: Checkout, clone: Checkout
) -> None:
    parts = built()
    assert any(name.startswith("kube-") for name in parts)
    clone.node("up")
    assert owner() == str(clone.path)
    assert "postbase-operator" in clone.ready()
    now = built()
    assert sorted(name for name in parts | now if parts.get(name) != now.get(name)) == []
    assert clone.kubectl("get", "nodes", "--output=name").strip() == "node/postbase-node"


def test_it_goes_without_a_trace(clone: Checkout, before: Snapshot) -> None:
    clone.node("down")
    after = clone.residue()
    assert {part: after[part] for part in before if after[part] != before[part]} == {}
    assert not paths.STATE.exists()


def test_down_without_a_node_is_no_error(checkout: Checkout, before: Snapshot) -> None:
    checkout.node("down")
    assert checkout.residue() == before
