"""The plan of one PitrRestore: planned, filled, switched over; or failed with nothing changed.

Level-triggered: each look decides anew from the volumes' own marks, which survive a lost status. A
restore in place fills the next volume while the Database runs on, and is switched over by marks;
one into a new Database makes that Database, which does the same by itself. What has ended for good
never runs again, and one that was done before under this name is not run either. PURE.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from postbase_operator.api import conditions as cond
from postbase_operator.api.database import Database
from postbase_operator.api.pitr_restore import PitrRestore
from postbase_operator.api.restore_status import (
    PitrRestoreStatus,
    RestoreMeasured,
    RestorePlan,
    RestoreStep,
)
from postbase_operator.errors import InvalidSpec, PostbaseError
from postbase_operator.planning import plan as steps
from postbase_operator.planning import restore_recovery as recovery
from postbase_operator.planning import restore_status as tell
from postbase_operator.planning.filling import filling
from postbase_operator.planning.judgement import switching
from postbase_operator.planning.observed import Volume, VolumeRole
from postbase_operator.planning.plan import Plan, Step
from postbase_operator.planning.restore_done import was_done
from postbase_operator.planning.restore_logical import (
    UNTOUCHED,
    former,
    is_logical,
    plan_logical,
    plan_undo,
    previous_copy,
)
from postbase_operator.planning.restore_new import AGAIN, SOON, into_new
from postbase_operator.planning.restore_planned import plan_of
from postbase_operator.planning.restore_previous import previous
from postbase_operator.planning.restore_queue import before
from postbase_operator.planning.restore_seen import Rehearsed, RestoreSeen


def plan_restore(
    restore: PitrRestore, known: RestoreSeen, now: datetime
) -> Plan[PitrRestoreStatus]:
    """What is done now for one PitrRestore, and what its status tells."""
    if restore.is_done():
        return Plan(restore.status)
    db = known.db
    if db is None:
        name = restore.spec.database_ref.name
        message = f"spec.databaseRef: there is no Database {name!r} here"
        return _wait(restore, "DatabaseNotFound", message, now)
    over = _over(restore, db, now)
    if over is not None:
        return over
    planned = _planned_or_told(restore, db, known, now)
    if isinstance(planned, Plan):
        return planned
    first = "" if restore.spec.dry_run else before(restore, known.others)
    if first:
        return _wait(restore, "Queued", f"Waits for PitrRestore {first!r} of this Database", now)
    if known.rehearsed.reason:
        return _not_admitted(restore, planned, known.rehearsed, now)
    if restore.spec.dry_run:
        return Plan(tell.dry_run(restore, planned, now))
    if restore.status.plan is None:  # written down before anything is touched
        serving = known.seen.current if restore.spec.target.in_place is not None else None
        after = tell.planned(restore, planned, serving, now)
        return Plan(after, requeue_after=0.1)
    return _carry_out(restore, known, db, now)


def _carry_out(
    restore: PitrRestore, known: RestoreSeen, db: Database, now: datetime
) -> Plan[PitrRestoreStatus]:
    if restore.spec.target.new_database is not None:
        return into_new(restore, restore.spec.target.new_database, known.made, db, now)
    if restore.spec.source.previous is not None:
        return _undo(restore, known, now)
    return _in_place(restore, known, now)


def _planned_or_told(
    restore: PitrRestore, db: Database, known: RestoreSeen, now: datetime
) -> RestorePlan | Plan[PitrRestoreStatus]:
    try:
        return restore.status.plan or plan_of(restore, db, known, now)
    except InvalidSpec as error:
        return _fail(restore, error.reason, str(error), now)
    except recovery.Waits as error:
        return replace(_wait(restore, error.reason, str(error), now), requeue_after=SOON)


def _not_admitted(
    restore: PitrRestore, planned: RestorePlan, said: Rehearsed, now: datetime
) -> Plan[PitrRestoreStatus]:
    """With the plan, which is right in all else. What was asked for as a remedy must not begin by
    itself hours later, when somebody has made room for other reasons."""
    made = _fail(restore, said.reason, f"{said.message.rstrip('.')}. {UNTOUCHED}", now)
    return replace(made, status=made.status.model_copy(update={"plan": planned}))


def _over(restore: PitrRestore, db: Database, now: datetime) -> Plan[PitrRestoreStatus] | None:
    """Its end where it must not be begun at all."""
    if db.metadata.is_deleting and restore.spec.target.in_place is not None:
        # A volume that is made now would be left behind.
        return _fail(restore, "DatabaseDeleted", "The Database is being deleted", now)
    return Plan(tell.done_before(restore, now)) if was_done(restore, db) else None


# -- in place ------------------------------------------------------------------------------


def _in_place(restore: PitrRestore, known: RestoreSeen, now: datetime) -> Plan[PitrRestoreStatus]:
    if is_logical(restore, known.backup):
        return plan_logical(restore, known.seen, known.backup, known.db, now)
    uid = restore.metadata.uid
    last_part = recovery.last_part(restore, known.seen, known.stopped, now)
    if last_part is not None:
        return last_part
    key, task = recovery.fill_of(restore, known.backup)
    state = filling(known.seen, uid, key, now, task)
    if state.failed:
        return recovery.give_up(restore, known.seen, state.failed, state.message, now)
    if any(isinstance(step, steps.CreateVolume | steps.FillVolume) for step in state.todo):
        try:
            _check_still(restore, known)
        except InvalidSpec as error:
            return _fail(restore, error.reason, str(error), now)
    if state.ready is None:
        after = tell.running(
            restore, restore.status.plan, state.step, state.message, now, known.seen.fill
        )
        return Plan(after, state.todo, state.again or 0.1, tell.notices(restore.status, after))
    return _switch(_timed(restore, known), known, state.ready, state.system_id, now)


def _timed(restore: PitrRestore, known: RestoreSeen) -> PitrRestore:
    fill = known.seen.fill
    if fill is None or not fill.replay_seconds:
        return restore
    told = RestoreMeasured(
        content_seconds=fill.content_seconds,
        replay_seconds=fill.replay_seconds,
        follows=recovery.follows(restore),
    )
    return tell.with_times(restore, fill.job, told)


def _check_still(restore: PitrRestore, known: RestoreSeen) -> None:
    """What was planned may be gone by now, or the Database be another of the same name."""
    wanted = restore.spec.source.backup_ref
    if wanted is None:
        return  # what was planned is in the archive, and pinned there
    field, backup, db = "spec.source.backupRef", known.backup, known.db
    if backup is None or backup.status.object_key is None:
        name = wanted.name
        raise InvalidSpec(field, f"Backup {name!r} or its bytes are gone", "BackupMissing")
    if db is not None and backup.status.database_uid != db.metadata.uid:
        why = f"Backup {backup.metadata.name!r} is of an earlier Database of this name"
        raise InvalidSpec(field, why, "OtherDatabase")


def _undo(restore: PitrRestore, known: RestoreSeen, now: datetime) -> Plan[PitrRestoreStatus]:
    if former(restore, known.seen, known.others):
        copy = previous_copy(known.seen, known.others)
        return plan_undo(restore, known.seen, copy, now)
    volume = previous(restore, known.seen, known.others)
    if volume is None:
        return _fail(restore, "NoPreviousVolume", "The previous volume is gone", now)
    return _switch(restore, known, volume, volume.system_id, now)


def _switch(
    restore: PitrRestore, known: RestoreSeen, volume: Volume, system_id: str, now: datetime
) -> Plan[PitrRestoreStatus]:
    """The marks first; then the Database moves by itself, and is done once it answers there."""
    seen, plan = known.seen, restore.status.plan
    mine = volume.restore == restore.metadata.uid
    if mine and volume.role not in (VolumeRole.FILLING, VolumeRole.CURRENT):
        message = "It was switched to, and another restore has taken its place since"
        return _fail(restore, "Undone", message, now)  # else the two would take turns for ever
    serving = [v for v in seen.volumes if v.role is VolumeRole.CURRENT and not v.deleting]
    marked = volume.role is VolumeRole.CURRENT and serving == [volume]
    if not marked:
        until = now + restore.spec.keep_previous
        promote = steps.PromoteVolume(volume.name, system_id, restore.metadata.uid, until)
        after = tell.running(restore, plan, RestoreStep.SWITCHING, "The volumes change places", now)
        return Plan(after, (promote,), SOON, tell.notices(restore.status, after))
    answers = seen.server is not None and seen.server.access_right and not switching(seen)
    if not answers:
        message = "PostgreSQL moves to the restored volume"
        after = tell.running(restore, plan, RestoreStep.SWITCHING, message, now)
        return Plan(after, (), SOON, tell.notices(restore.status, after))
    former = [v for v in seen.volumes if v.role is VolumeRole.PREVIOUS and not v.deleting]
    after = tell.completed(restore, restore.spec.database_ref, former, now)
    return Plan(after, notices=tell.notices(restore.status, after))


# -- ends ----------------------------------------------------------------------------------


def hindered(restore: PitrRestore, error: PostbaseError, now: datetime) -> Plan[PitrRestoreStatus]:
    """What is told where a step could not be done: it is tried again, and nothing has changed."""
    reason = error.reason if isinstance(error, InvalidSpec) else type(error).__name__
    held = cond.set_reconciling(
        restore.status.conditions, reason, str(error), now, restore.metadata.generation
    )
    after = restore.status.model_copy(update={"conditions": held})
    return Plan(after, notices=tell.notices(restore.status, after))


def _wait(
    restore: PitrRestore, reason: str, message: str, now: datetime
) -> Plan[PitrRestoreStatus]:
    after = tell.waiting(restore, reason, message, now)
    return Plan(after, requeue_after=AGAIN, notices=tell.notices(restore.status, after))


def _fail(
    restore: PitrRestore,
    reason: str,
    message: str,
    now: datetime,
    todo: tuple[Step, ...] = (),
) -> Plan[PitrRestoreStatus]:
    after = tell.failed(restore, reason, message, now)
    return Plan(after, todo, notices=tell.notices(restore.status, after))
