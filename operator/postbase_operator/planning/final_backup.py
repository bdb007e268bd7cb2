"""The last backup of a Database that is being deleted: complete before anything goes. PURE.

Where it cannot be made, the volume stays instead, as with Retain: nothing is lost, and the deletion
never waits for good. A Backup by itself ends by its deadlines; this one's turn must come as well.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from postbase_operator.api import conditions as cond
from postbase_operator.api.backup import (
    DATABASE_LABEL,
    ORIGIN_LABEL,
    Backup,
    BackupOrigin,
    BackupSpec,
)
from postbase_operator.api.base import ObjectMeta, Reference
from postbase_operator.api.conditions import ConditionType
from postbase_operator.api.database import Database
from postbase_operator.api.policies import BackupMethod
from postbase_operator.api.project import ProjectDefaults
from postbase_operator.api.runs import RunPhase
from postbase_operator.api.upkeep import DeletionPolicy
from postbase_operator.planning import plan as steps
from postbase_operator.planning.database_backups import policy_of
from postbase_operator.planning.plan import Step

PATIENCE = timedelta(hours=24)
"""How long a deletion waits for it, all in all."""


@dataclass(frozen=True, slots=True)
class Final:
    """`waits`: nothing is taken away yet, for `reason`. `keeps`: the volume stays in the end."""

    waits: bool = False
    keeps: bool = False
    reason: str = "Deleting"
    message: str = "PostgreSQL is being stopped"
    todo: tuple[Step, ...] = ()


def final(
    db: Database, backups: Sequence[Backup], defaults: ProjectDefaults, now: datetime
) -> Final:
    """How it stands with it. `backups`: those that name this Database."""
    if db.spec.deletion_policy is not DeletionPolicy.FINAL_BACKUP or not db.status.system_id:
        return Final()  # one that has never run has nothing to back up
    name = final_name(db)
    made = next((each for each in backups if each.metadata.name == name), None)
    if made is not None and made.status.phase is RunPhase.COMPLETED and made.status.object_key:
        return Final(message=f"Backup {name} is complete. PostgreSQL is being stopped")
    why = _impossible(db, made, now)
    if why:
        return Final(keeps=True, reason="FinalBackupFailed", message=f"{why}. The volume is kept")
    if made is None:
        method = policy_of(db, defaults).method
        todo = (steps.CreateBackup(_backup(db, name, method)),)
        return Final(True, False, "FinalBackup", f"Backup {name} is made before it goes", todo)
    return Final(True, False, "FinalBackup", f"Backup {name} is made before it goes: {_said(made)}")


def final_name(db: Database) -> str:
    """One a Database, by its UID: a kill, or another operator, makes the same."""
    return f"{db.metadata.name}-final-{db.metadata.uid[:8]}"


def _impossible(db: Database, made: Backup | None, now: datetime) -> str:
    """Why there will be none; "" where there may be."""
    if db.spec.paused:
        return "PostgreSQL does not run, as spec.paused is true, and cannot be backed up"
    if made is not None and (made.status.phase is RunPhase.FAILED or made.metadata.is_deleting):
        return f"Backup {made.metadata.name} was not completed: {_said(made)}"
    asked = db.metadata.deletion_timestamp or now
    if now - asked >= PATIENCE:
        hours = int(PATIENCE.total_seconds() // 3600)
        return f"Within {hours} hours there was no last backup"
    return ""


def _said(backup: Backup) -> str:
    ready = cond.find_condition(backup.status.conditions, ConditionType.READY)
    return f"{ready.reason}: {ready.message}" if ready is not None else "it has not begun"


def _backup(db: Database, name: str, method: BackupMethod) -> Backup:
    return Backup(
        metadata=ObjectMeta(
            name=name,
            namespace=db.metadata.namespace,
            labels={DATABASE_LABEL: db.metadata.name, ORIGIN_LABEL: BackupOrigin.FINAL},
        ),
        spec=BackupSpec(
            database_ref=Reference(name=db.metadata.name),
            method=method,
            description="spec.deletionPolicy: FinalBackup",
        ),
    )
