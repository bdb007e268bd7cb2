"""A Database's own part in its backups: the next by schedule, the end of old ones, how it stands.

Each Backup is planned by itself (backup.py); the Database makes them, ends them, and tells of them.
PURE.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

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
from postbase_operator.api.database_spec import Expose
from postbase_operator.api.database_status import BackupSummary, FinishedRun
from postbase_operator.api.policies import BackupMethod, BackupPolicy, PitrPolicy
from postbase_operator.api.project import ProjectDefaults
from postbase_operator.api.runs import RunPhase
from postbase_operator.errors import InvalidSpec
from postbase_operator.planning import plan as steps
from postbase_operator.planning import schedule
from postbase_operator.planning.backup_done import remember
from postbase_operator.planning.plan import Step
from postbase_operator.planning.retention import Policies, expired

REQUEST = "postbase.sh/request-backup"
VERB = "backup"
LONGEST = 256
"""Characters of a request's value that count: what status.requests takes."""


@dataclass(frozen=True, slots=True)
class Backups:
    """What the planner of a Database is told of its backups."""

    all: Sequence[Backup] = ()
    """All Backups that name this Database, also those of an earlier one of its name."""
    has_store: bool = False
    pinned: Collection[str] = ()
    """Names of those that unfinished restores read from."""
    over_quota: str = ""
    """Why the Project may have no more (retention.quota)."""


NO_BACKUPS = Backups()


@dataclass(frozen=True, slots=True)
class Health:
    """The condition BackupHealthy; no part of Ready."""

    healthy: bool | None
    reason: str
    message: str


@dataclass(frozen=True, slots=True)
class Outlook:
    """`again`: when the next look is due, where that is known. `requested`: the value of the
    annotation whose Backup is made with these steps, for status.requests."""

    summary: BackupSummary
    health: Health
    finished_runs: tuple[FinishedRun, ...]
    steps: tuple[Step, ...] = ()
    again: datetime | None = None
    requested: str | None = None


def outlook(
    db: Database, known: Backups, defaults: ProjectDefaults, now: datetime, *, answers: bool
) -> Outlook:
    """`answers`: PostgreSQL does; else what is due is made once it does.

    A schedule that means nothing stops no database and no backup on request, and is told.
    """
    try:
        told = _outlook(db, known, defaults, now, answers=answers)
    except InvalidSpec as error:
        held = db.status.backup or BackupSummary()
        told = Outlook(held, Health(False, error.reason, str(error)), db.status.finished_runs)
    asked = request(db)
    if asked is None:
        return told
    method = policy_of(db, defaults).method
    made = steps.CreateBackup(requested_backup(db, asked, method))
    return replace(told, steps=(*told.steps, made), requested=asked)


def policy_of(db: Database, defaults: ProjectDefaults) -> BackupPolicy:
    """Of a private Database no dump can be taken, whatever its Project asks of all; what its own
    spec asks is refused there (railway/support.py)."""
    policy = BackupPolicy.of(db.spec.backup, defaults.backup)
    if db.spec.expose is Expose.PRIVATE:
        return replace(policy, method=BackupMethod.PHYSICAL)
    return policy


def request(db: Database) -> str | None:
    """The value of the annotation where it has not been served yet. A Database that has never run
    has nothing to back up: its first backup on request is made once it has."""
    asked = db.metadata.annotations.get(REQUEST, "")[:LONGEST]
    fresh = asked and asked != db.status.requests.get(VERB)
    return asked if fresh and db.status.system_id else None


def requested_backup(db: Database, asked: str, method: BackupMethod) -> Backup:
    """One Backup a value: a kill before the status is written, or another operator, makes the same
    name. `<db>-<10 hex digits>`: no minute of a schedule, which has twelve."""
    digest = hashlib.sha256(f"{db.metadata.uid} {asked}".encode()).hexdigest()
    return Backup(
        metadata=ObjectMeta(
            name=f"{db.metadata.name}-{digest[:10]}",
            namespace=db.metadata.namespace,
            labels={DATABASE_LABEL: db.metadata.name, ORIGIN_LABEL: BackupOrigin.MANUAL},
        ),
        spec=BackupSpec(
            database_ref=Reference(name=db.metadata.name),
            method=method,
            description=f"{REQUEST}: {asked}"[:LONGEST],
        ),
    )


