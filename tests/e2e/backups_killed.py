"""Backups that are killed in their middle, so surely that nothing of them can complete after."""

from __future__ import annotations

import os
import signal
from dataclasses import dataclass
from pathlib import Path

from e2e.cluster import Body, eventually
from e2e.database import Db
from e2e.runs import FINAL, Process, Run, backup, dump_held, processes, wait_dump_held

KILLED_ROWS = 600_000
"""Of 80 bytes: a copy that lasts long enough to be met in its middle."""
COPIES = 3
"""So many are begun, at most, until one is met there: a second may pass between two looks."""


@dataclass(frozen=True)
class Killed:
    """The run, and what was told of it before it was tried again."""

    run: Run
    said: Body
    status: Body

    @classmethod
    def told(cls, run: Run) -> Killed:
        return cls(run, run.wait_for("Retrying", seconds=90), run.status())


def kill_a_dump(db: Db) -> Killed:
    """Its pod, by force, while pg_dump waits for a table.

    The table is held until the last process has ended: by force only the pod's object goes at once,
    and a dump that was let go before the kubelet had killed it completed as the first attempt.
    """
    run = backup(db, "killed-dump", "Logical")
    with dump_held(db):
        run.apply()
        wait_dump_held(db)
        pod = run.pod()
        assert pod is not None
        flags = ("--force", "--grace-period=0", "--wait=false")
        db.cluster.delete("pod", db.namespace, pod["metadata"]["name"], *flags)
        told = Killed.told(run)
        eventually(lambda: not any(processes(pod["metadata"]["uid"])), "its end", seconds=60)
        return told


def kill_a_copy(db: Db) -> Killed:
    """Its process, by SIGKILL, while PostgreSQL sends the files."""
    rows = f"SELECT n, md5(random()::text) FROM generate_series(1, {KILLED_ROWS}) n"  # noqa: S608
    db.rows(f"CREATE TABLE bulk AS {rows}")
    for number in range(1, COPIES + 1):
        run = backup(db, f"killed-copy-{number}", "Physical").apply()
        if _killed_in_its_copy(run) and _is_tried_again(run):
            return Killed.told(run)
        run.delete()
    raise AssertionError(f"none of {COPIES} copies was met in its middle")


def _is_tried_again(run: Run) -> bool:
    """False where it was killed only once all of it was stored."""

    def known() -> bool:
        return run.ready().get("reason") == "Retrying" or run.status().get("phase") in FINAL

    eventually(known, "what became of it", seconds=90)
    return run.status().get("phase") not in FINAL


def _killed_in_its_copy(run: Run) -> bool:
    """False where a copy was over before we saw it."""
    sends = b"SELECT 1 FROM pg_stat_get_progress_info('BASEBACKUP') WHERE pid IS NOT NULL"

    def begun() -> bool:
        return _program_of(run) is not None or run.status().get("phase") in FINAL

    with run.db.connect() as watch:
        eventually(begun, "its process", seconds=60, every=0.05)
        process = _program_of(run)
        if process is None:
            return False
        folder = Path(f"/proc/{process.id}")

        def sending_or_gone() -> bool:
            return watch.execute(sends).fetchone() is not None or not folder.exists()

        eventually(sending_or_gone, "a copy", seconds=60, every=0.001)
        try:
            os.kill(process.id, signal.SIGKILL)
        except ProcessLookupError:
            return False
    return True


def _program_of(run: Run) -> Process | None:
    """Our program's process; None before it is there."""
    pod = run.pod()
    if pod is None:
        return None
    found = [p for p in processes(pod["metadata"]["uid"]) if {"backup"} & set(p.words[1:])]
    return found[0] if found and "prepare" not in found[0].words else None
