"""PURE: commits in a stretch of the log, and when they were.

Of all records only the first and the last commit of a stretch are of interest, so the log is not
walked record by record (a segment of small ones has hundreds of thousands): bytes that look like
the header of a transaction's end are searched for, and taken where the checksum agrees and the
records of its page lead to it.

Layouts: xlogrecord.h, xlog_internal.h, xact.h of PostgreSQL; the same from 14 to 18. Integers are
of the machine that wrote them: little-endian.
"""

from __future__ import annotations

import itertools
import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

import google_crc32c

from postbase_operator.wal.lsn import SEGMENT_SIZE, Lsn
from postbase_operator.wal.protocol import to_datetime

PAGE = 8192
SHORT_HEADER, LONG_HEADER = 24, 40
"""Of a page; the long one is on the first page of a segment."""
ALIGNMENT = 8
_HEADER = struct.Struct("<IIQBBHI")
"""Length, transaction, predecessor, info, resource manager, padding, checksum."""
_SUMMED = 20
"""Bytes of the header that its checksum is of, after the rest of the record."""
_PAGE_HEADER = struct.Struct("<HHIQI")
"""Magic, flags, timeline, position, bytes of a record that continues from the page before."""
CONTINUED = 1
"""Flag of a page."""
XACT = 1
"""The resource manager of transactions."""
OPERATION = 0x70
ENDS = frozenset({0x00, 0x20, 0x30, 0x40})
"""Commit, abort, and both of a prepared transaction."""
_INFOS = bytes(
    end | flags for end in sorted(ENDS) for flags in (0, 1, 2, 3, 0x80, 0x81, 0x82, 0x83)
)
_BACKWARD = 64 << 10
"""Bytes that are searched at a time, from the end."""
EDGE = 256 << 10
SHORT_DATA, LONG_DATA = 255, 254
ORIGIN, TOPLEVEL = 253, 252
_TIME = struct.Struct("<q")


@dataclass(frozen=True, slots=True)
class Commit:
    """The end of one transaction, be it commit or abort."""

    start: Lsn
    end: Lsn
    """Where the next record begins."""
    at: datetime


@dataclass(frozen=True, slots=True)
class Commits:
    """The first and the last that end within a stretch."""

    first: Commit
    last: Commit


def find(
    data: bytes | bytearray, start: Lsn, before: bytes = b"", segment_size: int = SEGMENT_SIZE
) -> Commits | None:
    """Those whose records end within `data`; they may begin in `before`, the bytes that precede.

    One that begins earlier still, or of which more than EDGE bytes are in `data` (it would need
    thousands of subtransactions) is not found.
    """
    edge = _Stretch(before + data[:EDGE], Lsn(start - len(before)), segment_size)
    whole = _Stretch(data, start, segment_size)
    paged = start + -start % PAGE

    def across(*, backward: bool) -> Iterator[Commit]:
        found = edge.within(paged - edge.base, start, backward=backward)
        return (each for each in found if each.start < paged)

    first = next(itertools.chain(across(backward=False), whole.forward(start)), None)
    if first is None:
        return None
    last = next(itertools.chain(whole.backward(start), across(backward=True)), first)
    return Commits(first, last)


