"""Backup: one run of one backup. Schedules make such objects too; so does every user on request."""

from __future__ import annotations

from enum import StrEnum
from typing import ClassVar

from pydantic import Field

from postbase_operator.api.base import (
    AGE,
    MESSAGE,
    READY,
    Column,
    Definition,
    Model,
    Reference,
    Resource,
)
from postbase_operator.api.conditions import Conditions
from postbase_operator.api.ids import public_id
from postbase_operator.api.policies import BackupMethod
from postbase_operator.api.rules import Rule, short_name, unchanged
from postbase_operator.api.runs import RunPhase
from postbase_operator.api.scalars import LSN, Instant, PublicId, Text

ORIGIN_LABEL = "postbase.sh/origin"
DATABASE_LABEL = "postbase.sh/database"


class BackupOrigin(StrEnum):
    """Who asked for the backup; the value of the label postbase.sh/origin."""

    SCHEDULE = "schedule"
    MANUAL = "manual"
    PITR = "pitr"
    FINAL = "final"


class BackupDeletionPolicy(StrEnum):
    """What becomes of the stored bytes when the Backup is deleted."""

    RETAIN = "Retain"
    DELETE = "Delete"


class BackupSpec(Model):
    """Which Database to back up, and how."""

    rules = (
        Rule(
            f"self.databaseRef == oldSelf.databaseRef && self.method == oldSelf.method && "
            f"{unchanged('retentionDays')} && {unchanged('description')}",
            message="spec of a Backup cannot be changed but for deletionPolicy: it says what was "
            "done; make another Backup",
        ),
    )

    database_ref: Reference = Field(description="The Database to back up.")
    method: BackupMethod = Field(
        BackupMethod.LOGICAL,
        description="Logical is a pg_dump, which any major version can restore; Physical is a "
        "copy of the files. Default: Logical.",
    )
    retention_days: int | None = Field(
        None,
        ge=1,
        le=3650,
        description="Days from its completion until it is deleted by itself, object and bytes. "
        "Default: for one by schedule as the Database says, for others never.",
    )
    description: Text | None = Field(None, description="A word for people: why it was made.")
    deletion_policy: BackupDeletionPolicy = Field(
        BackupDeletionPolicy.RETAIN,
        description="What becomes of the stored bytes when this object is deleted. Retain: they "
        "stay, and the catalogue lists them. Delete: they go too, once no recovery window needs "
        "them. The one field that may be changed. Default: Retain.",
    )


class BackupProgress(Model):
    """How far a backup that runs has come; told at each tenth, not at each byte."""

    phase: str | None = Field(
        None, max_length=32, description="Starting, Copying, Verifying or Finishing."
    )
    bytes_done: int | None = Field(None, description="Read of the database so far, in bytes.")
    bytes_total: int | None = Field(None, description="What there is to read, in bytes; a guess.")
    percent: int | None = Field(None, ge=0, le=100, description="The one of the other.")


class BackupStatus(Model):
    """What the operator found; nobody else writes here."""

    id: PublicId | None = Field(None, description="Public id, bkp_…, made from the UID.")
    phase: RunPhase | None = Field(
        None, description="Pending, Running, Completed or Failed; the last two are final."
    )
    observed_generation: int = Field(
        -1, description="The metadata.generation that this status is about; -1: none yet."
    )
    database_uid: str | None = Field(
        None, max_length=36, description="UID of the Database, by which its archive is found."
    )
    project_id: PublicId | None = Field(
        None,
        alias="projectID",
        description="Public id of the Project that its bytes count for, also when the Database "
        "is gone.",
    )
    version: str | None = Field(
        None, max_length=64, description="Version of PostgreSQL that it was taken from."
    )
    object_key: str | None = Field(
        None,
        max_length=1024,
        description="Key in the bucket: the dump, or the folder of a physical backup.",
    )
    size_bytes: int | None = Field(None, description="Stored size, in bytes.")
    source_bytes: int | None = Field(
        None, description="What the databases took when it was taken, in bytes."
    )
    sha256: str | None = Field(
        None, max_length=64, description="SHA-256 of the stored object, or of its manifest."
    )
    started_at: Instant | None = Field(None, description="When it began to run.")
    completed_at: Instant | None = Field(None, description="When it was completed or failed.")
    duration_seconds: int | None = Field(
        None, description="From its begin to its completion, in seconds."
    )
    attempts: int = Field(0, description="How often its run was begun; three times at most.")
    progress: BackupProgress | None = Field(None, description="While it runs: how far it is.")
    expires_at: Instant | None = Field(
        None, description="When it is deleted by itself; none: it stays until somebody deletes it."
    )
    expired_at: Instant | None = Field(
        None,
        description="When retention deleted it: what it stored goes too, whatever "
        "spec.deletionPolicy says.",
    )
    verified_at: Instant | None = Field(
        None, description="When every stored byte was last read back and compared."
    )
    checksums_verified: bool | None = Field(
        None,
        description="Physical: whether the checksum of every page was right; false: there are "
        "damaged pages in the database, and in the backup. None: the data has no checksums.",
    )
    timeline: int | None = Field(None, description="Physical: PostgreSQL's timeline.")
    start_lsn: LSN | None = Field(None, description="Physical: where the log it needs begins.")
    stop_lsn: LSN | None = Field(None, description="Physical: where it became consistent.")
    conditions: Conditions = ()


class Backup(Resource):
    """One backup of a Database. It outlives its Database."""

    definition: ClassVar = Definition(
        kind="Backup",
        plural="backups",
        singular="backup",
        short_names=("pbbackup",),
        selectable=(".spec.databaseRef.name",),
        columns=(
            Column("Database", ".spec.databaseRef.name", "What was backed up"),
            Column("Method", ".spec.method", "Logical or Physical"),
            Column("Phase", ".status.phase", "State in one word"),
            Column("Size", ".status.sizeBytes", "Stored size in bytes", type="integer"),
            Column("Completed", ".status.completedAt", "Time since it was done", type="date"),
            Column("Expires", ".status.expiresAt", "When it is deleted by itself"),
            AGE,
            READY.wide(),
            MESSAGE,
        ),
    )

    rules = (short_name(63),)

    spec: BackupSpec = Field(description="Which Database to back up, and how.")
    status: BackupStatus = Field(BackupStatus(), description="What the operator found.")

    @property
    def id(self) -> str:
        return public_id("Backup", self.metadata.uid)

    @property
    def origin(self) -> BackupOrigin:
        """What nobody labelled was made by hand."""
        label = self.metadata.labels.get(ORIGIN_LABEL, BackupOrigin.MANUAL)
        return BackupOrigin(label) if label in set(BackupOrigin) else BackupOrigin.MANUAL

    def is_done(self) -> bool:
        """True for good: what is done is never validated nor run again."""
        return self.status.phase is not None and self.status.phase.is_final
