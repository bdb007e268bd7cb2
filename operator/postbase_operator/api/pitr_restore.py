"""PitrRestore: brings a Database, or a new one, to a moment of the past."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, ClassVar

from pydantic import Field

from postbase_operator.api.base import (
    AGE,
    MESSAGE,
    READY,
    Column,
    Definition,
    Empty,
    Model,
    Reference,
    Resource,
)
from postbase_operator.api.database_server import Resources
from postbase_operator.api.database_spec import Provider
from postbase_operator.api.ids import public_id
from postbase_operator.api.restore_status import PitrRestoreStatus
from postbase_operator.api.rules import Rule, immutable, names_a_branch, short_name
from postbase_operator.api.scalars import (
    LSN,
    Duration,
    ObjectName,
    Quantity,
    SecretKey,
    TargetTime,
    volume_size,
    worded,
)


class Source(Model):
    """What to restore; exactly one."""

    exactly_one_of = ("target_time", "lsn", "latest", "backup_ref", "previous")
    rules = (names_a_branch("targetTime", "lsn"),)

    target_time: TargetTime | None = Field(
        None,
        description="The moment, in RFC 3339 with a zone: 2026-11-23T14:30:00.5Z. Everything "
        "that was committed before it is there. Must lie in status.pitr.recoveryWindow, or with "
        "timeline on one of status.pitr.branches.",
    )
    lsn: LSN | None = Field(None, description="The position in the log, as 16/B374D848.")
    timeline: Annotated[int, Field(ge=1, le=2147483647)] | None = Field(
        None,
        description="With targetTime or lsn: the PostgreSQL timeline of the branch that is meant, "
        "one of status.pitr.branches[].timeline. Default: the branch that is written now.",
    )
    latest: Empty | None = Field(
        None, description="`{}`: everything; in place not even what is written meanwhile is lost."
    )
    backup_ref: Reference | None = Field(
        None, description="A Backup of the same namespace, as it is."
    )
    previous: Empty | None = Field(
        None,
        description="`{}`: the volume that the last restore in place replaced; undoes it, within "
        "that restore's keepPrevious.",
    )


class NewDatabase(Model):
    """A Database to make; what is not said here is as in the source."""

    name: Annotated[
        str,
        *worded(
            r"^[a-z]([-a-z0-9]*[a-z0-9])?$",
            "must be the name of a Database: at most 40 lower-case letters, digits and hyphens, "
            "the first a letter",
            min_length=1,
            max_length=40,
        ),
    ] = Field(description="Its name, in the same namespace; must be free.")
    size: Annotated[Quantity, *volume_size("spec.target.newDatabase.size")] | None = Field(
        None, description="Capacity of its volume. Default: as the source's."
    )
    storage_class_name: SecretKey | None = Field(
        None, description="StorageClass of its volume. Default: as the source's."
    )
    resources: Resources | None = Field(
        None, description="Processor time and memory. Default: as the source's."
    )
    provider: Provider | None = Field(
        None,
        description="Who runs it: Kubernetes or Railway. Of another one than the source it is as "
        "that, but for what only one of them has. Default: as the source's.",
    )
    region: ObjectName | None = Field(
        None,
        description="Where it runs. Default: as the source's; with another provider the "
        "Project's, else the installation's.",
    )


class Target(Model):
    """Where to restore to; exactly one."""

    exactly_one_of = ("in_place", "new_database")

    in_place: Empty | None = Field(
        None,
        description="`{}`: the Database itself. A new volume is filled while it runs on; it is "
        "switched over only when recovery has reached its target.",
    )
    new_database: NewDatabase | None = Field(
        None, description="A new Database beside it; the source is not touched."
    )


class PitrRestoreSpec(Model):
    """What to restore, and where to. Cannot be changed."""

    rules = (
        Rule(
            "!has(self.source.previous) || has(self.target.inPlace)",
            message="spec.source.previous undoes a restore in place: set spec.target.inPlace: {}",
        ),
    )

    database_ref: Reference = Field(
        description="The Database whose backups and archive are read. For one that was deleted "
        "make a new Database with spec.bootstrap.restore."
    )
    source: Source = Field(description="What to restore; exactly one.")
    target: Target = Field(description="Where to restore to; exactly one.")
    dry_run: bool = Field(
        False,
        description="True only plans: status.plan says what would be done, what it would give and "
        "how long it would take. Default: false.",
    )
    keep_previous: Duration = Field(
        timedelta(hours=24),
        description="In place: how long the replaced volume stays, so that the restore can be "
        "undone with source.previous. Default: 24h.",
    )


class PitrRestore(Resource):
    """A restore: in place or into a new Database, to a moment, a backup, or all that there is."""

    definition: ClassVar = Definition(
        kind="PitrRestore",
        plural="pitrrestores",
        singular="pitrrestore",
        short_names=("pbrestore",),
        selectable=(".spec.databaseRef.name",),
        columns=(
            Column("Database", ".spec.databaseRef.name", "Whose archive is read"),
            Column("Target-Time", ".spec.source.targetTime", "Moment asked for"),
            Column("Phase", ".status.phase", "State in one word"),
            Column("Step", ".status.progress.step", "What it does now"),
            Column("Done", ".status.progress.percent", "Per cent of it", type="integer"),
            Column(
                "Estimated-End",
                ".status.progress.estimatedCompletionTime",
                "When it will be done, as it looks now",
            ),
            Column("Recovered-To", ".status.recoveredTo", "Last commit that was restored"),
            AGE,
            READY.wide(),
            MESSAGE,
        ),
    )

    rules = (short_name(63),)

    spec: Annotated[
        PitrRestoreSpec,
        immutable("spec of a PitrRestore", "it says what was done; make another PitrRestore"),
    ] = Field(description="What to restore, and where to. Cannot be changed.")
    status: PitrRestoreStatus = Field(PitrRestoreStatus(), description="What the operator found.")

    @property
    def id(self) -> str:
        return public_id("PitrRestore", self.metadata.uid)

    def is_done(self) -> bool:
        """True for good: what is done is never validated nor run again."""
        return self.status.phase is not None and self.status.phase.is_final