def _outlook(
    db: Database, known: Backups, defaults: ProjectDefaults, now: datetime, *, answers: bool
) -> Outlook:
    policy = policy_of(db, defaults)
    policies = Policies(policy, PitrPolicy.of(db.spec.pitr, defaults.pitr))
    held = db.status.backup or BackupSummary()
    created = db.metadata.creation_timestamp or now
    due = schedule.due(policy, db.metadata.uid, held.last_scheduled_time, created, now)
    todo: list[Step] = []
    passed = held.last_scheduled_time
    if not known.has_store:
        passed = due.passed  # nothing was missed: there was nowhere to put it
    elif answers or due.at is None:
        made = schedule.scheduled_backup(db, policy, due)
        todo += [steps.CreateBackup(made)] if made is not None else []
        passed = due.passed
    own = [backup for backup in known.all if is_of(backup, db.metadata.uid)]
    todo += [
        steps.ExpireBackup(each.name, each.bytes)
        for each in expired(own, policies, now, known.pinned)
    ]
    summary = held.model_copy(
        update={
            "schedule": policy.schedule,
            "method": policy.method,
            "retention_days": policy.retention_days,
            "last_scheduled_time": passed,
            "last_successful_time": _last_success(own) or held.last_successful_time,
            "last_verified_time": _last_verified(own, held.last_verified_time),
            "next_time": due.next if known.has_store else None,
        }
    )
    return Outlook(
        summary,
        _health(own, policy, known),
        remember(db.status.finished_runs, known.all),
        tuple(todo),
        due.next if known.has_store else None,
    )


def is_of(backup: Backup, uid: str) -> bool:
    """Taken of the Database with this UID, or of none yet: names are given again."""
    return backup.status.database_uid in (None, uid)


def _last_success(backups: Sequence[Backup]) -> datetime | None:
    done = (b.status.completed_at for b in backups if b.status.phase is RunPhase.COMPLETED)
    return max((moment for moment in done if moment is not None), default=None)


def _last_verified(backups: Sequence[Backup], before: datetime | None) -> datetime | None:
    """It stays where that backup goes."""
    done = (b.status.verified_at for b in backups if b.status.phase is RunPhase.COMPLETED)
    return max((moment for moment in (before, *done) if moment is not None), default=None)


def _health(own: Sequence[Backup], policy: BackupPolicy, known: Backups) -> Health:
    """Whether the last backup by schedule was well, and whether there can be a next."""
    if not known.has_store:
        message = "No backup is made: set spec.objectStore of the Project, or of the installation"
        return Health(None, "NoObjectStore", message)
    if known.over_quota:
        return Health(False, "PlanLimitExceeded", known.over_quota)
    ended = [b for b in own if b.origin is BackupOrigin.SCHEDULE and b.is_done()]
    last = max(ended, key=_completed, default=None)
    if last is not None and last.status.phase is RunPhase.FAILED:
        ready = cond.find_condition(last.status.conditions, ConditionType.READY)
        why = f"{ready.reason}: {ready.message}" if ready is not None else "see its status"
        return Health(False, "BackupFailed", f"Backup {last.metadata.name} failed. {why}")
    if last is not None:
        message = f"Backup {last.metadata.name} is the last by schedule"
        return Health(True, "Completed", message)
    if policy.suspend:
        message = "No backup is made by schedule: backup.suspend is true"
        return Health(None, "Suspended", message)
    return Health(None, "NoBackupYet", "The first backup by schedule is yet to come")


def _completed(backup: Backup) -> float:
    moment = backup.status.completed_at
    return moment.timestamp() if moment is not None else 0.0