class _Stretch:
    """Bytes of the log from `base` on, pages and all."""

    def __init__(self, data: bytes | bytearray, base: Lsn, segment_size: int) -> None:
        self._data, self.base, self._segment_size = data, base, segment_size
        self._floor = -base % PAGE
        """Offset of the first page that is here whole: before it no record can be told."""
        # The upper half of a record's pointer to its predecessor: that of the positions here.
        halves = {(base >> 32) & 0xFFFFFFFF, ((base + len(data)) >> 32) & 0xFFFFFFFF}
        upper = b"|".join(re.escape(struct.pack("<I", half)) for half in sorted(halves))
        # By its rarest part first: in pages full of zeros all else is everywhere.
        self._like_a_header = re.compile(
            b"\x01\x00\x00(?<=(?:%b)[%b]\x01\x00\x00)" % (upper, re.escape(_INFOS)), re.DOTALL
        )

    def within(self, end: int, after: Lsn, *, backward: bool) -> Iterator[Commit]:
        """Those whose header begins before an offset, and which end after a position."""
        return self._within(0, end + PAGE, after, backward=backward)

    def forward(self, after: Lsn) -> Iterator[Commit]:
        """Those that end after a position, in order."""
        step = 1 << 20
        for begin in range(0, len(self._data), step):
            yield from self._within(begin, begin + step, after, backward=False)

    def backward(self, after: Lsn) -> Iterator[Commit]:
        """The same, the last one first."""
        for end in range(len(self._data), 0, -_BACKWARD):
            yield from self._within(max(0, end - _BACKWARD), end, after, backward=True)

    def _within(self, begin: int, end: int, after: Lsn, *, backward: bool) -> Iterator[Commit]:
        """Those whose info byte lies in [begin, end) of the data.

        One at a time: to make sure of each of hundreds takes a quarter of a second, of one nothing.
        """
        found = {*self._matches(begin, end), *self._after_headers(begin, end)}
        for offset in sorted(found, reverse=backward):
            commit = self._commit(offset, after)
            if commit is not None:
                yield commit

    def _matches(self, begin: int, end: int) -> Iterator[int]:
        for match in self._like_a_header.finditer(self._data, begin, end + 3):
            at = match.start() - 1
            if begin <= at < end and (self.base + at) % ALIGNMENT == 0:
                yield at

    def _after_headers(self, begin: int, end: int) -> Iterator[int]:
        """Headers that a page's end has cut just before the info byte: no search finds them."""
        first = begin + -(self.base + begin) % PAGE
        for page in range(max(0, first - PAGE), end, PAGE):
            at = page + self._header_size(page)
            if begin <= at < end and self._data[at + 1 : at + 4] == b"\x01\x00\x00":
                yield at

    def _commit(self, at: int, after: Lsn) -> Commit | None:
        """The transaction's end whose info byte is at an offset; None where there is none, or where
        it ends before a position."""
        start = self._back(at, 16)
        if start is None or start < self._floor:
            return None
        head = self._read(start, _HEADER.size)
        if len(head) < _HEADER.size:
            return None
        length, _, previous, info, manager, _, checksum = _HEADER.unpack(head)
        position = Lsn(self.base + start)
        if (
            manager != XACT
            or info & OPERATION not in ENDS
            or not 34 <= length <= len(self._data) - start
            or previous >= position
        ):
            return None
        # What costs little comes first: a text may look like a header, of a record of megabytes.
        if length > PAGE and not self._is_record(start):
            return None
        end = self._end(start, length)
        if end <= after:
            return None
        record = self._read(start, length)
        if len(record) < length or _checksum(record) != checksum or not self._is_record(start):
            return None
        time = _time(record)
        return None if time is None else Commit(position, end, time)

    def _is_record(self, start: int) -> bool:
        """Whether the records of a page, one after another, come to one that starts at an offset.

        Else it is the copy of a record, in somebody's data. A page tells where its first begins.
        """
        page = start - (self.base + start) % PAGE
        _, flags, _, _, rest = _PAGE_HEADER.unpack_from(self._data, page)
        at = page + self._header_size(page) + (_aligned(rest) if flags & CONTINUED else 0)
        while at < start:
            length = int.from_bytes(self._data[at : at + 4], "little")
            if length < _HEADER.size:
                return False
            at = self._end(at, length) - self.base
        return at == start

    def _read(self, offset: int, size: int) -> bytes:
        """`size` bytes of records from an offset, without the pages' headers; fewer at the end."""
        return b"".join(bytes(self._data[at : at + part]) for at, part in self._parts(offset, size))

    def _end(self, offset: int, size: int) -> Lsn:
        """Where a record of `size` bytes at an offset ends, and the next one may begin."""
        for at, part in self._parts(offset, size):
            offset = at + part
        return Lsn(_aligned(self.base + offset))

    def _parts(self, offset: int, size: int) -> Iterator[tuple[int, int]]:
        """Offset and length of what `size` bytes of records are on each page, within the data."""
        while size > 0 and offset < len(self._data):
            into = (self.base + offset) % PAGE
            header = self._header_size(offset - into)
            offset, into = offset + max(0, header - into), max(header, into)
            part = min(size, PAGE - into)
            yield offset, part
            offset, size = offset + part, size - part

    def _back(self, offset: int, size: int) -> int | None:
        """The offset `size` (less than a page) bytes of records before; None if it is not here."""
        into = (self.base + offset) % PAGE
        header = self._header_size(offset - into)
        if into < header:
            return None
        start = offset - size if into - header >= size else offset - size - header
        return start if start >= 0 else None

    def _header_size(self, page: int) -> int:
        """Of the page at an offset (which may be before the data)."""
        return SHORT_HEADER if (self.base + page) % self._segment_size else LONG_HEADER


def _checksum(record: bytes) -> int:
    """As PostgreSQL sums a record: what follows its header, then the header."""
    body = google_crc32c.value(record[_HEADER.size :])
    return int(google_crc32c.extend(body, record[:_SUMMED]))


def _time(record: bytes) -> datetime | None:
    """The first thing in a record's main data, which is its last part."""
    at = _HEADER.size
    while at < len(record) and record[at] in (ORIGIN, TOPLEVEL):
        at += 3 if record[at] == ORIGIN else 5
    if at >= len(record) or record[at] not in (SHORT_DATA, LONG_DATA):
        return None
    at += 2 if record[at] == SHORT_DATA else 5
    if at + _TIME.size > len(record):
        return None
    return to_datetime(_TIME.unpack_from(record, at)[0])


def _aligned(position: int) -> int:
    return -(-position // ALIGNMENT) * ALIGNMENT
