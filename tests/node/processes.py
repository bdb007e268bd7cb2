"""The node's processes, told from all others by a mark in their environment.

Pid files lie after a kill -9 or a reboot, and a second checkout does not have the first one's. The
mark is inherited by containerd's shims, so /proc alone knows what is ours.
"""

import os
import signal
import subprocess
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from node import waiting

MARK = "POSTBASE_NODE"
PROC = Path("/proc")

Daemon = subprocess.Popen[bytes]


@dataclass(frozen=True)
class Process:
    pid: int
    role: str
    argv: tuple[str, ...]


def start(role: str, argv: Sequence[str | Path], *, log: Path) -> Daemon:
    """A daemon of its own session, so that the terminal's Ctrl-C never reaches it."""
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as output:
        return subprocess.Popen(
            [str(word) for word in argv],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            cwd="/",
            env={**os.environ, MARK: role},
            start_new_session=True,
        )


def ours() -> list[Process]:
    """Every live process that carries the mark; dead ones waiting to be reaped have none."""
    return sorted(filter(None, map(_ours, _pids())), key=lambda process: process.pid)


def running() -> dict[str, int]:
    """role -> pid of the daemons themselves. Their children carry the mark too: a shim whose
    containerd is dead must not pass for it, nor a child that has not become its program yet, which
    is younger."""
    found = [p for p in ours() if p.argv and Path(p.argv[0]).name == p.role]
    return {process.role: process.pid for process in reversed(found)}


def end(pids: Iterable[int], *, seconds: float = 20) -> None:
    """SIGKILL, then waits until /proc no longer has them: ports are free only then."""
    wanted = set(pids)
    for pid in wanted:
        send(pid, signal.SIGKILL)
    waiting.until(
        lambda: not any(map(_alive, wanted)),
        f"processes {sorted(wanted)} are gone",
        seconds=seconds,
        every=0.02,
    )


def send(pid: int, number: signal.Signals) -> None:
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return


def name(pid: int) -> str:
    """For messages: the program's name and its pid."""
    return f"{_read(pid, 'comm').decode(errors='replace').strip() or 'a process'} (pid {pid})"


def _pids() -> list[int]:
    return [int(entry.name) for entry in PROC.iterdir() if entry.name.isdigit()]


def _ours(pid: int) -> Process | None:
    prefix = f"{MARK}=".encode()
    for variable in _read(pid, "environ").split(b"\0"):
        if variable.startswith(prefix):
            argv = _read(pid, "cmdline").decode(errors="replace").split("\0")
            return Process(pid, variable.removeprefix(prefix).decode(), tuple(argv[:-1]))
    return None


def _alive(pid: int) -> bool:
    """A zombie is not: it holds no port, no mount and no lock."""
    status = _read(pid, "stat").decode(errors="replace").rpartition(")")[2].split()
    return bool(status) and status[0] not in "ZX"


def _read(pid: int, file: str) -> bytes:
    try:
        return (PROC / str(pid) / file).read_bytes()
    except (FileNotFoundError, ProcessLookupError, PermissionError):
        return b""
