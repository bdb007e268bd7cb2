"""What the operator says about a Database: the state, not the moving figures.

Those live in the sidecar and reach the status every ten minutes at most; what is written here while
a receiver runs carries the time it was observed.
"""

from __future__ import annotations

from enum import StrEnum

from pydantic import Field

from postbase_operator.api.base import Model, Reference
from postbase_operator.api.conditions import Conditions
from postbase_operator.api.policies import BackupMethod, RecoveryPoint
from postbase_operator.api.scalars import LSN, Instant, PublicId, Text


class DatabasePhase(StrEnum):
    """The state in one word; the conditions say more."""

    PENDING = "Pending"
    PROVISIONING = "Provisioning"
    RUNNING = "Running"
    RESTORING = "Restoring"
    PAUSED = "Paused"
    DELETING = "Deleting"
    FAILED = "Failed"


class ReceiverState(StrEnum):
    """What the WAL receiver does."""

    STARTING = "Starting"
    RUNNING = "Running"
    RESTARTING = "Restarting"
    STOPPED = "Stopped"
    ERROR = "Error"


class Archiving(StrEnum):
    """Whether changes reach the object store."""

    STREAMING = "Streaming"
    LAGGING = "Lagging"
    DOWN = "Down"
    OFF = "Off"


class RunKind(StrEnum):
    """Kinds of objects that run once."""

    BACKUP = "Backup"
    PITR_RESTORE = "PitrRestore"


class ImageStatus(Model):
    """The image, as asked for and as it runs."""

    requested: str | None = Field(None, max_length=512, description="The image by its tag.")
    digest: str | None = Field(
        None,
        max_length=1024,
        description="What the tag meant when the Database was made; it stays until an upgrade is "
        "requested.",
    )


class Endpoint(Model):
    """Where clients connect."""

    host: str | None = Field(None, max_length=253, description="Name or address.")
    port: int | None = Field(None, description="TCP port.")


class VolumeStatus(Model):
    """The volume that serves."""

    claim_name: str | None = Field(None, max_length=253, description="PersistentVolumeClaim.")
    generation: int | None = Field(
        None, description="Counts the Database's volumes; a restore in place makes a new one."
    )
    capacity: str | None = Field(None, max_length=24, description="Capacity, e.g. 10Gi.")


class ArchiveStatus(Model):
    """Where the Database's archive lies in the object store."""

    bucket: str | None = Field(None, max_length=63, description="Bucket.")
    prefix: str | None = Field(None, max_length=1024, description="Folder of all its objects.")
    incarnation: str | None = Field(
        None, max_length=63, description="Which life of the Database is being archived now."
    )


class BackupSummary(Model):
    """Backups of the Database, and the settings that result for them."""

    schedule: str | None = Field(None, max_length=128, description="Schedule in force.")
    method: BackupMethod | None = Field(None, description="Method in force.")
    retention_days: int | None = Field(None, description="Retention in force, in days.")
    last_successful_time: Instant | None = Field(
        None, description="When the last successful backup was completed."
    )
    last_scheduled_time: Instant | None = Field(
        None,
        description="The latest minute of the schedule that is dealt with; its backup began later "
        "by spec.backup.spread.",
    )
    next_time: Instant | None = Field(None, description="When the next scheduled one begins.")
    last_verified_time: Instant | None = Field(
        None,
        description="When every stored byte of one was last read back and compared.",
    )


class Receiver(Model):
    """The WAL receiver, as of status.pitr.observedAt."""

    state: ReceiverState | None = Field(
        None, description="Starting, Running, Restarting, Stopped or Error."
    )
    started_at: Instant | None = Field(None, description="When its process started.")
    last_wal_file: str | None = Field(
        None, max_length=64, description="Name of the last segment that is whole in the archive."
    )
    segments_archived: int | None = Field(
        None,
        description="Whole segments archived since PITR was switched on; survives restarts.",
    )
    bytes_received: int | None = Field(
        None, description="Bytes archived since PITR was switched on; survives restarts."
    )
    errors: int | None = Field(None, description="Failed attempts since its process started.")
    lag_seconds: float | None = Field(
        None, description="Age of the oldest commit that is not in the archive yet; 0 if none."
    )
    lag_bytes: int | None = Field(None, description="Log that is not in the archive yet, in bytes.")
    durable_lsn: LSN | None = Field(
        None, description="Everything before this position is in the archive."
    )


class RecoveryWindow(Model):
    """Every second between the two can be restored."""

    from_: Instant | None = Field(None, description="The earliest second.")
    to: Instant | None = Field(None, description="The latest second, at least.")


class Branch(RecoveryWindow):
    """A stretch of history that can be restored: the live one, or one that a restore left."""

    timeline: int = Field(description="PostgreSQL's timeline.")
    live: bool | None = Field(None, description="Whether this is the branch that is written now.")
    reason: Text | None = Field(
        None, description="Why it ends or begins where it does: a restore, a gap in the log."
    )


