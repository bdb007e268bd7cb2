"""Takes everything of the node away, from any state: after a kill -9 of all, or a half bring-up.

Nothing here trusts a record of what was started. Each kind of leftover is looked for where the
kernel keeps it, told by our mark, our cgroup, our folder or our names.
"""

import json
import shutil
from pathlib import Path

from node import cgroups, firewall, network, paths, processes, waiting
from node.commands import run, succeeds

# Where programs of others write whatever they are told: seen as ours by what the entries point to.
_CNI_RESULTS = Path("/var/lib/cni")
_KUBELET = Path("/var/lib/kubelet")
_LOG_LINKS = Path("/var/log/containers")
_SHIM_SOCKETS = Path("/run/containerd/s")
_MADE_ON_THE_WAY = (
    _CNI_RESULTS / "results",
    _CNI_RESULTS / "cache",
    _CNI_RESULTS,
    _KUBELET / "device-plugins",
    _KUBELET,
    _LOG_LINKS,
    _SHIM_SOCKETS,
    _SHIM_SOCKETS.parent,
)
_THERE_BEFORE = paths.STATE / "folders.json"


def everything() -> None:
    """In this order: who would start things again ends first, mounts go when nobody uses them."""
    _processes()
    _mounts()
    _loop_devices()
    network.take_down()
    firewall.clean()
    _files_elsewhere()
    cgroups.remove()
    _state()


def remember() -> None:
    """Before anything is started: what is there already is not ours to take away."""
    there = [str(folder) for folder in _MADE_ON_THE_WAY if folder.exists()]
    _THERE_BEFORE.write_text(json.dumps(there))


def needed() -> bool:
    """Whether anything of a node is here, said without any program but this one."""
    state = paths.STATE.exists() and any(f != paths.LOCK for f in paths.STATE.iterdir())
    return bool(state or processes.ours() or cgroups.folders() or network.exists() or mounts())


def mounts(table: str | None = None) -> list[str]:
    """Mount points in and below the node's folder, the last mounted first."""
    text = Path("/proc/self/mounts").read_text() if table is None else table
    points = [_unescaped(line.split()[1]) for line in text.splitlines()]
    return [p for p in reversed(points) if Path(p).is_relative_to(paths.STATE)]


def loop_devices() -> list[str]:
    """Devices whose file is in the node's folder, though it may be deleted meanwhile."""
    listed = json.loads(run(["losetup", "--json", "--list"]) or '{"loopdevices": []}')
    return [
        device["name"]
        for device in listed["loopdevices"]
        if str(device["back-file"]).startswith(f"{paths.STATE}/")
    ]


def _processes() -> None:
    """Again until none is left: a runtime may be in the middle of starting one more."""
    while pids := {p.pid for p in processes.ours()} | cgroups.pids():
        processes.end(pids, seconds=60)


def _mounts() -> None:
    def gone() -> bool:
        for point in mounts():
            # Detached only where busy: by then no process of ours is left that could use it.
            if not succeeds(["umount", point]):
                succeeds(["umount", "--lazy", point])
        return not mounts()

    waiting.until(gone, f"nothing is mounted below {paths.STATE}", seconds=60)


def _loop_devices() -> None:
    """They are freed by the last unmount; this is for those whose mount never came about."""

    def gone() -> bool:
        for device in loop_devices():
            succeeds(["losetup", "--detach", device])
        return not loop_devices()

    waiting.until(gone, "no loop device is on the node's files", seconds=30)


def _files_elsewhere() -> None:
    for result in _CNI_RESULTS.glob("results/postbase-*"):
        result.unlink()
    for entry in _LOG_LINKS.glob("*") if _LOG_LINKS.exists() else ():
        if entry.is_symlink() and entry.readlink().is_relative_to(paths.STATE):
            entry.unlink()
    live = Path("/proc/net/unix").read_text()
    for socket in _SHIM_SOCKETS.glob("*"):
        if str(socket) not in live:
            socket.unlink()
    there_before = json.loads(_THERE_BEFORE.read_text()) if _THERE_BEFORE.exists() else []
    for folder in _MADE_ON_THE_WAY:
        if str(folder) in there_before or not folder.is_dir():
            continue
        for file in (_KUBELET / "device-plugins").glob("*") if folder.parent == _KUBELET else ():
            file.unlink()
        if not any(folder.iterdir()):
            folder.rmdir()


def _state() -> None:
    """All but the lock, which its holder takes away last."""
    for entry in paths.STATE.iterdir() if paths.STATE.exists() else ():
        if entry == paths.LOCK:
            continue
        if entry.is_dir() and not entry.is_symlink():
            shutil.rmtree(entry)
        else:
            entry.unlink()


def _unescaped(point: str) -> str:
    """/proc/mounts writes spaces and the like as octal."""
    return point.encode().decode("unicode_escape") if "\\" in point else point
