"""What a backup's Job is told: whose backup it makes, from where, and what the server is. PURE.

It travels as JSON in one variable of the Job's environment, and holds no secret: keys and
certificates are mounted as files.
"""

from __future__ import annotations

from typing import ClassVar

from pydantic import NonNegativeInt, PositiveInt

from postbase_operator.api.policies import BackupMethod
from postbase_operator.api.scalars import LSN, Instant
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


class RecoveryTask(Part):
    """How far beyond the backup the archive's log is replayed, and by which way."""

    restore: str
    """UID of the object whose wish it is: where progress is told."""
    timeline: PositiveInt
    """Where the log is followed to."""
    alone: bool = False
    """The backup as it is, with its own log up to `end`: it needs no other timeline. What the
    archive knows of others are the numbers that are taken."""
    end: LSN | None = None
    """Where the log is cut. None: it is followed until the archive's `end.json` says where."""
    stop_at: Instant | None = None
    """PostgreSQL's recovery_target_time."""
    keeps_archive: bool = False
    """The database goes on in this archive, and the timeline that it begins is noted there."""
    last_commit: Instant | None = None
    """What must be reached."""
    wal_files: NonNegativeInt = 0
    """About how many there are, for progress."""

    @property
    def target_timeline(self) -> str:
        """PostgreSQL's recovery_target_timeline: the backup's own needs no history."""
        return "current" if self.alone else str(self.timeline)


class FillRun(Record):
    """What fills a volume is told: which backup, and what to do with the log after it."""

    title: ClassVar[str] = "the run's description"

    object_key: str
    """As a Backup's status.objectKey has it."""
    recovery: RecoveryTask | None = None
    """None: the backup as it is."""


class Recovered(Record):
    """What recover.sh leaves in its termination message."""

    title: ClassVar[str] = "the recovery's last word"

    system_id: str
    timeline: int
    lsn: str
    last_commit: str = ""
    """As the server's log has it, in UTC: "2026-11-28 01:40:10.123456+00"; "": it names none."""


class LogEnd(Record):
    """end.json: where the log ends that a recovery follows."""

    title: ClassVar[str] = "end.json"

    end: LSN


class RecoveryProgress(Record):
    """How far a recovery has come."""

    title: ClassVar[str] = "a recovery's progress.json"

    wal_files: NonNegativeInt
    """Files of the log that PostgreSQL has been given."""
    bytes: NonNegativeInt
    """Of the log, fetched."""
    waits: bool = False
    """It has all that the archive holds, and follows."""
    at: Instant


class LastWord(Record):
    """Why a run failed, as its container leaves it in its termination message."""

    title: ClassVar[str] = "the run's last word"

    reason: str
    """The word of the Backup's condition."""
    message: str
