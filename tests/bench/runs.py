"""One run of a program, measured: wall time, processor time, peak memory."""

from __future__ import annotations

import os
import subprocess
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

TICKS = os.sysconf("SC_CLK_TCK")
PAGE = os.sysconf("SC_PAGE_SIZE")
SAMPLED_EVERY = 0.05
MIB = 2**20


@dataclass(frozen=True)
class Run:
    """`cpu` is in seconds, of the program's processes and of the server's; `peak` in bytes, the
    sum over the program's processes of what is resident."""

    seconds: float
    cpu: float
    peak: int


class Failed(Exception):
    """The program did, with the end of what it said."""


def measured(
    command: Sequence[str | Path],
    log: Path,
    server: int | None = None,
    env: Mapping[str, str] | None = None,
    **more: Any,
) -> Run:
    """`server`: the postmaster's process id, where its share counts."""
    before = server_cpu(server)
    began = time.monotonic()
    with log.open("ab") as out:
        process = subprocess.Popen(
            [str(word) for word in command],
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=out,
            start_new_session=True,
            env=dict(env) if env is not None else None,
            **more,
        )
    sampler = Sampler(process.pid)
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.monotonic() - began
    sampler.stop()
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        raise Failed(f"{command[0]} ended with {process.returncode}: {log.read_text()[-2000:]}")
    cpu = usage.ru_utime + usage.ru_stime + server_cpu(server) - before
    return Run(seconds, cpu, sampler.peak)


class Sampler:
    """The peak of what all processes of a session hold."""

    def __init__(self, session: int) -> None:
        self.peak = 0
        self._session = session
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._sample, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self._over.set()
        self._thread.join()

    def _sample(self) -> None:
        while not self._over.wait(SAMPLED_EVERY):
            self.peak = max(self.peak, sum(self._resident()))

    def _resident(self) -> list[int]:
        found = []
        for folder in Path("/proc").glob("[0-9]*"):
            fields = _stat(folder)
            if fields and int(fields[3]) == self._session:
                found.append(int(fields[21]) * PAGE)
        return found


def server_cpu(postmaster: int | None) -> float:
    """Seconds that a server and all its children have taken so far."""
    if postmaster is None:
        return 0.0
    own = _stat(Path(f"/proc/{postmaster}"))
    ticks = sum(map(int, own[11:15])) if own else 0
    for folder in Path("/proc").glob("[0-9]*"):
        fields = _stat(folder)
        if fields and int(fields[1]) == postmaster:
            ticks += int(fields[11]) + int(fields[12])
    return ticks / TICKS


def _stat(folder: Path) -> list[str]:
    """Fields of /proc/<pid>/stat from the state on; none of a process that has ended."""
    try:
        return (folder / "stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return []
