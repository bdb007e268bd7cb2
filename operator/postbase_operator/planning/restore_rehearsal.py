"""What a restore would make first, to be shown to the platform before anything is made. PURE.

A quota, a limit, an admission policy or a StorageClass may be against it. That is found out while
there is only a plan, in a dry run too: not when half of it is there.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from postbase_operator.api.backup import Backup
from postbase_operator.api.database import Database
from postbase_operator.api.pitr_restore import NewDatabase, PitrRestore
from postbase_operator.api.restore_status import RestorePlan
from postbase_operator.errors import InvalidSpec
from postbase_operator.planning import plan as steps
from postbase_operator.planning import restore_recovery as recovery
from postbase_operator.planning.archived import task_of
from postbase_operator.planning.plan import Step
from postbase_operator.planning.restore_logical import is_logical
from postbase_operator.planning.restore_new import like
from postbase_operator.planning.restore_planned import plan_of
from postbase_operator.planning.restore_queue import before
from postbase_operator.planning.restore_seen import RestoreSeen


@dataclass(frozen=True, slots=True)
class Rehearsal:
    """These steps, of this Database, which may be one that is to be made by the first of them."""

    db: Database
    todo: tuple[Step, ...]


def rehearsal(restore: PitrRestore, known: RestoreSeen, now: datetime) -> Rehearsal | None:
    """None where nothing would be made now: planned already, refused, or not its turn."""
    db, spec = known.db, restore.spec
    if db is None or restore.status.plan is not None or spec.source.previous is not None:
        return None
    if not spec.dry_run and before(restore, known.others):
        return None
    try:
        plan = plan_of(restore, db, known, now)
    except (InvalidSpec, recovery.Waits):
        return None
    if spec.target.new_database is not None:
        return _beside(restore, spec.target.new_database, db, plan, known.backup)
    if is_logical(restore, known.backup):
        return Rehearsal(db, (_load(restore, known.backup),))
    key = _key(plan, known.backup)
    begin = _volume(restore, plan, key, known.seen.highest_generation + 1)
    return Rehearsal(db, begin)


def _beside(
    restore: PitrRestore,
    wanted: NewDatabase,
    db: Database,
    plan: RestorePlan,
    backup: Backup | None,
) -> Rehearsal:
    made = like(db, restore, wanted)
    if is_logical(restore, backup):
        begin: tuple[Step, ...] = (steps.CreateVolume(1), _load(restore, backup))
    else:
        begin = _volume(restore, plan, _key(plan, backup), 1)
    return Rehearsal(made, (steps.CreateDatabase(made), *begin, steps.ApplyWorkload("", "")))


def _key(plan: RestorePlan, backup: Backup | None) -> str:
    of_backup = backup.status.object_key if backup is not None else None
    return plan.object_key or of_backup or ""


def _volume(restore: PitrRestore, plan: RestorePlan, key: str, generation: int) -> tuple[Step, ...]:
    uid, in_place = restore.metadata.uid, restore.spec.target.in_place is not None
    archived = restore.spec.source.backup_ref is None
    follows = recovery.follows(restore)
    task = task_of(plan, uid, in_place=in_place, follows=follows) if archived else None
    return (steps.CreateVolume(generation, uid), steps.FillVolume("", uid, key, 1, task))


def _load(restore: PitrRestore, backup: Backup | None) -> steps.LoadBackup:
    key = backup.status.object_key if backup is not None else None
    return steps.LoadBackup(restore.metadata.uid, key or "", 1, "")
