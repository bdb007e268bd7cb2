"""What the records in the bucket say: of a backup, an archive's owner, a Database, a run. PURE.

JSON with the names of the other side's documents (camelCase), in one order, so that the same facts
are the same bytes. Fields that a later release added are ignored; a record of another version is
refused with the sentence that says which release reads it.
"""

from __future__ import annotations

import hashlib
import json
from enum import StrEnum
from typing import Annotated, Any, ClassVar, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    NonNegativeInt,
    PositiveInt,
    ValidationError,
    model_validator,
)
from pydantic.alias_generators import to_camel

from postbase_operator.api.policies import BackupMethod
from postbase_operator.api.scalars import LSN, Instant
from postbase_operator.archive.keys import (
    Archive,
    CatalogueKey,
    LogicalStem,
    OwnerKey,
    PhysicalFolder,
)
from postbase_operator.errors import PostbaseError

PRODUCT = "postbase-operator"
Digest = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class UnreadableRecord(PostbaseError):
    """A record that this release cannot read, or that is damaged. Reading it again is no help."""

    def __init__(self, what: str, why: str) -> None:
        super().__init__(f"{what}: {why}")


class Part(BaseModel):
    """A part of a record. Frozen; unknown fields are of a later release and ignored."""

    model_config = ConfigDict(
        alias_generator=to_camel, populate_by_name=True, extra="ignore", frozen=True
    )


class Record(Part):
    """A whole object in the bucket. `version` rises only when older releases would misread it."""

    title: ClassVar[str]
    current: ClassVar[int] = 1
    summed: ClassVar[bool] = False
    """It carries the sum of all that it says: a byte that flips in it is found, whichever it is."""

    version: int = 1

    def to_bytes(self) -> bytes:
        """The object's body, the same for the same facts."""
        wire = self.model_dump(mode="json", by_alias=True, exclude_none=True)
        if self.summed:
            wire[SUM] = sum_of(wire)
        return text_of(wire)

    @classmethod
    def from_bytes(cls, body: bytes) -> Self:
        """Raises UnreadableRecord, which says what is the matter and who can read it."""
        try:
            wire = json.loads(body)
        except ValueError as error:
            raise UnreadableRecord(cls.title, f"is no JSON ({error})") from None
        if not isinstance(wire, dict):
            raise UnreadableRecord(cls.title, "is no JSON object")
        cls._check_version(wire)
        if cls.summed and wire.get(SUM) != sum_of(wire):
            raise UnreadableRecord(cls.title, "is damaged: its sum is another")
        try:
            return cls.model_validate(wire)
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False)[0]
            field = ".".join(map(str, first["loc"])) or "record"
            raise UnreadableRecord(cls.title, f"{field}: {first['msg']}") from None

    @classmethod
    def _check_version(cls, wire: dict[str, Any]) -> None:
        version = wire.get("version")
        if type(version) is int and version == cls.current:
            return
        if type(version) is not int:
            raise UnreadableRecord(cls.title, "does not say its version")
        raise UnreadableRecord(
            cls.title,
            f"is of version {version}, and this release reads version {cls.current}; it is read by "
            f"{_writer(wire)}",
        )


SUM = "sum"


def text_of(wire: dict[str, Any]) -> bytes:
    """The same facts are the same bytes."""
    return json.dumps(wire, indent=1, sort_keys=True).encode() + b"\n"


def sum_of(wire: dict[str, Any]) -> str:
    """SHA-256 of all the rest of it, fields of later releases included."""
    rest = {name: value for name, value in wire.items() if name != SUM}
    return hashlib.sha256(text_of(rest)).hexdigest()


def _writer(wire: dict[str, Any]) -> str:
    tool = wire.get("tool")
    if isinstance(tool, dict) and tool.get("name") and tool.get("version"):
        return f"{tool['name']} {tool['version']}, which wrote it, and by later releases"
    return f"the release of {PRODUCT} that wrote it, and by later ones"


class StoredObject(Part):
    """One object of a backup. `key` is relative to the backup's folder; sizes are in bytes."""

    key: str = Field(min_length=1)
    size: NonNegativeInt
    sha256: Digest
    raw_size: NonNegativeInt | None = None
    codec: str | None = None


