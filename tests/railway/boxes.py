"""Containers: a process each, or nothing at all where a test is about calls alone."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from railway.images import Exits, Image, Log, Spec

Ended = Callable[[int], None]


class Box(Protocol):
    ended: bool

    @property
    def passes_sigterm(self) -> bool: ...

    def terminate(self) -> None: ...

    def kill(self) -> None: ...


class Machine(Protocol):
    real: bool

    def start(self, image: Image, spec: Spec, log: Log, ended: Ended) -> Box:
        """Starts a container; `ended` gets its exit code, from another thread or right away."""

    def close(self) -> None: ...


@dataclass
class Idle:
    """A container that only pretends."""

    passes_sigterm: bool
    ended: bool = False

    def terminate(self) -> None:
        self.ended = self.ended or self.passes_sigterm

    def kill(self) -> None:
        self.ended = True


class Nothing:
    """Runs no process; an image's own checks still hold."""

    real = False

    def start(self, image: Image, spec: Spec, log: Log, ended: Ended) -> Box:
        box = Idle(image.passes_sigterm)
        try:
            image.check(spec)
        except Exits as exits:
            log(exits.said)
            box.ended = True
            ended(exits.code)
        return box

    def close(self) -> None:
        pass


@dataclass
class Process:
    image: Image
    spec: Spec
    scratch: Path
    log: Log
    on_end: Ended
    ended: bool = False
    leaving: bool = False
    process: subprocess.Popen[str] | None = None
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _gone: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        self.thread = threading.Thread(target=self._live, daemon=True, name="railway-box")
        self.thread.start()

    def _live(self) -> None:
        try:
            code = self._run()
        except Exits as exits:
            self.log(exits.said)
            code = exits.code
        except Exception as error:  # noqa: BLE001 - a crash of the double's own is told in the log
            self.log(f"the double failed: {error!r}")
            code = 125
        shutil.rmtree(self.scratch, ignore_errors=True)
        self.ended = True
        self._gone.set()
        if not self.leaving:
            self.on_end(code)

    def _run(self) -> int:
        self.image.check(self.spec)
        program = self.image.prepare(self.spec, self.scratch, self.log)
        with self._lock:
            if self.leaving:
                return 0
            self.process = subprocess.Popen(
                [*_alone(program.uid), *program.arguments],
                env=program.environment,
                cwd=program.folder,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                errors="replace",
            )
        assert self.process.stdout is not None
        with self.process.stdout as lines:
            for line in lines:
                self.log(line.rstrip("\n"))
        os.waitid(os.P_PID, self.process.pid, os.WEXITED | os.WNOWAIT)
        with self._lock:
            return self.process.wait()

    @property
    def passes_sigterm(self) -> bool:
        return self.image.passes_sigterm

    def pids(self) -> list[int]:
        """Of all that runs in the container; hold the lock for what is done to them.

        Once a process was waited for its number is another one's: a double that ended what it had
        run an hour before killed a pod of the cluster beside it.
        """
        process = self.process
        return family(process.pid) if process is not None and process.returncode is None else []

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """Nothing of it runs meanwhile, and whoever looks does not see that."""
        with self._lock:
            pids = self.pids()
            for pid in pids:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGSTOP)
        try:
            yield
        finally:
            with self._lock:
                for pid in reversed([each for each in self.pids() if each in pids]):
                    with suppress(ProcessLookupError):
                        os.kill(pid, signal.SIGCONT)

    def terminate(self) -> None:
        """SIGTERM, never SIGINT (§3 Stop); wrapper.sh does not pass it on."""
        self.leaving = True
        with self._lock:
            if self.process is not None and self.image.passes_sigterm:
                self.process.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """SIGKILL of all that is in the container at once."""
        self.leaving = True
        with self._lock:
            for pid in self.pids():
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
        if threading.current_thread() is not self.thread:
            self._gone.wait(60)


def _alone(uid: int | None) -> list[str]:
    """As a container: with shared memory of its own, which a killed server leaves to nobody, else
    the machine has none left after 4096 of them; and as its user."""
    if os.getuid() != 0:
        return []
    alone = ["unshare", "--ipc", "--"]
    if uid is None:
        return alone
    return [*alone, "setpriv", f"--reuid={uid}", f"--regid={uid}", "--clear-groups", "--"]


def family(pid: int) -> list[int]:
    """A process and all below it, the oldest first."""
    try:
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except OSError:
        return []
    return [pid, *(each for child in children for each in family(int(child)))]


@dataclass
class Processes:
    """Really runs what Railway would."""

    root: Path
    real: bool = True
    boxes: list[Process] = field(default_factory=list)

    def start(self, image: Image, spec: Spec, log: Log, ended: Ended) -> Box:
        scratch = self.root / f"b{len(self.boxes)}"
        scratch.mkdir()
        scratch.chmod(0o755)
        box = Process(image, spec, scratch, log, ended)
        self.boxes.append(box)
        return box

    def running(self) -> list[Process]:
        return [box for box in self.boxes if not box.ended]

    def close(self) -> None:
        for box in self.boxes:
            box.kill()
