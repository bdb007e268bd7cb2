"""The pods' cgroups: below one of our own name, so that every container's process can be found.

A container has its own environment, so it does not carry the mark of `processes`.
"""

from pathlib import Path

from node import waiting

NAME = "postbase-node"
_ROOT = Path("/sys/fs/cgroup")


def make() -> None:
    """The kubelet wants its root to be there, in every hierarchy. Version 2 delegates by a list."""
    for root in _hierarchies():
        (root / NAME).mkdir(exist_ok=True)
        controllers = root / "cgroup.controllers"
        if root == _ROOT and controllers.exists():
            wanted = " ".join(f"+{name}" for name in controllers.read_text().split())
            (root / "cgroup.subtree_control").write_text(wanted)


def pids() -> set[int]:
    found: set[int] = set()
    for folder in folders():
        try:
            found.update(map(int, (folder / "cgroup.procs").read_text().split()))
        except (FileNotFoundError, OSError):
            continue  # taken away meanwhile, or a threaded group of version 2
    return found


def remove() -> None:
    """Deepest first. A group whose last process has just died is busy for a moment."""
    waiting.until(_removed, f"cgroups {NAME} are gone", seconds=20, every=0.05)


def folders() -> list[Path]:
    """Parents before children."""
    tops = [root / NAME for root in _hierarchies()]
    return [f for top in tops if top.exists() for f in (top, *sorted(top.rglob("*/")))]


def _removed() -> bool:
    for folder in reversed(folders()):
        try:
            folder.rmdir()
        except OSError:
            return False
    return True


def _hierarchies() -> list[Path]:
    """Version 1 mounts one a controller; version 2, alone or beside it, is one."""
    if (_ROOT / "cgroup.controllers").exists():
        return [_ROOT]
    links = {f for f in _ROOT.iterdir() if (f / "cgroup.procs").exists() and not f.is_symlink()}
    return sorted(links)
