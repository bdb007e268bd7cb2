"""A recovery as its Job runs it: the fill, the sidecar, and recover.sh for the image."""

from __future__ import annotations

import os
import subprocess
import threading
from dataclasses import dataclass, field
from pathlib import Path

from component.job_runs import REAL
from component.servers import Server, Servers
from postbase_operator.archive.run import FillRun, LastWord, Recovered, RecoveryTask
from postbase_operator.desired import config, names
from postbase_operator.jobs import fill
from postbase_operator.jobs.prefetch import FOLDERS, Prefetch
from postbase_operator.objectstore.s3 import S3Store
from postbase_operator.planning.recovery_way import Recovery

UID = "7c1e4f5c-0000-4000-8000-00000000000d"
SCRIPTS = Path(config.__file__).parent / "scripts"
CONTROL = r"""#!/bin/sh
control="$2/global/pg_control"
number() { od -An "-tu$2" "-j$1" "-N$2" "$control" | tr -d ' '; }
at=$(number 32 8)
case $(number 16 4) in 1) state="shut down" ;; 6) state="in production" ;; *) state=other ;; esac
echo "Database system identifier:  $(number 0 8)"
echo "Database cluster state:      $state"
printf 'Latest checkpoint location:  %X/%X\n' $((at >> 32)) $((at & 4294967295))
echo "Latest checkpoint's TimeLineID: $(number 48 4)"
"""
"""The packages that tests use lack pg_controldata."""


def task(plan: Recovery, **more: object) -> RecoveryTask:
    return RecoveryTask(
        restore=UID,
        timeline=plan.timelines[-1],
        end=str(plan.end),
        stop_at=plan.stop_at,
        last_commit=plan.last_commit,
        **more,
    )


@dataclass
class Attempt:
    """One recovery of one backup onto a volume of its own."""

    server: Server
    """Bare; it gets the data."""
    run: FillRun
    store: S3Store
    environment: dict[str, str] = field(default_factory=dict)

    @property
    def folder(self) -> Path:
        return self.server.folder / "shared"

    @property
    def word(self) -> Path:
        return self.server.folder / "word"

    def prepare(self) -> None:
        volume = self.server.folder / "volume"
        volume.mkdir(exist_ok=True)
        fill.make(self.run, self.store, volume)
        self.folder.mkdir(exist_ok=True)
        for name in FOLDERS:
            (self.folder / name).mkdir(exist_ok=True)
            (self.folder / name).chmod(0o777)
        self.folder.chmod(0o777)
        if os.getuid() == 0:
            everything = (volume, *volume.rglob("*"))
            for path in everything:
                os.chown(path, 65534, 65534, follow_symlinks=False)
        self._scripts(volume)

    def _scripts(self, volume: Path) -> None:
        """With this test's folders in the place of the pod's."""
        place = self.server.folder / "config"
        place.mkdir(exist_ok=True)
        (self.server.folder / "tmp").mkdir(exist_ok=True)
        (self.server.folder / "tmp").chmod(0o777)
        for name in ("recover.sh", "restore.sh"):
            text = (SCRIPTS / name).read_text()
            for pod, here in (
                ("/tmp", self.server.folder / "tmp"),
                (names.MOUNT, volume),
                (names.CONFIG_MOUNT, place),
                (names.RUN_MOUNT, self.folder),
                ("/dev/termination-log", self.word),
            ):
                text = text.replace(pod, str(here))
            (place / name).write_text(text)

    def sidecar(self) -> threading.Thread:
        thread = threading.Thread(
            target=Prefetch(self.run, self.store, self.folder).serve, daemon=True
        )
        thread.start()
        return thread

    def recover(self) -> subprocess.Popen[str]:
        """recover.sh, as the container runs it."""
        path = self._programs()
        who = self.server.unprivileged()
        recovery = self.run.recovery
        environment = {"PATH": f"{path}:{os.environ['PATH']}", "LC_ALL": "C"} | self.environment
        if recovery is not None:
            environment["POSTBASE_TIMELINE"] = recovery.target_timeline
            if recovery.stop_at is not None:
                environment["POSTBASE_STOP_AT"] = recovery.stop_at.isoformat(sep=" ")
        return subprocess.Popen(
            ["/bin/sh", str(self.server.folder / "config" / "recover.sh")],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
            **who | {"env": environment},
        )

    def _programs(self) -> str:
        if self.server.major == 15 and (REAL / "pg_controldata").exists():
            return str(REAL)
        own = self.server.folder / "programs"
        own.mkdir(exist_ok=True)
        control = own / "pg_controldata"
        control.write_text(CONTROL)
        control.chmod(0o755)
        return f"{own}:{self.server.programs / 'bin'}"

    def end(self) -> None:
        (self.folder / "failed").touch()


def recovered(
    servers: Servers,
    major: int,
    store: S3Store,
    object_key: str,
    wanted: RecoveryTask | None,
    **settings: str,
) -> tuple[Server, Recovered]:
    """Runs it to its end, and starts what came out."""
    attempt = begun(servers, major, store, object_key, wanted)
    attempt.environment["POSTBASE_TRACK_COMMIT_TIMESTAMP"] = "on"
    attempt.sidecar()
    process = attempt.recover()
    output, _ = process.communicate(timeout=120)
    assert process.returncode == 0, output[-4000:]
    word = Recovered.from_bytes(attempt.word.read_bytes())
    attempt.end()
    started(attempt, **settings)
    return attempt.server, word


def begun(
    servers: Servers, major: int, store: S3Store, object_key: str, wanted: RecoveryTask | None
) -> Attempt:
    attempt = Attempt(servers.bare(major), FillRun(object_key=object_key, recovery=wanted), store)
    attempt.word.touch()
    attempt.word.chmod(0o666)
    attempt.prepare()
    return attempt


def started(attempt: Attempt, **settings: str) -> None:
    server = attempt.server
    (server.folder / "volume" / "pgdata").rename(server.data)
    server.configure(**settings)
    server.take_over()
    server.start()


def failed(attempt: Attempt) -> tuple[LastWord, str]:
    """Runs to its end, which must be no good one."""
    process = attempt.recover()
    output, _ = process.communicate(timeout=120)
    assert process.returncode != 0, output[-4000:]
    return LastWord.from_bytes(attempt.word.read_bytes()), output
