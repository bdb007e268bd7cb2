"""How a Backup that was completed before is known again, so that it never runs twice. PURE.

Git, or a cluster that is rebuilt from it, brings finished Backups back with an empty status and
another UID, and so another id: neither tells that the wish was fulfilled. Its name and its spec do.
Both are written where the Backup's own end cannot take them: into the Database's
status.finishedRuns (the newest 200), and into the backup's record in the bucket, which outlives the
Database too. Either is enough. What a later Database of the same name finds there counts as well: a
Backup in Git says "once", not "once for each".

Only what was completed is marked. A failed Backup has left nothing; who applies it again wants it.
`deletionPolicy` is no part of the mark: it may change.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from postbase_operator.api.backup import Backup, BackupDeletionPolicy, BackupOrigin
from postbase_operator.api.database_status import FinishedRun, RunKind
from postbase_operator.api.runs import RunPhase, spec_hash
from postbase_operator.archive.record import BackupRecord

REMEMBERED = 200


def wish(backup: Backup) -> str:
    """The hash of what was asked for: BackupRecord.spec_hash and FinishedRun.spec_hash."""
    asked = backup.spec.model_copy(update={"deletion_policy": BackupDeletionPolicy.RETAIN})
    return spec_hash(asked)


def done_before(
    backup: Backup, finished: Iterable[FinishedRun], records: Iterable[BackupRecord] = ()
) -> FinishedRun | None:
    """The mark of an earlier Backup of this name and spec, from the status or from the bucket."""
    name, asked = backup.metadata.name, wish(backup)
    for run in finished:
        if (run.kind, run.name, run.spec_hash) == (RunKind.BACKUP, name, asked):
            return run
    for record in records:
        theirs = (record.namespace, record.backup_name, record.spec_hash)
        if theirs == (backup.metadata.namespace, name, asked) and record.id != backup.id:
            return _mark(name, asked, record)
    return None


def _mark(name: str, asked: str, record: BackupRecord) -> FinishedRun:
    return FinishedRun(
        kind=RunKind.BACKUP,
        name=name,
        spec_hash=asked,
        id=record.id,
        completed_at=record.completed_at,
    )


def remember(held: Sequence[FinishedRun], backups: Iterable[Backup]) -> tuple[FinishedRun, ...]:
    """The Database's finishedRuns with those of its Backups that are complete, the newest first.

    Of those that people make: Git has no others, and a year of nights would push these out. What is
    marked already stays as it is: a Backup that came back is the earlier one.
    """
    known = {(run.name, run.spec_hash) for run in held if run.kind is RunKind.BACKUP}
    new = [
        FinishedRun(
            kind=RunKind.BACKUP,
            name=backup.metadata.name,
            spec_hash=wish(backup),
            id=backup.id,
            completed_at=backup.status.completed_at,
        )
        for backup in backups
        if backup.origin is BackupOrigin.MANUAL
        and backup.status.phase is RunPhase.COMPLETED
        and (backup.metadata.name, wish(backup)) not in known
    ]
    if not new:
        return tuple(held)
    runs = sorted([*held, *new], key=_when, reverse=True)
    return tuple(runs[:REMEMBERED])


def _when(run: FinishedRun) -> float:
    return run.completed_at.timestamp() if run.completed_at else 0.0
