"""`node programs`: installs what is declared and missing, and makes the PATH of links.

A package must not start a service: a second containerd, at its own address and with its own
bridge, is what the comparison before and after would find.
"""

import os
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from node import declared, paths
from node.commands import run, succeeds
from node.console import step
from node.errors import NodeError
from node.links import link

_POLICY = Path("/usr/sbin/policy-rc.d")
_POLICY_TEXT = "#!/bin/sh\n# Postbase's test node: packages start nothing.\nexit 101\n"


def provide(*, install: bool = True, more: tuple[str, ...] = ()) -> None:
    """`install` is for what runs here as root; kind needs but links to what there is."""
    if install:
        _install_missing()
    _link(install, more)


def _install_missing() -> None:
    require_linux_root()
    missing = {name for name in _names() if not _find(name)}
    packages = declared.packages_for(missing)
    if not Path(declared.CNI_PLUGINS, "bridge").exists():
        packages.append(declared.CNI_PACKAGE)
    if not succeeds([sys.executable, "-c", "import ensurepip, venv"]):
        packages.append(declared.VENV_PACKAGE)
    if packages:
        with step(f"Debian packages: {' '.join(packages)}", usually=40):
            _install(packages)


def use_only_declared() -> None:
    """From here on every child finds the declared programs and nothing else."""
    os.environ["PATH"] = str(paths.BIN)


def require_linux_root() -> None:
    if os.geteuid() != 0:
        raise NodeError("the node needs root: run this as root, or use CLUSTER=context")
    if sys.platform != "linux" or not shutil.which("apt-get", path=declared.DEBIAN_PATH):
        raise NodeError("the node needs Debian (apt-get): use CLUSTER=context, or kind with Docker")


def _install(packages: list[str]) -> None:
    install = ["apt-get", "install", "-y", "--no-install-recommends"]
    options = ["-o", "DPkg::Lock::Timeout=300", *packages]
    env = {"DEBIAN_FRONTEND": "noninteractive", "PATH": declared.DEBIAN_PATH}
    with _no_service_starts():
        try:
            run([*install, *options], env=env, log="apt", seconds=900)
        except NodeError:
            # A machine that is new, or old, has no usable package lists.
            run(["apt-get", "update"], env=env, log="apt", seconds=300)
            run([*install, *options], env=env, log="apt", seconds=900)


@contextmanager
def _no_service_starts() -> Iterator[None]:
    """The machine's own policy is put back; ours, left by a killed run, is not taken for it."""
    before = _POLICY.read_text() if _POLICY.exists() else None
    _POLICY.write_text(_POLICY_TEXT)
    _POLICY.chmod(0o755)
    try:
        yield
    finally:
        if before is None or before == _POLICY_TEXT:
            _POLICY.unlink()
        else:
            _POLICY.write_text(before)


def _link(all_of_them: bool, more: tuple[str, ...]) -> None:
    """Links to what is declared; links to what is not (any more) go. `build` adds its own."""
    paths.BIN.mkdir(parents=True, exist_ok=True)
    found = {name: _find(name) for name in (*_names(), *more)}
    if all_of_them and (missing := sorted(name for name, path in found.items() if not path)):
        raise NodeError(f"not found though installed: {', '.join(missing)} (.cluster/log/apt.log)")
    wanted = {name: path for name, path in found.items() if path}
    wanted["python3"] = Path(os.path.realpath(sys.executable))
    for entry in paths.BIN.iterdir():
        if entry.name not in wanted and entry.name != "go" and not _is_built(entry):
            entry.unlink()
    for name, target in wanted.items():
        link(name, target)


def _is_built(entry: Path) -> bool:
    return entry.exists() and entry.resolve().is_relative_to(paths.cache())


def _names() -> list[str]:
    return [name for names in declared.PROGRAMS.values() for name in names]


def _find(name: str) -> Path | None:
    """In the system's folders first: a link is to what the package brought, where it did."""
    known = [folder for folder in os.get_exec_path() if Path(folder) != paths.BIN]
    found = shutil.which(name, path=os.pathsep.join([declared.DEBIAN_PATH, *known]))
    return Path(found) if found else None