class Extension(Part):
    """An extension of the application's database."""

    name: str
    version: str


class Tool(Part):
    """What wrote the record."""

    name: str = PRODUCT
    version: str


class BackupRecord(Record):
    """backup.json, or a dump's .json: with it there is a backup, and all is said to restore it."""

    title: ClassVar[str] = "backup.json"
    summed: ClassVar[bool] = True

    id: str
    method: BackupMethod
    database_uid: str
    project: str
    """The Project's public id, `proj_…`: the first folder of a dump."""
    namespace: str
    name: str
    """The Database's name."""
    backup_name: str | None = None
    """The Backup's name in its namespace; with `spec_hash` it says whose wish this fulfilled."""
    spec_hash: str | None = None
    incarnation: str
    system_id: str
    postgres_version: str
    """As the server says it: "15.18"."""
    major: PositiveInt
    arch: str
    libc: str
    image_digest: str
    block_size: PositiveInt
    wal_segment_size: PositiveInt
    extensions: tuple[Extension, ...] = ()
    encoding: str
    started_at: Instant
    completed_at: Instant
    size_bytes: NonNegativeInt
    """Stored, of all objects."""
    source_bytes: NonNegativeInt
    sha256: Digest
    """Of the dump, or of the list of pieces."""
    objects: tuple[StoredObject, ...]
    timeline: PositiveInt | None = None
    start_lsn: LSN | None = None
    stop_lsn: LSN | None = None
    checksums_verified: bool | None = None
    """Physical: whether each page's checksum was right; None where the data has none."""
    tool: Tool

    @model_validator(mode="after")
    def _says_where(self) -> Self:
        positions = (self.timeline, self.start_lsn, self.stop_lsn)
        if self.method is BackupMethod.PHYSICAL and None in positions:
            raise ValueError("a physical backup has timeline, startLsn and stopLsn")
        _ = self.place  # raises where its fields make no key
        return self

    @property
    def place(self) -> PhysicalFolder | LogicalStem:
        """Where it lies. Raises ValueError where its fields make no key."""
        if self.method is BackupMethod.PHYSICAL:
            return PhysicalFolder(Archive(self.database_uid, self.incarnation), self.id)
        return LogicalStem(self.project, self.name, self.id)


class Owner(Record):
    """owner.json: whose the archive is. Who finds another owner there writes nothing."""

    title: ClassVar[str] = "owner.json"

    database_uid: str
    system_id: str
    incarnation: str
    cluster: str
    namespace: str
    name: str
    created_at: Instant

    @property
    def key(self) -> OwnerKey:
        return OwnerKey(Archive(self.database_uid, self.incarnation))

    def is_same(self, other: Owner) -> bool:
        """The same owner, written at another time: a second try after a kill finds its first."""
        return self == other.model_copy(update={"created_at": self.created_at})


class CatalogueEntry(Record):
    """That there was such a Database. Its archives and dumps are found from here by listing.

    It holds what never changes, as it is written once: `v1/<uid>/` and `<project>/<name>/` are
    listed for the rest, so that nothing has to be kept in step with them.
    """

    title: ClassVar[str] = "catalogue entry"

    cluster: str
    namespace: str
    name: str
    database_uid: str
    project: str
    """The Project's public id, `proj_…`."""
    created_at: Instant

    @property
    def key(self) -> CatalogueKey:
        return CatalogueKey(self.cluster, self.namespace, self.name, self.database_uid)


class RunPart(StrEnum):
    """What a run is at."""

    STARTING = "Starting"
    COPYING = "Copying"
    VERIFYING = "Verifying"
    FINISHING = "Finishing"


class Progress(Record):
    """progress.json: rewritten while a backup runs, deleted at its end. In bytes of the source."""

    title: ClassVar[str] = "progress.json"

    phase: RunPart
    bytes_done: NonNegativeInt = 0
    bytes_total: NonNegativeInt | None = None
    at: Instant
    attempt: PositiveInt | None = None
    taker: str | None = None
    """Which attempt it is, and which process takes it, where others must not take it too."""
