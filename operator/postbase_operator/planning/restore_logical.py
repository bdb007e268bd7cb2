"""A logical backup in place of the application's database, and the way back. PURE.

It is restored into a database beside the one that serves; then the two change names, in one
transaction. The name that the former one gets says who did it and until when it is kept.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import datetime

from postbase_operator.api.backup import Backup
from postbase_operator.api.database import Database
from postbase_operator.api.pitr_restore import PitrRestore
from postbase_operator.api.policies import BackupMethod
from postbase_operator.api.restore_status import (
    PitrRestoreStatus,
    PreviousDatabase,
    RestoreMeasured,
    RestoreStep,
)
from postbase_operator.api.runs import RunPhase
from postbase_operator.archive import copies
from postbase_operator.archive.copies import CopyKind, DatabaseCopy
from postbase_operator.planning import plan as steps
from postbase_operator.planning import restore_status as tell
from postbase_operator.planning.loading import Loading, bytes_loaded, loading, there
from postbase_operator.planning.observed import Observed, VolumeRole
from postbase_operator.planning.plan import Plan

SOON = 2.0
AGAIN = 10.0
UNTOUCHED = "The Database was not touched"
KEPT_BESIDE = "What is committed until the switch stays in a database beside the application's"


def logical_warnings(restore: PitrRestore) -> tuple[str, ...]:
    """What will not be as before."""
    usual = (
        "Replication slots, subscriptions and passwords of roles are not in a backup; what a "
        "superuser owned becomes the application's"
    )
    if restore.spec.target.in_place is None:
        return (f"{usual}, and all tables lie in the default tablespace",)
    lost = (
        "The copy needs its room on the same volume. A backup of a server with tablespaces is "
        "refused. Sessions are ended at the switch; what is "
        "committed until then stays in the previous database: spec.source.previous brings it back "
        "within keepPrevious"
    )
    return (usual, lost)


def is_logical(restore: PitrRestore, backup: Backup | None) -> bool:
    """By the backup; where that is gone, by what was planned: a physical one has a position."""
    if backup is not None:
        return backup.spec.method is BackupMethod.LOGICAL
    plan = restore.status.plan
    return restore.spec.source.backup_ref is not None and bool(plan and plan.target_lsn is None)


def plan_logical(
    restore: PitrRestore,
    seen: Observed,
    backup: Backup | None,
    db: Database | None,
    now: datetime,
) -> Plan[PitrRestoreStatus]:
    """What is done now for a restore in place whose backup is logical."""
    uid = restore.metadata.uid
    object_key = str(backup.status.object_key) if backup is not None else ""
    if (done := _swapped(seen, uid)) is not None:
        return _completed(restore, seen, done, now)
    state = loading(seen, uid, object_key, copies.restored(uid), now)
    gone = _gone(restore, backup, db)
    if gone and any(isinstance(step, steps.LoadBackup) for step in state.todo):
        state = Loading(state.step, gone[1], failed=gone[0])
    if state.failed:
        mine = [each.name for each in there(seen) if each.restore == copies.mark(uid)]
        drop = (steps.DropDatabases(tuple(mine)),) if mine else ()
        said = (state.failed, f"{state.message}. {UNTOUCHED}", now)
        after = tell.failed(restore, *said)
        return Plan(after, drop, notices=tell.notices(restore.status, after))
    if state.ready:
        return _swap(_timed(restore, seen), copies.restored(uid), now)
    after = tell.running(restore, restore.status.plan, state.step, state.message, now)
    after = tell.with_bytes(after, bytes_loaded(seen, uid), now)
    return Plan(after, state.todo, state.again or 0.1, tell.notices(restore.status, after))


def _timed(restore: PitrRestore, seen: Observed) -> PitrRestore:
    mark = copies.mark(restore.metadata.uid)
    jobs = [each.job for each in seen.loads if each.restore == mark]
    last = max(jobs, key=lambda job: job.attempt, default=None)
    if last is None or last.ended_at is None:
        return restore
    took = round((last.ended_at - last.since).total_seconds())
    told = RestoreMeasured(content_seconds=took, logical=True)
    return tell.with_times(restore, last, told)


def _gone(
    restore: PitrRestore, backup: Backup | None, db: Database | None
) -> tuple[str, str] | None:
    """What was planned may be gone by now, or the Database be another of the same name."""
    wanted = restore.spec.source.backup_ref
    name = wanted.name if wanted is not None else ""
    if backup is None or backup.status.object_key is None:
        return "BackupMissing", f"Backup {name!r} or its bytes are gone"
    if db is not None and backup.status.database_uid != db.metadata.uid:
        return "OtherDatabase", f"Backup {name!r} is of an earlier Database of this name"
    return None


def plan_undo(
    restore: PitrRestore, seen: Observed, copy: DatabaseCopy | None, now: datetime
) -> Plan[PitrRestoreStatus]:
    """The former database takes its place again; the one that serves becomes a former one."""
    if (done := _swapped(seen, restore.metadata.uid)) is not None:
        return _completed(restore, seen, done, now)
    if seen.server is None:
        message = "PostgreSQL does not answer"
        after = tell.running(restore, restore.status.plan, RestoreStep.SWITCHING, message, now)
        return Plan(after, (), AGAIN, tell.notices(restore.status, after))
    if copy is None:
        after = tell.failed(restore, "NoPreviousVolume", "The previous database is gone", now)
        return Plan(after, notices=tell.notices(restore.status, after))
    return _swap(restore, copy.name, now)


def former(restore: PitrRestore, seen: Observed, others: Sequence[PitrRestore]) -> bool:
    """Whether what was replaced last is a database, and not a volume.

    The latest restore in place that is done says so. Where none of them is left to ask, that which
    is kept longest, most likely, was replaced last.
    """
    if _swapped(seen, restore.metadata.uid) is not None:
        return True
    if any(each.restore == restore.metadata.uid for each in seen.volumes):
        return False
    done = [each for each in others if _has_replaced(each)]
    if done:
        return max(done, key=_ended).status.previous_database is not None
    volumes = [v for v in seen.volumes if v.role is VolumeRole.PREVIOUS and not v.deleting]
    ends = [v.delete_after.timestamp() if v.delete_after else math.inf for v in volumes]
    left = [_until(each) for each in there(seen) if each.kind is CopyKind.BEFORE]
    return max(left, default=-1.0) > max(ends, default=-1.0)


def previous_copy(seen: Observed, others: Sequence[PitrRestore]) -> DatabaseCopy | None:
    """The database that an undo brings back: the one that was replaced last."""
    left = [each for each in there(seen) if each.kind is CopyKind.BEFORE]
    done = [each for each in others if _has_replaced(each)]
    told = max(done, key=_ended).status.previous_database if done else None
    if told is not None:
        return next((each for each in left if each.name == told.name), None)
    return max(left, key=_until, default=None)


def _has_replaced(restore: PitrRestore) -> bool:
    status = restore.status
    noted = status.previous_database is not None or status.previous_volume is not None
    return status.phase is RunPhase.COMPLETED and noted


def _ended(restore: PitrRestore) -> float:
    at = restore.status.completed_at
    return at.timestamp() if at is not None else 0.0


def _until(copy: DatabaseCopy) -> float:
    return copy.until.timestamp() if copy.until is not None else math.inf


def _swapped(seen: Observed, uid: str) -> DatabaseCopy | None:
    """What this restore has replaced."""
    own = [c for c in there(seen) if c.kind is CopyKind.BEFORE and c.restore == copies.mark(uid)]
    return own[0] if own else None


def _swap(restore: PitrRestore, chosen: str, now: datetime) -> Plan[PitrRestoreStatus]:
    former = copies.before(restore.metadata.uid, now + restore.spec.keep_previous)
    message = "The databases change names"
    after = tell.running(restore, restore.status.plan, RestoreStep.SWITCHING, message, now)
    todo = (steps.SwapDatabases(chosen, former),)
    return Plan(after, todo, SOON, tell.notices(restore.status, after))


def _completed(
    restore: PitrRestore, seen: Observed, copy: DatabaseCopy, now: datetime
) -> Plan[PitrRestoreStatus]:
    if seen.server is None or not seen.server.access_right:
        message = "Access is being set up in the restored database"
        after = tell.running(restore, restore.status.plan, RestoreStep.SWITCHING, message, now)
        return Plan(after, (), SOON, tell.notices(restore.status, after))
    after = tell.completed(restore, restore.spec.database_ref, (), now)
    noted = PreviousDatabase(name=copy.name, kept_until=copy.until)
    after = after.model_copy(update={"previous_database": noted, "previous_volume": None})
    return Plan(after, notices=tell.notices(restore.status, after))
