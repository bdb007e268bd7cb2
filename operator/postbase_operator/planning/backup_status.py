"""What a Backup's status tells: phase, conditions, facts of the record, how far it is. PURE."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from postbase_operator.api import conditions as cond
from postbase_operator.api.backup import Backup, BackupProgress, BackupStatus
from postbase_operator.api.conditions import Condition, ConditionType
from postbase_operator.api.database_status import FinishedRun
from postbase_operator.api.quantity import format_bytes
from postbase_operator.api.runs import RunPhase
from postbase_operator.archive.record import BackupRecord, Progress
from postbase_operator.planning.backup_queue import QUEUED, WAITING
from postbase_operator.planning.plan import Notice
from postbase_operator.planning.retention import Policies, expires_at

QUIET = frozenset({QUEUED, "Starting", "Running", "DatabaseNotReady"})
"""Reasons that are no news: an Event is posted at each change to another one."""
TENTH = 10


def waiting(backup: Backup, reason: str, message: str, now: datetime) -> BackupStatus:
    """Pending. Since when it waits is kept in the condition Waiting, anew where the queue begins or
    ends: time in the queue is no time in which something was wrong."""
    held, generation = backup.status.conditions, backup.metadata.generation
    before = cond.find_condition(held, WAITING)
    if before is not None and (before.reason == QUEUED) != (reason == QUEUED):
        held = cond.remove_condition(held, WAITING)
    held = cond.set_condition(held, WAITING, True, reason, message, now, generation)
    held = cond.set_reconciling(held, reason, message, now, generation)
    return _status(backup, RunPhase.PENDING, held)


def waiting_since(status: BackupStatus) -> datetime | None:
    """When the wait began that this status tells of."""
    found = cond.find_condition(status.conditions, WAITING)
    return None if found is None else found.last_transition_time


def running(backup: Backup, reason: str, message: str, now: datetime, **facts: Any) -> BackupStatus:
    """Running: begun, and not ended; between two attempts too."""
    generation = backup.metadata.generation
    held = cond.remove_condition(backup.status.conditions, WAITING)
    held = cond.set_reconciling(held, reason, message, now, generation)
    return _status(backup, RunPhase.RUNNING, held, **facts)


def completed(
    backup: Backup,
    record: BackupRecord,
    policies: Policies,
    now: datetime,
    verified_at: datetime | None,
) -> BackupStatus:
    """Completed, with the facts of the record: the one truth about what is stored."""
    took = round((record.completed_at - record.started_at).total_seconds())
    size = format_bytes(record.size_bytes)
    message = f"PostgreSQL {record.postgres_version}, {size} stored in {took} s"
    held = _damage(backup.status.conditions, record, now, backup.metadata.generation)
    held = _ready(backup, held, "Completed", message, now)
    return _status(
        backup,
        RunPhase.COMPLETED,
        held,
        database_uid=record.database_uid,
        project_id=record.project,
        version=record.postgres_version,
        object_key=record.place.object_key,
        size_bytes=record.size_bytes,
        source_bytes=record.source_bytes,
        sha256=record.sha256,
        started_at=record.started_at,
        completed_at=record.completed_at,
        duration_seconds=took,
        expires_at=expires_at(backup, policies, record.completed_at),
        verified_at=verified_at,
        checksums_verified=record.checksums_verified,
        timeline=record.timeline,
        start_lsn=record.start_lsn,
        stop_lsn=record.stop_lsn,
        progress=None,
    )


def gone(backup: Backup, done: FinishedRun, now: datetime) -> BackupStatus:
    """Completed, long ago: it came back and its bytes did not. Ready, as nothing is to be done, and
    without a key, so that nothing is restored from it and retention leaves it alone."""
    message = (
        "Was completed before, and what it stored has been deleted since; a Backup by another name "
        "makes a new one"
    )
    held = _ready(backup, backup.status.conditions, "Expired", message, now)
    return _status(
        backup, RunPhase.COMPLETED, held, completed_at=done.completed_at or now, object_key=None
    )


def failed(backup: Backup, reason: str, message: str, now: datetime) -> BackupStatus:
    """Failed for good, and nothing is stored."""
    generation = backup.metadata.generation
    held = cond.remove_condition(backup.status.conditions, WAITING)
    held = cond.set_stalled(held, reason, message, now, generation)
    return _status(
        backup,
        RunPhase.FAILED,
        held,
        completed_at=now,
        object_key=None,
        progress=None,
    )


def progress(held: BackupProgress | None, seen: Progress | None) -> BackupProgress | None:
    """What is told of the progress: another word or another tenth, not each byte.

    A status that is written at each look would cost a write every few seconds and backup.
    """
    if seen is None:
        return held
    total = seen.bytes_total
    percent = None if not total else min(100, 100 * seen.bytes_done // total)
    found = BackupProgress(
        phase=seen.phase, bytes_done=seen.bytes_done, bytes_total=total, percent=percent
    )
    if held is None or held.phase != found.phase:
        return found
    steps = [(each.percent or 0) // TENTH for each in (held, found)]
    return found if steps[1] > steps[0] else held


def notices(before: BackupStatus, after: BackupStatus) -> tuple[Notice, ...]:
    """An Event at each change of the Ready condition's reason to one that is news."""
    old, new = (cond.find_condition(s.conditions, ConditionType.READY) for s in (before, after))
    if new is None or new.reason in QUIET or (old is not None and old.reason == new.reason):
        return ()
    type = "Normal" if after.phase is RunPhase.COMPLETED else "Warning"
    return (Notice(type, new.reason, new.message),)


def _ready(
    backup: Backup, held: tuple[Condition, ...], reason: str, message: str, now: datetime
) -> tuple[Condition, ...]:
    held = cond.remove_condition(held, WAITING)
    return cond.set_ready(held, reason, message, now, backup.metadata.generation)


def _damage(
    held: tuple[Condition, ...], record: BackupRecord, now: datetime, generation: int
) -> tuple[Condition, ...]:
    """Damaged pages are copied as they are: such a backup is better than none, and is marked."""
    if record.checksums_verified is not False:
        return held
    message = (
        "Pages of the database have wrong checksums, and so have those of this backup: look into "
        "the Database's log, and restore from an earlier backup"
    )
    said = ("PageCorruption", message, now, generation)
    return cond.set_condition(held, ConditionType.DEGRADED, True, *said)


def _status(
    backup: Backup, phase: RunPhase, conditions: tuple[Condition, ...], **facts: Any
) -> BackupStatus:
    return backup.status.model_copy(
        update={
            "id": backup.id,
            "phase": phase,
            "observed_generation": backup.metadata.generation,
            "conditions": conditions,
            **facts,
        }
    )