class PitrStatus(Model):
    """Point-in-time recovery: the settings that result, the archive, and what can be restored."""

    enabled: bool | None = Field(None, description="Whether archiving is on.")
    retention_days: int | None = Field(None, description="Retention in force, in days.")
    rpo: RecoveryPoint | None = Field(None, description="Recovery point in force.")
    archiving: Archiving | None = Field(
        None, description="Streaming, Lagging, Down or Off; written at once when it changes."
    )
    receiver: Receiver | None = Field(None, description="The WAL receiver.")
    recovery_window: RecoveryWindow | None = Field(
        None, description="What can be restored on the branch that is written now."
    )
    branches: tuple[Branch, ...] = Field(
        (), max_length=64, description="All stretches that can be restored, the newest first."
    )
    base_backup_ref: Reference | None = Field(
        None, description="The base backup that the window begins with."
    )
    base_backup_time: Instant | None = Field(None, description="When that base backup ended.")
    latest_wal_time: Instant | None = Field(
        None, description="Time of the last commit that is in the archive."
    )
    observed_at: Instant | None = Field(
        None, description="When these figures were true; `to` and the lag are newer by now."
    )


class FinishedRun(Model):
    """A Backup or PitrRestore that has been done: it never runs again, even if Git brings it
    back."""

    kind: RunKind = Field(description="Backup or PitrRestore.")
    name: str = Field(max_length=253, description="Its name.")
    spec_hash: str = Field(max_length=64, description="Hash of its spec.")
    id: PublicId | None = Field(None, description="Its public id when it ran.")
    completed_at: Instant | None = Field(None, description="When it was done.")


class RailwayCost(Model):
    """What the Database can come to on Railway. Railway bills what is used; limits only cap it."""

    at_most: str | None = Field(
        None,
        max_length=24,
        description="US dollars a month, with all that spec.resources allows in use all the time "
        "and a full volume; what leaves through the proxy, and what the plan includes, is not in "
        "it. Paused: the volume alone.",
    )
    prices_of: str | None = Field(
        None, max_length=10, description="Date of the price list that it follows."
    )


class RailwayStatus(Model):
    """What stands for the Database on Railway."""

    project_id: str | None = Field(None, max_length=64, description="Railway project.")
    environment_id: str | None = Field(None, max_length=64, description="Railway environment.")
    service_id: str | None = Field(None, max_length=64, description="Service of PostgreSQL.")
    receiver_service_id: str | None = Field(
        None, max_length=64, description="Service of the WAL receiver."
    )
    volume_id: str | None = Field(None, max_length=64, description="Volume of PostgreSQL.")
    cost: RailwayCost | None = Field(None, description="An estimate, with the date of its prices.")


class DatabaseStatus(Model):
    """What the operator found; nobody else writes here."""

    id: PublicId | None = Field(None, description="Public id, db_…, made from the UID.")
    phase: DatabasePhase | None = Field(
        None,
        description="Pending, Provisioning, Running, Restoring, Paused, Deleting or Failed; the "
        "conditions say more.",
    )
    observed_generation: int = Field(
        -1, description="The metadata.generation that this status is about; -1: none yet."
    )
    version: str | None = Field(
        None, max_length=64, description="Version of PostgreSQL that runs, e.g. 15.14."
    )
    region: str | None = Field(None, max_length=63, description="Region that it was made in.")
    image: ImageStatus | None = Field(None, description="The image, as asked for and as it runs.")
    credentials_secret_ref: Reference | None = Field(
        None,
        description="Secret with the keys host, port, dbname, user, password and uri; it follows "
        "the Service Binding specification.",
    )
    endpoint: Endpoint | None = Field(None, description="Where clients connect; see spec.expose.")
    volume: VolumeStatus | None = Field(None, description="The volume that serves.")
    system_id: str | None = Field(
        None, max_length=20, description="PostgreSQL's system identifier: whose data it is."
    )
    archive: ArchiveStatus | None = Field(None, description="Where its archive lies.")
    backup: BackupSummary | None = Field(None, description="Backups of the Database.")
    pitr: PitrStatus | None = Field(None, description="Point-in-time recovery.")
    requests: dict[str, Text] = Field(
        {},
        max_length=16,
        description="Values of the annotations postbase.sh/request-<verb> that have been served, "
        "by verb: each value is done once.",
    )
    restarting: str | None = Field(
        None,
        max_length=64,
        description="The pod, by its UID, that a served request to restart replaces.",
    )
    finished_runs: tuple[FinishedRun, ...] = Field(
        (),
        max_length=200,
        description="Backups and PitrRestores that have been done, the newest 200.",
    )
    railway: RailwayStatus | None = Field(None, description="With provider Railway: its parts.")
    conditions: Conditions = ()
