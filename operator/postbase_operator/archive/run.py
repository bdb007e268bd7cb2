"""What a backup's Job is told: whose backup it makes, from where, and what the server is. PURE.

It travels as JSON in one variable of the Job's environment, and holds no secret: keys and
certificates are mounted as files.
"""

from __future__ import annotations

from typing import ClassVar

from pydantic import NonNegativeInt, PositiveInt

from postbase_operator.api.policies import BackupMethod
from postbase_operator.archive.keys import Archive, LogicalStem, PhysicalFolder
from postbase_operator.archive.record import Extension, Part, Record

VARIABLE = "POSTBASE_RUN"


class ServerFacts(Part):
    """What a record says of the server that was backed up, asked of it by SQL."""

    system_id: str
    postgres_version: str
    """As the server says it: "15.18"."""
    major: PositiveInt
    arch: str
    """Of the machine it was built for: "x86_64"."""
    libc: str
    """"gnu" or "musl": text sorted by one is not sorted for the other."""
    block_size: PositiveInt
    wal_segment_size: PositiveInt
    encoding: str
    extensions: tuple[Extension, ...] = ()
    source_bytes: NonNegativeInt
    """What the databases take, for progress."""


class BackupRun(Record):
    """One attempt at one Backup."""

    title: ClassVar[str] = "the run's description"

    id: str
    method: BackupMethod
    backup_name: str
    spec_hash: str
    project: str
    namespace: str
    name: str
    database_uid: str
    incarnation: str
    image_digest: str
    host: str
    port: int
    dbname: str
    verify_page_checksums: bool = True
    max_rate_kib: int | None = None
    """Throttle of a physical backup, in KiB a second."""
    server: ServerFacts

    @property
    def place(self) -> PhysicalFolder | LogicalStem:
        if self.method is BackupMethod.PHYSICAL:
            return PhysicalFolder(Archive(self.database_uid, self.incarnation), self.id)
        return LogicalStem(self.project, self.name, self.id)


class FillRun(Record):
    """What fills a volume is told: which backup."""

    title: ClassVar[str] = "the run's description"

    object_key: str
    """As a Backup's status.objectKey has it."""


class Recovered(Record):
    """What recover.sh leaves in its termination message."""

    title: ClassVar[str] = "the recovery's last word"

    system_id: str
    timeline: int
    lsn: str


class LastWord(Record):
    """Why a run failed, as its container leaves it in its termination message."""

    title: ClassVar[str] = "the run's last word"

    reason: str
    """The word of the Backup's condition."""
    message: str
