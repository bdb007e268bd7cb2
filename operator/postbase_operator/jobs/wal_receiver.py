"""The sidecar beside every database, while archiving is off: there, and costing nothing.

A sidecar sits in the pod from the first day so that switching archiving on restarts nothing. Until
then it looks once a second whether its file has changed, and imports nothing: its memory is a bare
interpreter's. Switched on, it becomes the process that archives; that one becomes this again. A
service of its own (Railway) is told by variables, and archives from its start on.
"""

from __future__ import annotations

import os
import signal
import sys

ROOT = "POSTBASE_ROOT"
"""Variable: what all mounts lie under, where that is not `/`."""
CONFIG = "/postbase/config/receiver.json"
TOLD = "POSTBASE_RECEIVER"
"""Variable: all is told by variables, and nothing mounted (archive/receiver_environment.py)."""
ENDS = {signal.SIGTERM, signal.SIGINT}
LOOK_SECONDS = 1.0
ENVIRONMENT = {
    # Memory goes back to the machine when it is free, and is not kept for each thread.
    "MALLOC_ARENA_MAX": "1",
    "MALLOC_MMAP_THRESHOLD_": "1048576",
    "MALLOC_TRIM_THRESHOLD_": "4194304",
}


def main() -> int:
    """Until SIGTERM or SIGINT; as PID 1 it would ignore both without asking for them."""
    signal.pthread_sigmask(signal.SIG_BLOCK, ENDS)
    if TOLD in os.environ:
        become("postbase_operator.jobs.far_receiver", ENVIRONMENT)
    seen: object = None
    while True:
        mark = _mark()
        if mark != seen:
            seen = mark
            if mark is not None and _is_enabled():
                become("postbase_operator.jobs.archiving", ENVIRONMENT)
        if signal.sigtimedwait(ENDS, LOOK_SECONDS) is not None:
            return 0


def become(module: str, more: dict[str, str], *arguments: str) -> None:
    """The same process with another program; signals that came meanwhile are not lost."""
    command = [sys.executable, "-m", module, *arguments]
    os.execve(sys.executable, command, os.environ | more)  # noqa: S606 - ourselves


def config_path() -> str:
    return os.environ.get(ROOT, "") + CONFIG


def _mark() -> tuple[int, int, int] | None:
    """Changes whenever the file does; None where there is none."""
    try:
        stat = os.stat(config_path())  # noqa: PTH116 - pathlib is an import
    except OSError:
        return None
    return stat.st_ino, stat.st_mtime_ns, stat.st_size


def _is_enabled() -> bool:
    """False too where the file cannot be read: the next change may mend it."""
    import json

    try:
        with open(config_path(), "rb") as file:  # noqa: PTH123
            wire = json.load(file)
    except (OSError, ValueError):
        return False
    return isinstance(wire, dict) and wire.get("enabled") is True
