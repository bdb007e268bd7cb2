"""Whose turn it is: so many backups at a time, and one at a time of each Database. PURE.

Each Backup finds its own place from the list of all that have not ended. One that has just begun
and is still listed as Pending holds its place by its age, so that a list which lags by a moment
does not let a younger one through beside it.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from postbase_operator.api.backup import Backup, BackupOrigin
from postbase_operator.api.conditions import find_condition
from postbase_operator.api.runs import RunPhase

WAITING = "Waiting"
"""The condition of a Backup that cannot begin; with the reason QUEUED it only waits its turn."""
QUEUED = "Queued"


def turn(backup: Backup, unfinished: Sequence[Backup], concurrent: int) -> str:
    """Why it is not this one's turn, in a sentence; "" where it is.

    `unfinished`: all Backups, of all namespaces, that are Pending or Running; this one may be among
    them. First come those that people or recovery wait for, then those of schedules, by age.
    """
    others = [other for other in unfinished if _key(other) != _key(backup)]
    running = [other for other in others if other.status.phase is RunPhase.RUNNING]
    ahead = [other for other in others if _waits(other) and _order(other) < _order(backup)]
    for other in (*running, *ahead):
        if _database(other) == _database(backup):
            return f"Waits for Backup {other.metadata.name!r} of the same Database"
    busy = {_database(other) for other in running}
    taken = len(running) + len({_database(other) for other in ahead} - busy)
    if taken >= concurrent:
        return f"Waits for its turn: {concurrent} backups run at a time"
    return ""


def _waits(backup: Backup) -> bool:
    """It would begin if it were its turn."""
    if backup.metadata.is_deleting or backup.status.phase not in (None, RunPhase.PENDING):
        return False
    waiting = find_condition(backup.status.conditions, WAITING)
    return waiting is None or waiting.reason == QUEUED


def _order(backup: Backup) -> tuple[bool, datetime, str, str]:
    made = backup.metadata.creation_timestamp or datetime.max.replace(tzinfo=UTC)
    return (backup.origin is BackupOrigin.SCHEDULE, made, *_key(backup))


def _key(backup: Backup) -> tuple[str, str]:
    return (backup.metadata.namespace, backup.metadata.name)


def _database(backup: Backup) -> tuple[str, str]:
    return (backup.metadata.namespace, backup.spec.database_ref.name)
