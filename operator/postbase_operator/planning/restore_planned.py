"""What a PitrRestore comes to, or why it cannot be: its plan, before anything is touched. PURE."""

from __future__ import annotations

from datetime import datetime

from postbase_operator.api.backup import Backup
from postbase_operator.api.database import Database
from postbase_operator.api.pitr_restore import PitrRestore
from postbase_operator.api.policies import BackupMethod
from postbase_operator.api.restore_status import RestorePlan
from postbase_operator.api.runs import RunPhase
from postbase_operator.errors import InvalidSpec
from postbase_operator.planning import restore_recovery as recovery
from postbase_operator.planning.recovery_estimate import rates
from postbase_operator.planning.restore_logical import (
    KEPT_BESIDE,
    former,
    is_logical,
    logical_warnings,
    previous_copy,
)
from postbase_operator.planning.restore_previous import previous
from postbase_operator.planning.restore_seen import RestoreSeen

MOST = 1024
KEPT_ON_VOLUME = "What is committed until the switch stays on the volume"


def plan_of(restore: PitrRestore, db: Database, known: RestoreSeen, now: datetime) -> RestorePlan:
    """Raises InvalidSpec for what cannot be, Waits for what may be in a moment."""
    made = _estimated(_plan(restore, db, known, now), restore, known)
    if not known.rehearsed.unknown:
        return made
    unsure = f"Whether it will be admitted could not be seen: {known.rehearsed.unknown}"
    return made.model_copy(update={"warnings": (*made.warnings, unsure[:MOST])})


def _estimated(plan: RestorePlan, restore: PitrRestore, known: RestoreSeen) -> RestorePlan:
    if restore.spec.source.previous is not None:
        return plan  # two names or marks change, and PostgreSQL starts
    logical, follows = is_logical(restore, known.backup), recovery.follows(restore)
    found = rates(known.others, known.backups, logical=logical, follows=follows)
    told = {"estimated_seconds": round(found.seconds(plan)), "estimated_by": found.said}
    return plan.model_copy(update=told)


def _plan(restore: PitrRestore, db: Database, known: RestoreSeen, now: datetime) -> RestorePlan:
    source, target = restore.spec.source, restore.spec.target
    if source.previous is not None:
        beside = former(restore, known.seen, known.others)
        copy = previous_copy(known.seen, known.others) if beside else None
        if (copy or previous(restore, known.seen, known.others)) is None:
            why = "no former state is kept: its keepPrevious is over, or none was replaced"
            raise InvalidSpec("spec.source.previous", why, "NoPreviousVolume")
        return RestorePlan(warnings=(KEPT_BESIDE if beside else KEPT_ON_VOLUME,))
    if source.backup_ref is None:
        if target.new_database is not None and known.made is not None:
            _check_made(restore, db, known.made)
        return recovery.recovery_plan(restore, db, known.offer, now)
    backup = known.backup
    if backup is None:
        why = f"there is no Backup {source.backup_ref.name!r} here"
        raise InvalidSpec("spec.source.backupRef", why, "NoBaseBackup")
    _check_backup(backup, db)
    if target.new_database is not None and known.made is not None:
        _check_made(restore, db, known.made)
    return RestorePlan(
        backup_id=backup.status.id,
        backup_time=backup.status.completed_at,
        bytes=backup.status.size_bytes,
        content_bytes=max(backup.status.size_bytes or 0, backup.status.source_bytes or 0),
        timelines=(backup.status.timeline,) if backup.status.timeline else (),
        target_lsn=backup.status.stop_lsn,
        warnings=_warnings(restore, backup),
    )


def _warnings(restore: PitrRestore, backup: Backup) -> tuple[str, ...]:
    if is_logical(restore, backup):
        return logical_warnings(restore)
    usual = "Replication slots, statistics and the rows of unlogged tables are not in a backup"
    if restore.spec.target.in_place is None:
        return (usual,)
    lost = (
        "What was committed after the backup, and is until the switch, stays on the previous "
        "volume: spec.source.previous brings it back within keepPrevious"
    )
    return (usual, lost)


def _check_backup(backup: Backup, db: Database) -> None:
    field, name = "spec.source.backupRef", backup.metadata.name
    if backup.status.phase is not RunPhase.COMPLETED or backup.status.object_key is None:
        why = f"Backup {name!r} is not complete, or its bytes are gone"
        raise InvalidSpec(field, why, "NoBaseBackup")
    if backup.status.database_uid != db.metadata.uid:
        why = f"Backup {name!r} is of another Database: restore it with target.newDatabase there"
        raise InvalidSpec(field, why, "OtherDatabase")
    theirs, ours = (str(v or "").split(".")[0] for v in (backup.status.version, db.status.version))
    older = theirs.isdigit() and ours.isdigit() and int(theirs) < int(ours)
    if theirs != ours and not (older and backup.spec.method is BackupMethod.LOGICAL):
        why = f"Backup {name!r} is of PostgreSQL {theirs}, and the Database of {ours}"
        raise InvalidSpec(field, why, "VersionMismatch")


def _check_made(restore: PitrRestore, db: Database, made: Database) -> None:
    """A Database of the new one's name: ours where a look before this one has made it."""
    begins = made.spec.bootstrap
    if begins is None or not recovery.has_begun(restore, db, begins):
        why = f"there is a Database {made.metadata.name!r} already; take another name"
        raise InvalidSpec("spec.target.newDatabase.name", why, "NameTaken")
