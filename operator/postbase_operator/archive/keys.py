"""Every key in the bucket, in both directions: formatted and read here and nowhere else. PURE.

A key is a value: `str()` gives its text, `parse()` gives the value back. A text is a key only where
the value that is read from it has that very text. Keys are relative to the store's own folder
(spec.objectStore.prefix), which the store puts in front.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from postbase_operator.archive.lsn import Segment
from postbase_operator.archive.template import Key as Key


@dataclass(frozen=True, slots=True)
class DatabaseFolder(Key):
    """All that a Database has ever archived, in all its lives."""

    template: ClassVar[str] = "v1/{database_uid}/"
    database_uid: str


@dataclass(frozen=True, slots=True)
class Archive(Key):
    """The folder of one life of a Database: `incarnation` is `<system id>-<counter>`."""

    template: ClassVar[str] = "v1/{database_uid}/{incarnation}/"
    database_uid: str
    incarnation: str


@dataclass(frozen=True, slots=True)
class OwnerKey(Key):
    """Whose the archive is: written first, and only where there is none."""

    template: ClassVar[str] = "{archive}owner.json"
    archive: Archive


@dataclass(frozen=True, slots=True)
class ChunkKey(Key):
    """A stretch of the log as it came; `start` and `end` are positions, the end not included."""

    template: ClassVar[str] = "{archive}wal/{timeline}/tail/{start}-{end}"
    archive: Archive
    timeline: int
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class SegmentKey(Key):
    """A whole segment of the log, by PostgreSQL's own name for it."""

    template: ClassVar[str] = "{archive}wal/{timeline}/{segment}"
    archive: Archive
    segment: str

    @property
    def timeline(self) -> int:
        """The timeline on which it was written."""
        return int(self.segment[:8], 16)


@dataclass(frozen=True, slots=True)
class HistoryKey(Key):
    """PostgreSQL's history of a timeline: where it left which other one."""

    template: ClassVar[str] = "{archive}wal/{timeline}.history"
    archive: Archive
    timeline: int


@dataclass(frozen=True, slots=True)
class HeartbeatKey(Key):
    """That up to a moment nothing was beyond `lsn`. The one object that is written again."""

    template: ClassVar[str] = "{archive}wal/{timeline}/heartbeat/{lsn}"
    archive: Archive
    timeline: int
    lsn: int


@dataclass(frozen=True, slots=True)
class WalFolder(Key):
    """All of an archive's log: objects, histories, heartbeats."""

    template: ClassVar[str] = "{archive}wal/"
    archive: Archive


@dataclass(frozen=True, slots=True)
class PhysicalFolder(Key):
    """The folder of one physical backup. Without its record there is no backup in it."""

    template: ClassVar[str] = "{archive}base/{backup_id}/"
    archive: Archive
    backup_id: str

    @property
    def record(self) -> PhysicalRecordKey:
        return PhysicalRecordKey(self)

    @property
    def progress(self) -> PhysicalProgressKey:
        return PhysicalProgressKey(self)

    @property
    def object_key(self) -> str:
        """What the Backup's status names."""
        return str(self)

    @property
    def prefix(self) -> str:
        """All objects of the backup, and no others, begin with this."""
        return str(self)


@dataclass(frozen=True, slots=True)
class PieceKey(Key):
    """A piece of the tar, from 0 on."""

    template: ClassVar[str] = "{backup}pieces/{number}.tar.zst"
    backup: PhysicalFolder
    number: int


@dataclass(frozen=True, slots=True)
class BackupSegmentKey(Key):
    """A segment of the log from the backup's start to its stop."""

    template: ClassVar[str] = "{backup}wal/{segment}.zst"
    backup: PhysicalFolder
    segment: str

    def parsed(self, size: int) -> Segment:
        """Of a server whose segments have `size` bytes."""
        return Segment.parse(self.segment, size)


@dataclass(frozen=True, slots=True)
class ManifestKey(Key):
    """PostgreSQL's own manifest."""

    template: ClassVar[str] = "{backup}backup_manifest"
    backup: PhysicalFolder


