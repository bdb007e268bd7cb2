"""BASE_BACKUP as a stream of events: one tar, the server's manifest, where the log begins and ends.

From 15 on the server marks what it sends; before, each archive is a COPY of its own, and the
manifest the last. Pages are checked by the server as it reads them: that one is damaged it says
only after all has been sent, the end position too, so the backup is whole and can be kept, marked.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from psycopg import pq

from postbase_operator.errors import InvalidSpec
from postbase_operator.wal.client import Replication
from postbase_operator.wal.connection import Connection, ServerError, expect, rows_of
from postbase_operator.wal.lsn import Lsn
from postbase_operator.wal.protocol import (
    BackupData,
    BackupProgress,
    ManifestStart,
    NewArchive,
    ProtocolError,
    decode_backup,
)

DATA_CORRUPTED = "XX001"


@dataclass(frozen=True, slots=True)
class Options:
    label: str
    fast_checkpoint: bool = True
    """Else the checkpoint takes its time, minutes, to spare the disk."""
    max_rate_kib: int | None = None
    """KiB a second that the server sends at most: 32 to 1048576."""
    verify_checksums: bool = True

    def __post_init__(self) -> None:
        if self.max_rate_kib is not None and not 32 <= self.max_rate_kib <= 1 << 20:
            raise ValueError(f"a rate of {self.max_rate_kib} KiB/s: 32 to 1048576")


@dataclass(frozen=True, slots=True)
class Started:
    """The log is needed from `start` on. `estimate`: bytes of the data folder."""

    start: Lsn
    timeline: int
    estimate: int


@dataclass(frozen=True, slots=True)
class ArchiveData:
    """Bytes of the tar of the data folder."""

    data: bytes


@dataclass(frozen=True, slots=True)
class ManifestData:
    data: bytes


@dataclass(frozen=True, slots=True)
class Ended:
    """The log is needed up to `stop`; with it the copy is consistent."""

    stop: Lsn
    timeline: int
    damage: tuple[str, ...]
    """What the server says of pages whose checksum is wrong; empty where all are right."""


Event = Started | ArchiveData | ManifestData | Ended


def base_backup(replication: Replication, options: Options) -> Iterator[Event]:
    """Runs BASE_BACKUP; the events come in the order of the classes above.

    Leaving early leaves the connection in mid-copy: close it, and the server gives up. Raises
    InvalidSpec (UnsupportedTablespaces), ServerError, Unavailable, ProtocolError.
    """
    connection = replication.connection
    warned = len(connection.notices)
    connection.send(command(options, connection.major))
    start, timeline = _position(connection)
    yield Started(start, timeline, _estimate(connection))
    yield from _marked(connection) if connection.major >= 15 else _unmarked(connection)
    stop, timeline = _position(connection)
    damaged = False
    try:
        while connection.result() is not None:
            continue
    except ServerError as error:
        if error.sqlstate != DATA_CORRUPTED:
            raise
        damaged = True
        connection.notices.append(str(error))
    yield Ended(stop, timeline, tuple(connection.notices[warned:]) if damaged else ())


def command(options: Options, major: int) -> str:
    """PURE: the command in the words of this major. The manifest's checksums are CRC32C.

    WAIT false: the log is archived by us and not by archive_command, there is nothing to wait for.
    """
    label = options.label.replace("'", "''")
    rate = options.max_rate_kib
    if major >= 15:
        words = [f"LABEL '{label}'", "PROGRESS", "WAIT false", "MANIFEST 'yes'"]
        words += ["MANIFEST_CHECKSUMS 'CRC32C'"]
        words += [f"CHECKPOINT '{'fast' if options.fast_checkpoint else 'spread'}'"]
        words += [f"MAX_RATE {rate}"] if rate else []
        words += [] if options.verify_checksums else ["VERIFY_CHECKSUMS false"]
        return f"BASE_BACKUP ({', '.join(words)})"
    words = [f"LABEL '{label}'", "PROGRESS", "NOWAIT", "MANIFEST 'yes'"]
    words += ["MANIFEST_CHECKSUMS 'CRC32C'"]
    words += ["FAST"] if options.fast_checkpoint else []
    words += [f"MAX_RATE {rate}"] if rate else []
    words += [] if options.verify_checksums else ["NOVERIFY_CHECKSUMS"]
    return f"BASE_BACKUP {' '.join(words)}"


def _position(connection: Connection) -> tuple[Lsn, int]:
    """A result with a position and its timeline."""
    rows = rows_of(expect(connection.result(), pq.ExecStatus.TUPLES_OK))
    if len(rows) != 1 or len(rows[0]) != 2 or None in rows[0]:
        raise ProtocolError(f"no position of the log: {rows!r}")
    try:
        return Lsn.parse(str(rows[0][0])), int(str(rows[0][1]))
    except ValueError as error:
        raise ProtocolError(str(error)) from error


def _estimate(connection: Connection) -> int:
    """Bytes, from the list of tablespaces; InvalidSpec if there is one beside the default."""
    rows = rows_of(expect(connection.result(), pq.ExecStatus.TUPLES_OK))
    others = [f"{row[1]} (oid {row[0]})" for row in rows if row[0] is not None]
    if others:
        raise InvalidSpec(
            "spec.method",
            "a physical backup holds the default tablespace only, and this database also has "
            f"{', '.join(others)}: move what is in there, or use Logical",
            reason="UnsupportedTablespaces",
        )
    return sum(int(row[2] or 0) for row in rows) * 1024


def _marked(connection: Connection) -> Iterator[ArchiveData | ManifestData]:
    """One COPY for all, from 15 on."""
    expect(connection.result(), pq.ExecStatus.COPY_OUT)
    kind: type[ArchiveData | ManifestData] | None = None
    while raw := connection.copied():
        match decode_backup(raw):
            case NewArchive(name, _) if name != "base.tar":
                raise ProtocolError(f"an archive {name!r} of no tablespace")
            case NewArchive():
                kind = ArchiveData
            case ManifestStart():
                kind = ManifestData
            case BackupData(data) if kind is not None:
                yield kind(data)
            case BackupData():
                raise ProtocolError("data of no archive")
            case BackupProgress():
                pass


def _unmarked(connection: Connection) -> Iterator[ArchiveData | ManifestData]:
    """A COPY for the archive and one for the manifest, before 15."""
    for kind in (ArchiveData, ManifestData):
        expect(connection.result(), pq.ExecStatus.COPY_OUT)
        while raw := connection.copied():
            yield kind(raw)
