"""What the operator says about a restore: a plan before anything is touched, then progress."""

from __future__ import annotations

from enum import StrEnum

from pydantic import Field

from postbase_operator.api.base import Model, Reference
from postbase_operator.api.conditions import Conditions
from postbase_operator.api.database_status import RecoveryWindow
from postbase_operator.api.runs import RunPhase
from postbase_operator.api.scalars import LSN, Instant, Message, PublicId


class RestoreReason(StrEnum):
    """Why a restore cannot be done or did not succeed: reasons of its conditions."""

    TARGET_BEFORE_WINDOW = "TargetBeforeWindow"
    TARGET_AFTER_WINDOW = "TargetAfterWindow"
    WAL_GAP = "WalGap"
    NO_BASE_BACKUP = "NoBaseBackup"
    TIMELINE_NOT_FOUND = "TimelineNotFound"
    NO_PREVIOUS_VOLUME = "NoPreviousVolume"
    CHECKSUM_MISMATCH = "ChecksumMismatch"
    WAITING_FOR_ARCHIVE = "WaitingForArchive"
    QUOTA_EXCEEDED = "QuotaExceeded"
    NAME_TAKEN = "NameTaken"
    RECOVERY_FAILED = "RecoveryFailed"
    FLUSH_PENDING = "FlushPending"
    NO_ARCHIVE = "NoArchive"


class RestoreStep(StrEnum):
    """What a restore does at the moment."""

    PLANNING = "Planning"
    FILLING = "Filling"
    RECOVERING = "Recovering"
    STOPPING = "Stopping"
    VERIFYING = "Verifying"
    SWITCHING = "Switching"


class RestorePlan(Model):
    """What will be done and what it will give; written before anything is touched."""

    backup_id: str | None = Field(
        None, alias="backupID", max_length=40, description="The backup that it begins with."
    )
    object_key: str | None = Field(
        None, max_length=1024, description="Where that backup lies in the object store."
    )
    backup_time: Instant | None = Field(None, description="When that backup ended.")
    window: RecoveryWindow | None = Field(
        None, description="What could be restored when the plan was made."
    )
    target_time: Instant | None = Field(None, description="The moment asked for.")
    start_lsn: LSN | None = Field(
        None, description="Where the log is read from: no retention takes it until the end."
    )
    target_lsn: LSN | None = Field(None, description="Where the log will be cut.")
    stop_at: Instant | None = Field(
        None,
        description="Where replay ends before the log does: the first commit after this moment.",
    )
    last_commit_time: Instant | None = Field(
        None, description="The last commit that will be there, at or before the target."
    )
    timelines: tuple[int, ...] = Field(
        (), max_length=64, description="Timelines on the way, the oldest first."
    )
    bytes: int | None = Field(None, description="Bytes to fetch.")
    content_bytes: int | None = Field(
        None, description="What the backup comes to when it is unpacked, in bytes."
    )
    log_bytes: int | None = Field(None, description="Bytes of the log to replay.")
    wal_files: int | None = Field(None, description="Segments of the log to replay.")
    estimated_seconds: int | None = Field(None, description="Estimated duration.")
    estimated_by: Message | None = Field(None, description="What the estimate rests on.")
    warnings: tuple[Message, ...] = Field(
        (),
        max_length=32,
        description="What will not be as before, e.g. logical slots, unlogged tables, commits "
        "after the target.",
    )


class RestoreProgress(Model):
    """How far it is, as of observedAt."""

    step: RestoreStep | None = Field(
        None, description="Planning, Filling, Recovering, Stopping, Verifying or Switching."
    )
    percent: int | None = Field(None, ge=0, le=100, description="Share of the whole, in per cent.")
    bytes_done: int | None = Field(None, description="Bytes fetched.")
    wal_files_done: int | None = Field(None, description="Segments replayed.")
    recovered_to: Instant | None = Field(None, description="Commit time that recovery is at.")
    estimated_completion_time: Instant | None = Field(None, description="Estimated end.")
    observed_at: Instant | None = Field(None, description="When these figures were true.")


class RestoreMeasured(Model):
    """How long the parts of a restore in place took: the next one's estimate rests on them."""

    content_seconds: int = Field(0, description="Fetching and unpacking the backup, or loading it.")
    replay_seconds: int = Field(
        0, description="Replaying the log, with PostgreSQL's start and end."
    )
    logical: bool = Field(False, description="A dump was loaded, and no volume was filled.")
    follows: bool = Field(False, description="The log was followed while it was written.")


class PreviousVolume(Model):
    """The volume that a restore in place replaced."""

    claim_name: str = Field(max_length=253, description="PersistentVolumeClaim.")
    kept_until: Instant | None = Field(None, description="When it is deleted.")


class PreviousDatabase(Model):
    """The database that a logical backup restored in place replaced."""

    name: str = Field(max_length=63, description="What it is called since, on the same server.")
    kept_until: Instant | None = Field(None, description="When it is dropped.")


class PitrRestoreStatus(Model):
    """What the operator found; nobody else writes here."""

    id: PublicId | None = Field(None, description="Public id, rstr_…, made from the UID.")
    phase: RunPhase | None = Field(
        None, description="Pending, Running, Completed or Failed; the last two are final."
    )
    observed_generation: int = Field(
        -1, description="The metadata.generation that this status is about; -1: none yet."
    )
    plan: RestorePlan | None = Field(None, description="What will be done and what it will give.")
    progress: RestoreProgress | None = Field(None, description="How far it is.")
    measured: RestoreMeasured | None = Field(None, description="How long its parts took.")
    started_at: Instant | None = Field(None, description="When it began to run.")
    completed_at: Instant | None = Field(None, description="When it was completed or failed.")
    recovered_to: Instant | None = Field(
        None, description="Time of the last commit that was restored."
    )
    recovered_lsn: LSN | None = Field(None, description="Position of the log that was reached.")
    wal_files_applied: int | None = Field(None, description="Segments of the log replayed.")
    database_ref: Reference | None = Field(
        None, description="The Database that holds what was restored."
    )
    previous_volume: PreviousVolume | None = Field(
        None, description="In place: the volume that was replaced."
    )
    previous_database: PreviousDatabase | None = Field(
        None, description="In place, of a Logical backup: the database that was replaced."
    )
    conditions: Conditions = ()
