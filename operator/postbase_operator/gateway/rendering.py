"""From custom resources to what the API shows of them. PURE."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Literal

from postbase_operator.api.account import Account
from postbase_operator.api.account import Plan as AccountPlan
from postbase_operator.api.backup import Backup, BackupOrigin
from postbase_operator.api.conditions import Condition, ConditionType, find_condition, is_true
from postbase_operator.api.database import Database, DatabasePhase
from postbase_operator.api.database_status import Receiver, ReceiverState
from postbase_operator.api.ids import public_id
from postbase_operator.api.pitr_restore import PitrRestore
from postbase_operator.api.policies import BackupMethod
from postbase_operator.api.project import Project
from postbase_operator.api.quantity import parse_quantity
from postbase_operator.api.runs import RunPhase
from postbase_operator.archive.receiver import ReceiverReport
from postbase_operator.gateway import shapes

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MEBIBYTE, GIBIBYTE = 1 << 20, 1 << 30


def plan_word(plan: AccountPlan) -> Literal["free", "pro"]:
    return "pro" if plan is AccountPlan.PRO else "free"


def user(account: Account) -> shapes.User:
    spec = account.spec
    return shapes.User(id=account.id, github_id=spec.github_id, login=spec.login, email=spec.email)


def me(account: Account) -> shapes.Me:
    return shapes.Me(
        **user(account).model_dump(),
        created_at=created(account),
        plan=plan_word(account.spec.plan),
    )


def created(resource: Account | Project | Database | Backup | PitrRestore) -> datetime:
    return resource.metadata.creation_timestamp or EPOCH


def project(model: Project, name: str) -> shapes.Project:
    uid = model.metadata.uid
    return shapes.Project(id=public_id("Project", uid), name=name, created_at=created(model))


# -- databases -------------------------------------------------------------------------------------

STATUS = {
    DatabasePhase.PENDING: shapes.DatabaseStatus.PROVISIONING,
    DatabasePhase.PROVISIONING: shapes.DatabaseStatus.PROVISIONING,
    DatabasePhase.RUNNING: shapes.DatabaseStatus.RUNNING,
    DatabasePhase.RESTORING: shapes.DatabaseStatus.RESTORING,
    DatabasePhase.PAUSED: shapes.DatabaseStatus.PAUSED,
    DatabasePhase.DELETING: shapes.DatabaseStatus.DELETING,
    DatabasePhase.FAILED: shapes.DatabaseStatus.FAILED,
}


def database_status(db: Database) -> shapes.DatabaseStatus:
    """One that waits for a person and does not run has failed, whatever its phase."""
    if db.metadata.is_deleting:
        return shapes.DatabaseStatus.DELETING
    status = STATUS[db.status.phase or DatabasePhase.PENDING]
    stalled = is_true(db.status.conditions, ConditionType.STALLED)
    if stalled and status is shapes.DatabaseStatus.PROVISIONING:
        return shapes.DatabaseStatus.FAILED
    return status


def config(db: Database) -> shapes.Config:
    resources = db.spec.resources
    return shapes.Config(
        cpu=float(parse_quantity(resources.cpu)),
        memory=int(parse_quantity(resources.memory) / MEBIBYTE),
        storage=int(parse_quantity(db.spec.storage.size) / GIBIBYTE),
    )


def database(db: Database, name: str) -> shapes.Database:
    railway = db.status.railway
    return shapes.Database(
        id=db.id,
        name=name,
        railway_service_id=railway.service_id if railway is not None else None,
        region=db.spec.region or db.status.region,
        status=database_status(db),
        created_at=created(db),
        status_reason=reason(db.status.conditions),
        config=config(db),
        postgres_version=db.spec.postgres_version or db.status.version,
    )


def reason(conditions: Sequence[Condition]) -> str | None:
    """Why it is not ready, in one word; null where it is."""
    ready = find_condition(conditions, ConditionType.READY)
    return ready.reason if ready is not None and ready.status.value != "True" else None


# -- runs ------------------------------------------------------------------------------------------


def run_status(phase: RunPhase | None) -> shapes.RunStatus:
    return shapes.RunStatus((phase or RunPhase.PENDING).value.lower())


def backup(model: Backup) -> shapes.Backup:
    status, manual = model.status, model.origin is BackupOrigin.MANUAL
    logical = model.spec.method is BackupMethod.LOGICAL
    return shapes.Backup(
        id=model.id,
        type="manual" if manual else "automated",
        status=run_status(status.phase),
        size_bytes=status.size_bytes,
        created_at=created(model),
        expires_at=status.expires_at,
        method="logical" if logical else "physical",
        completed_at=status.completed_at,
        duration_seconds=status.duration_seconds,
        status_reason=reason(status.conditions),
    )


def moment(at: datetime) -> str:
    return at.astimezone(UTC).isoformat().replace("+00:00", "Z")


def target_time(model: PitrRestore) -> str | None:
    """As it was asked for; null where no moment was."""
    source = model.spec.source
    if source.target_time is not None:
        return moment(source.target_time)
    return "latest" if source.latest is not None else None


def is_pitr(model: PitrRestore) -> bool:
    """Whether the log is replayed for it; else it is of a backup, or an undo."""
    source = model.spec.source
    return source.backup_ref is None and source.previous is None


def started(model: PitrRestore) -> datetime:
    return model.status.started_at or created(model)


def restore(model: PitrRestore, backup_id: str | None) -> shapes.Restore:
    status, new = model.status, model.spec.target.new_database
    return shapes.Restore(
        id=model.id,
        type="pitr" if is_pitr(model) else "backup",
        target_time=target_time(model),
        status=run_status(status.phase),
        wal_files_applied=status.wal_files_applied,
        started_at=started(model),
        completed_at=status.completed_at,
        recovered_to=status.recovered_to,
        percent=status.progress.percent if status.progress is not None else None,
        status_reason=reason(status.conditions),
        target_name=new.name if new is not None else None,
        backup_id=backup_id,
        dry_run=model.spec.dry_run,
        plan=plan(model),
    )


def plan(model: PitrRestore) -> shapes.Plan | None:
    found = model.status.plan
    if found is None:
        return None
    return shapes.Plan(
        backup_id=found.backup_id,
        last_commit_time=found.last_commit_time,
        bytes=found.bytes,
        wal_files=found.wal_files,
        estimated_seconds=found.estimated_seconds,
        warnings=list(found.warnings),
    )


# -- the receiver ----------------------------------------------------------------------------------


def receiver_state(state: ReceiverState | None) -> shapes.ReceiverStatus:
    return shapes.ReceiverStatus((state or ReceiverState.STARTING).value.lower())


def live_receiver(report: ReceiverReport, now: datetime) -> shapes.Receiver:
    return shapes.Receiver(
        status=receiver_state(report.state),
        started_at=report.started_at,
        last_wal_file=report.last_segment,
        bytes_received=report.bytes_received,
        errors=report.errors,
        lag_seconds=report.lag_seconds,
        live=True,
        observed_at=now,
    )


def held_receiver(held: Receiver | None, observed_at: datetime | None) -> shapes.Receiver:
    """As the Database's status has it, where the receiver cannot be asked."""
    told = held or Receiver()
    return shapes.Receiver(
        status=receiver_state(told.state),
        started_at=told.started_at,
        last_wal_file=told.last_wal_file,
        bytes_received=told.bytes_received or 0,
        errors=told.errors or 0,
        lag_seconds=told.lag_seconds or 0.0,
        live=False,
        observed_at=observed_at,
    )
