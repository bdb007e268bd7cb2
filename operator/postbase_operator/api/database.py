"""Database: a PostgreSQL server with one application database, its volume, backups and archive."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from postbase_operator.api.base import AGE, MESSAGE, READY, Column, Definition, Resource
from postbase_operator.api.database_spec import DatabaseSpec
from postbase_operator.api.database_status import DatabasePhase, DatabaseStatus
from postbase_operator.api.ids import public_id
from postbase_operator.api.policies import BackupPolicy, PitrPolicy
from postbase_operator.api.project import ProjectDefaults
from postbase_operator.api.rules import short_name

__all__ = ["Database", "DatabasePhase", "DatabaseSpec", "DatabaseStatus"]

# The longest child name is <name>-credentials, and the StatefulSet's revision label adds 11
# characters to <name>-1: all must stay DNS labels of 63.
NAME_LENGTH = 40


class Database(Resource):
    """A PostgreSQL server with one application database, its volume, backups and archive."""

    definition: ClassVar = Definition(
        kind="Database",
        plural="databases",
        singular="database",
        short_names=("pbdb",),
        selectable=(".spec.projectRef.name",),
        columns=(
            Column("Phase", ".status.phase", "State in one word"),
            READY,
            Column("Version", ".status.version", "Version of PostgreSQL that runs"),
            Column("Size", ".status.volume.capacity", "Capacity of the volume"),
            Column("Archiving", ".status.pitr.archiving", "Streaming, Lagging, Down or Off"),
            Column("From", ".status.pitr.recoveryWindow.from", "Earliest restorable second"),
            Column(
                "Restorable-To",
                ".status.pitr.recoveryWindow.to",
                "Latest restorable second at least, as of status.pitr.observedAt",
            ),
            AGE,
            Column("Project", ".spec.projectRef.name", "Project that it is in", priority=1),
            MESSAGE,
        ),
    )

    rules = (short_name(NAME_LENGTH, of_a_service=True),)

    spec: DatabaseSpec = Field(description="What the Database should be.")
    status: DatabaseStatus = Field(DatabaseStatus(), description="What the operator found.")

    @property
    def id(self) -> str:
        return public_id("Database", self.metadata.uid)

    def backup_policy(self, defaults: ProjectDefaults) -> BackupPolicy:
        return BackupPolicy.of(self.spec.backup, defaults.backup)

    def pitr_policy(self, defaults: ProjectDefaults) -> PitrPolicy:
        return PitrPolicy.of(self.spec.pitr, defaults.pitr)

    def region(self, defaults: ProjectDefaults) -> str | None:
        """Where it runs: the Project's default counts only until the Database has been made."""
        return self.spec.region or self.status.region or defaults.region