@dataclass(frozen=True, slots=True)
class PhysicalRecordKey(Key):
    """Written last: with it there is a backup."""

    template: ClassVar[str] = "{backup}backup.json"
    backup: PhysicalFolder


@dataclass(frozen=True, slots=True)
class PhysicalProgressKey(Key):
    """How far a backup that runs has come."""

    template: ClassVar[str] = "{backup}progress.json"
    backup: PhysicalFolder


@dataclass(frozen=True, slots=True)
class RecoveryProgressKey(Key):
    """How far a recovery out of this archive has come; `restore` is the UID of who wants it."""

    template: ClassVar[str] = "{archive}restores/{restore}/progress.json"
    archive: Archive
    restore: str


@dataclass(frozen=True, slots=True)
class RecoveryEndKey(Key):
    """Where the log ends that a recovery follows: the database has stopped there."""

    template: ClassVar[str] = "{archive}restores/{restore}/end.json"
    archive: Archive
    restore: str


@dataclass(frozen=True, slots=True)
class LogicalStem(Key):
    """What the keys of one logical backup begin with; `name` is the Database's."""

    template: ClassVar[str] = "{project_id}/{name}/{backup_id}"
    project_id: str
    name: str
    backup_id: str

    @property
    def record(self) -> LogicalRecordKey:
        return LogicalRecordKey(self)

    @property
    def progress(self) -> LogicalProgressKey:
        return LogicalProgressKey(self)

    @property
    def object_key(self) -> str:
        """What the Backup's status names: the dump."""
        return str(DumpKey(self))

    @property
    def prefix(self) -> str:
        """All objects of the backup, and no others, begin with this."""
        return f"{self}."


@dataclass(frozen=True, slots=True)
class DumpKey(Key):
    """What pg_dump wrote, through gzip."""

    template: ClassVar[str] = "{logical}.dump.gz"
    logical: LogicalStem


@dataclass(frozen=True, slots=True)
class GlobalsKey(Key):
    """Roles and grants, without passwords."""

    template: ClassVar[str] = "{logical}.globals.sql"
    logical: LogicalStem


@dataclass(frozen=True, slots=True)
class LogicalRecordKey(Key):
    """Written last: with it there is a backup."""

    template: ClassVar[str] = "{logical}.json"
    logical: LogicalStem


@dataclass(frozen=True, slots=True)
class LogicalProgressKey(Key):
    """How far a backup that runs has come."""

    template: ClassVar[str] = "{logical}.progress.json"
    logical: LogicalStem


@dataclass(frozen=True, slots=True)
class CatalogueKey(Key):
    """That there was such a Database: what one that is gone can be restored from is found by it."""

    template: ClassVar[str] = "v1/catalogue/{cluster}/{namespace}/{name}/{database_uid}.json"
    cluster: str
    namespace: str
    name: str
    database_uid: str


@dataclass(frozen=True, slots=True)
class GivenUpKey(Key):
    """That a Database was deleted with all it had: one of its name may begin empty."""

    template: ClassVar[str] = "v1/catalogue/{cluster}/{namespace}/{name}/{database_uid}.given-up"
    cluster: str
    namespace: str
    name: str
    database_uid: str


OBJECTS: tuple[type[Key], ...] = (
    ChunkKey,
    SegmentKey,
    HistoryKey,
    HeartbeatKey,
    PieceKey,
    BackupSegmentKey,
    ManifestKey,
    PhysicalRecordKey,
    PhysicalProgressKey,
    RecoveryProgressKey,
    RecoveryEndKey,
    OwnerKey,
    DumpKey,
    GlobalsKey,
    LogicalProgressKey,
    LogicalRecordKey,
    CatalogueKey,
    GivenUpKey,
)
"""The kinds of keys that objects have; the others are folders."""


def parse(text: str) -> Key | None:
    """The key of an object; None for what is not ours."""
    return next((key for kind in OBJECTS if (key := kind.read(text)) is not None), None)


def parse_backup(object_key: str) -> PhysicalFolder | LogicalStem | None:
    """The backup that a Backup's status.objectKey names; None for what is none of ours."""
    dump = DumpKey.read(object_key)
    return dump.logical if dump is not None else PhysicalFolder.read(object_key)
