"""A new Database that begins with a backup: filled before anything of it runs. PURE."""

from __future__ import annotations

from postbase_operator.api.backup import Backup
from postbase_operator.api.database import Database, DatabaseStatus
from postbase_operator.api.policies import BackupMethod
from postbase_operator.api.runs import RunPhase
from postbase_operator.errors import InvalidSpec
from postbase_operator.planning import plan as steps
from postbase_operator.planning.filling import filling
from postbase_operator.planning.judgement import Verdict, reconciling, stalled
from postbase_operator.planning.observed import Observed
from postbase_operator.planning.plan import Plan, Step
from postbase_operator.planning.refusal import Context
from postbase_operator.planning.status import finish

FIELD = "spec.bootstrap.backupRef"
PHASE = "Restoring"
AGAIN = 15.0


def begins_with_backup(db: Database, seen: Observed) -> bool:
    """Only where there is no volume that serves: what bootstrap says is ignored afterwards.

    With a logical one, once that is complete, it begins as any other: beginning_logical.py.
    """
    wanted = db.spec.bootstrap.backup_ref if db.spec.bootstrap is not None else None
    if wanted is None or seen.current is not None or db.spec.adopt_volume is not None:
        return False
    backup = seen.source_backup
    if backup is None or backup.spec.method is not BackupMethod.LOGICAL:
        return True
    try:
        return _waits_for(db, backup) is not None
    except InvalidSpec:
        return True


def plan_beginning(db: Database, seen: Observed, context: Context) -> Plan[DatabaseStatus]:
    """The volume is made and filled; once it is promoted the Database is like any other."""
    backup = seen.source_backup
    try:
        waits = _waits_for(db, backup)
    except InvalidSpec as error:
        verdict = stalled(error.reason, str(error))
        return finish(db, seen, verdict, context.now, requeue_after=AGAIN)
    if waits is not None or backup is None:
        verdict = waits or reconciling("Pending", "BackupNotFound", "")
        return finish(db, seen, verdict, context.now, requeue_after=AGAIN)
    return _fill(db, seen, str(backup.status.object_key), context)


def _waits_for(db: Database, backup: Backup | None) -> Verdict | None:
    """What is to come by itself. Raises InvalidSpec for what a person must change."""
    wanted = db.spec.bootstrap.backup_ref if db.spec.bootstrap is not None else None
    name = wanted.name if wanted is not None else ""
    if backup is None:
        return reconciling(
            "Pending", "BackupNotFound", f"{FIELD}: there is no Backup {name!r} here"
        )
    if backup.status.phase is RunPhase.FAILED:
        raise InvalidSpec(FIELD, f"Backup {name!r} has failed; name another", "BackupFailed")
    if backup.status.phase is not RunPhase.COMPLETED:
        return reconciling("Pending", "BackupNotComplete", f"Backup {name!r} is not complete yet")
    if backup.status.object_key is None:
        raise InvalidSpec(FIELD, f"the bytes of Backup {name!r} are gone", "BackupMissing")
    major, wanted_major = (backup.status.version or "").split(".")[0], db.spec.postgres_version
    if wanted_major is None or major == wanted_major:
        return None
    if backup.spec.method is BackupMethod.LOGICAL:
        if major.isdigit() and int(major) < int(wanted_major):
            return None
        why = f"Backup {name!r} is of PostgreSQL {major}, and no older one can restore it"
        raise InvalidSpec(FIELD, why, "VersionMismatch")
    why = f"Backup {name!r} is of PostgreSQL {major}: set spec.postgresVersion to {major!r}"
    raise InvalidSpec(FIELD, why, "VersionMismatch")


def _fill(db: Database, seen: Observed, object_key: str, context: Context) -> Plan[DatabaseStatus]:
    now, uid = context.now, db.metadata.uid
    state = filling(seen, uid, object_key, now)
    todo: list[Step] = [steps.EnsureSecrets(first=not seen.volumes), *state.todo]
    if state.failed:
        verdict = stalled(state.failed, f"The backup could not be restored: {state.message}")
        return finish(db, seen, verdict, now, todo, requeue_after=AGAIN)
    if state.ready is not None:
        todo.append(steps.PromoteVolume(state.ready.name, state.system_id, uid))
    verdict = reconciling(PHASE, state.step.value, state.message or "The volume is whole")
    return finish(db, seen, verdict, now, todo, requeue_after=state.again)
