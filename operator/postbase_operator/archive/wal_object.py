"""An object of the log: a chunk, a whole segment or a heartbeat, to bytes and back. PURE.

    b"PBWL" | u8 version | u8 codec | u16 key id | u32 length of the header | header | payload

Integers are big-endian. The key id is 0 until there is encryption. The header is JSON; the payload
is the log's raw bytes, or frames of zstd that make them up one after another, so that chunks are
joined to a segment without being compressed again.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Iterable
from dataclasses import dataclass
from enum import IntEnum
from io import BytesIO
from typing import ClassVar

import zstandard
from pydantic import NonNegativeInt, PositiveInt, model_validator

from postbase_operator.api.scalars import LSN, Instant
from postbase_operator.archive.lsn import Lsn
from postbase_operator.archive.record import Digest, Part, Record, UnreadableRecord

MAGIC = b"PBWL"
VERSION = 1
_FIXED = struct.Struct("!4sBBHI")
FIXED_SIZE = _FIXED.size
"""Bytes before the header."""


class Codec(IntEnum):
    """How the payload is packed."""

    NONE = 0
    ZSTD = 1


class Damaged(UnreadableRecord):
    """An object of the log that is not what was written."""


class Commits(Part):
    """The commits and aborts whose records end within an object."""

    first: Instant
    last: Instant
    last_end: LSN
    """Where the record of the last one ends."""


class Totals(Part):
    """What came since archiving was switched on, up to the object's end: survives restarts."""

    received: NonNegativeInt = 0
    """Bytes."""
    segments: NonNegativeInt = 0


class WalHeader(Record):
    """What an object of the log says of itself."""

    title: ClassVar[str] = "an object of the log"

    system_id: str
    timeline: PositiveInt
    start: LSN
    end: LSN
    """Not included."""
    size: NonNegativeInt
    """Raw bytes: end - start."""
    sha256: Digest
    """Of the raw bytes."""
    prefix_sha256: Digest | None = None
    """Of the segment's raw bytes from its first to `end`: a fork on one timeline shows in one
    comparison. None where the receiver began within the segment."""
    commits: Commits | None = None
    totals: Totals = Totals()
    sent_at: Instant
    """By the server's clock: nothing beyond `end` existed when it sent this."""
    writer: str
    """Version of the release that wrote it."""

    @model_validator(mode="after")
    def _adds_up(self) -> WalHeader:
        if self.end_lsn - self.start_lsn != self.size:
            raise ValueError(f"{self.start} to {self.end} are not {self.size} bytes")
        return self

    @property
    def start_lsn(self) -> Lsn:
        return Lsn.parse(self.start)

    @property
    def end_lsn(self) -> Lsn:
        return Lsn.parse(self.end)


@dataclass(frozen=True, slots=True)
class WalObject:
    """One as it was read. `payload` is still packed."""

    header: WalHeader
    codec: Codec
    payload: bytes

    def raw(self) -> bytes:
        """The log's bytes; Damaged where they are not those that were written."""
        data = unpacked(self.payload, self.codec)
        if len(data) != self.header.size or hashlib.sha256(data).hexdigest() != self.header.sha256:
            raise Damaged(WalHeader.title, f"the bytes from {self.header.start} are other ones")
        return data


def encode(header: WalHeader, payload: bytes, codec: Codec) -> bytes:
    """The whole object; `payload` is packed already."""
    return encode_frames(header, [payload], codec)


def encode_frames(header: WalHeader, frames: Iterable[bytes], codec: Codec) -> bytes:
    """The same of several frames, which are copied once and not joined before."""
    return b"".join((_beginning(header, codec), *frames))


def pack(header: WalHeader, data: bytes | bytearray, level: int = 1) -> tuple[bytes, int]:
    """The whole object of raw bytes, and where its payload begins.

    It is packed behind its header: a frame of its own would be in memory a second time.
    """
    body, beginning = BytesIO(), _beginning(header, Codec.ZSTD)
    body.write(beginning)
    compressor = zstandard.ZstdCompressor(level, write_checksum=True)
    with compressor.stream_writer(body, size=len(data), closefd=False) as writer:
        writer.write(data)
    return body.getvalue(), len(beginning)


def _beginning(header: WalHeader, codec: Codec) -> bytes:
    head = header.to_bytes()
    return _FIXED.pack(MAGIC, VERSION, codec, 0, len(head)) + head


def decode(body: bytes) -> WalObject:
    """Raises Damaged, or UnreadableRecord where another release wrote it."""
    header, codec, begin = _head(body)
    return WalObject(header, codec, body[begin:])


def header_of(beginning: bytes) -> WalHeader:
    """From an object's first bytes alone: 4 KiB are enough. Raises as `decode` does."""
    return _head(beginning)[0]


def unpacked(payload: bytes, codec: Codec) -> bytes:
    """The raw bytes of a payload; Damaged where its frames are broken or break off."""
    if codec is Codec.NONE:
        return payload
    parts: list[bytes] = []
    rest = payload
    try:
        while rest:
            frame = zstandard.ZstdDecompressor().decompressobj()
            parts.append(frame.decompress(rest))
            if not frame.eof:
                raise Damaged(WalHeader.title, "breaks off")
            rest = frame.unused_data
    except zstandard.ZstdError as error:
        raise Damaged(WalHeader.title, f"is damaged ({error})") from None
    return b"".join(parts)


def _head(body: bytes) -> tuple[WalHeader, Codec, int]:
    """Header, codec, and where the payload begins."""
    if len(body) < FIXED_SIZE or body[:4] != MAGIC:
        raise Damaged(WalHeader.title, "does not begin as one")
    _, version, codec, key_id, length = _FIXED.unpack_from(body)
    if version != VERSION or codec not in set(Codec) or key_id:
        raise UnreadableRecord(
            WalHeader.title,
            f"is of form {version}/{codec}/{key_id}; a later release of this product reads it",
        )
    begin = FIXED_SIZE + length
    if len(body) < begin:
        raise Damaged(WalHeader.title, "breaks off in its header")
    return WalHeader.from_bytes(body[FIXED_SIZE:begin]), Codec(codec), begin
