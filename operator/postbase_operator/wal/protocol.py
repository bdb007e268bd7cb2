"""PURE: what a walsender and its client say to each other inside of COPY, in bytes.

Source: PostgreSQL's documentation, "Streaming Replication Protocol". Integers are big-endian,
times are microseconds since 2000-01-01 UTC.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from postbase_operator.errors import Unavailable
from postbase_operator.wal.lsn import Lsn

EPOCH = datetime(2000, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_WAL = struct.Struct("!cQQq")
_KEEPALIVE = struct.Struct("!cQqB")
_STATUS = struct.Struct("!cQQQqB")
_PROGRESS = struct.Struct("!cq")


class ProtocolError(Unavailable):
    """The server sent what the protocol does not have; the connection is of no more use."""

    def __init__(self, why: str) -> None:
        super().__init__("PostgreSQL", f"replication protocol: {why}")


@dataclass(frozen=True, slots=True)
class WalData:
    """Bytes of the log from `start`. Their end is not the end of a record."""

    start: Lsn
    flushed: Lsn
    """How far the server's log was flushed when it sent this."""
    sent_at: datetime
    data: bytes | memoryview

    @property
    def end(self) -> Lsn:
        return Lsn(self.start + len(self.data))


@dataclass(frozen=True, slots=True)
class Keepalive:
    """Nothing new up to `flushed`; the server ends the connection if it hears nothing for long."""

    flushed: Lsn
    sent_at: datetime
    reply_requested: bool


@dataclass(frozen=True, slots=True)
class NewArchive:
    """From here the data are those of the tar `name`; `path` is its tablespace's, or empty."""

    name: str
    path: str


@dataclass(frozen=True, slots=True)
class ManifestStart:
    """From here the data are those of the backup manifest."""


@dataclass(frozen=True, slots=True)
class BackupData:
    data: bytes


@dataclass(frozen=True, slots=True)
class BackupProgress:
    """Bytes of the current archive that the server is done with."""

    done: int


WalMessage = WalData | Keepalive
BackupMessage = NewArchive | ManifestStart | BackupData | BackupProgress


def decode(message: bytes) -> WalMessage:
    """A message of START_REPLICATION; ProtocolError where it is none."""
    kind = message[:1]
    if kind == b"w" and len(message) >= _WAL.size:
        _, start, flushed, sent = _WAL.unpack_from(message)
        return WalData(
            Lsn(start), Lsn(flushed), to_datetime(sent), memoryview(message)[_WAL.size :]
        )
    if kind == b"k" and len(message) == _KEEPALIVE.size:
        _, flushed, sent, reply = _KEEPALIVE.unpack(message)
        return Keepalive(Lsn(flushed), to_datetime(sent), bool(reply))
    raise ProtocolError(f"a message {kind!r} of {len(message)} bytes in a stream of the log")


def status_update(written: int, flushed: int, at: datetime, *, reply: bool = False) -> bytes:
    """How far we are: in memory, and for good. We apply nothing, and say so.

    `flushed` lets the server forget the log before it, and tells waiting commits that they are
    safe: it must be durable.
    """
    return _STATUS.pack(b"r", written, flushed, 0, to_microseconds(at), reply)


def decode_backup(message: bytes) -> BackupMessage:
    """A message of BASE_BACKUP from PostgreSQL 15 on; ProtocolError where it is none."""
    kind = message[:1]
    if kind == b"d":
        return BackupData(message[1:])
    if kind == b"p" and len(message) == _PROGRESS.size:
        return BackupProgress(_PROGRESS.unpack(message)[1])
    if kind == b"m" and len(message) == 1:
        return ManifestStart()
    if kind == b"n" and message.count(b"\0") == 2 and message.endswith(b"\0"):
        name, path, _ = message[1:].split(b"\0")
        try:
            return NewArchive(name.decode(), path.decode())
        except UnicodeDecodeError as error:
            raise ProtocolError(f"the name of an archive is not UTF-8: {message!r}") from error
    raise ProtocolError(f"a message {kind!r} of {len(message)} bytes in a base backup")


def to_datetime(microseconds: int) -> datetime:
    """UTC; ProtocolError outside of the years that Python knows."""
    try:
        return EPOCH + microseconds * _MICROSECOND
    except OverflowError as error:
        raise ProtocolError(f"{microseconds} us since 2000 is no time") from error


def to_microseconds(at: datetime) -> int:
    return (at - EPOCH) // _MICROSECOND
