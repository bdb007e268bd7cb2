"""PURE: the tar of a base backup, cut at member boundaries into pieces that are tars themselves.

So that a restore unpacks several at once, and a reader never has to hold more than it is given.
Where to cut follows from the sizes of the members alone: the same backup gives the same pieces,
however the network split it.
"""

from __future__ import annotations

import tarfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from postbase_operator.wal.protocol import ProtocolError

MIB = 1024 * 1024
LAST = "global/pg_control"
"""The server sends it last, and a restore writes it last: without it PostgreSQL does not start."""
BLOCK = 512
TERMINATOR = bytes(2 * BLOCK)
_EXTENSIONS = (tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK, tarfile.XHDTYPE)
_WITHOUT_DATA = (
    tarfile.LNKTYPE,
    tarfile.SYMTYPE,
    tarfile.CHRTYPE,
    tarfile.BLKTYPE,
    tarfile.DIRTYPE,
    tarfile.FIFOTYPE,
)


@dataclass(frozen=True, slots=True)
class Sizes:
    """Raw bytes. A piece is closed at `full`, and takes no member that would bring it over `most`;
    a member larger than that is a piece of its own, of its own size.
    """

    full: int = 64 * MIB
    most: int = 128 * MIB


DEFAULT = Sizes()


@dataclass(frozen=True, slots=True)
class _Member:
    name: str
    head: bytes
    """Its header, and before it those that extend it."""
    body: int
    """Bytes that follow, filled up to a block."""


def cut(stream: Iterable[bytes], sizes: Sizes = DEFAULT) -> Iterator[tuple[int, bytes]]:
    """The number of a piece, from 0, with bytes of it; all of a piece before any of the next.

    Each piece ends with a tar's two empty blocks. ProtocolError where the stream is no tar, breaks
    off, or does not end with pg_control.
    """
    source = _Source(stream)
    number, held, name = 0, 0, ""
    while (member := _next_member(source)) is not None:
        name, size = member.name, len(member.head) + member.body
        if held and (held >= sizes.full or held + size > sizes.most):
            yield number, TERMINATOR
            number, held = number + 1, 0
        held += size
        yield number, member.head
        for data in source.parts(member.body):
            yield number, data
    if name != LAST:
        raise ProtocolError(f"the archive ends with {name!r} and not with {LAST}")
    yield number, TERMINATOR


def _next_member(source: _Source) -> _Member | None:
    """None at the end of the archive: empty blocks, or (before PostgreSQL 15) nothing more."""
    first = source.read(1)
    if not first:
        return None
    block = first + source.exactly(BLOCK - 1)
    if not any(block):
        source.nothing_but_zeros()
        return None
    head, extended = b"", dict[str, str]()
    while (info := _header(block)).type in _EXTENSIONS and info.size >= 0:
        content = source.exactly(_padded(info.size))
        head += block + content
        extended |= _extension(info.type, content[: info.size])
        block = source.exactly(BLOCK)
    size = extended.get("size", str(info.size))
    if not size.isdecimal():
        raise ProtocolError(f"a member of {size} bytes in a tar")
    body = 0 if info.type in _WITHOUT_DATA else _padded(int(size))
    return _Member(extended.get("path", info.name), head + block, body)


def _header(block: bytes) -> tarfile.TarInfo:
    """ustar, sizes above 8 GiB in base 256: what PostgreSQL writes."""
    try:
        return tarfile.TarInfo.frombuf(block, "utf-8", "surrogateescape")
    except tarfile.HeaderError as error:
        raise ProtocolError(f"no header of a tar: {error}") from error


def _extension(kind: bytes, content: bytes) -> dict[str, str]:
    """What an extending header says of the member after it: `path` and `size`, if it does."""
    if kind == tarfile.GNUTYPE_LONGNAME:
        return {"path": content.rstrip(b"\0").decode("utf-8", "surrogateescape")}
    records = {}
    while kind == tarfile.XHDTYPE and content:
        length, _, _ = content.partition(b" ")
        if not length.isdigit() or not len(length) + 2 < int(length) <= len(content):
            raise ProtocolError("an extended header of a tar that cannot be read")
        key, _, value = content[len(length) + 1 : int(length) - 1].partition(b"=")
        records[key.decode("utf-8", "replace")] = value.decode("utf-8", "surrogateescape")
        content = content[int(length) :]
    return records


def _padded(size: int) -> int:
    return -(-size // BLOCK) * BLOCK


class _Source:
    """Bytes in the amounts that are asked for, from bytes as they come."""

    def __init__(self, stream: Iterable[bytes]) -> None:
        self._stream = iter(stream)
        self._data, self._at = b"", 0

    def read(self, most: int) -> bytes:
        """Up to `most` bytes, at least one; b"" at the end of the stream."""
        while self._at == len(self._data):
            data = next(self._stream, None)
            if data is None:
                return b""
            self._data, self._at = data, 0
        start, self._at = self._at, min(self._at + most, len(self._data))
        return self._data[start : self._at]

    def parts(self, size: int) -> Iterator[bytes]:
        """`size` bytes, as they come."""
        while size:
            data = self.read(size)
            if not data:
                raise ProtocolError(f"the archive breaks off, {size} bytes before its member's end")
            size -= len(data)
            yield data

    def exactly(self, size: int) -> bytes:
        return b"".join(self.parts(size))

    def nothing_but_zeros(self) -> None:
        while data := self.read(MIB):
            if any(data):
                raise ProtocolError("data after the end of the archive")
