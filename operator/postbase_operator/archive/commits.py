"""The records of the log that say when a transaction ended, read out of its raw bytes. PURE.

Enough of the format to follow records from page to page: PostgreSQL 14 to 18 do not differ in it.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from postbase_operator.archive.lsn import SEGMENT_SIZE, Lsn

PAGE = 8192
_PAGE_HEADER = struct.Struct("<HHIQI")
_RECORD_HEADER = struct.Struct("<IIQBBxxI")
_LONG_HEADER, _OVERWRITES = 0x0002, 0x0008
_XLOG, _XACT = 0, 1
_SHUTDOWN_CHECKPOINT, _SWITCH = 0x00, 0x40
_ENDS = frozenset({0x00, 0x20, 0x30, 0x40})
"""Commit, abort, and both of a prepared transaction."""
_EPOCH = datetime(2000, 1, 1, tzinfo=UTC)
_ORIGIN, _TOP_XID, _SHORT, _LONG = 253, 252, 255, 254


@dataclass(frozen=True, slots=True)
class LogRecord:
    """One record: where it begins and ends, whose it is, and the time in it where it ends a
    transaction."""

    start: Lsn
    end: Lsn
    manager: int
    info: int
    ended_at: datetime | None = None

    @property
    def is_shutdown(self) -> bool:
        """The last thing that a server writes which is stopped cleanly."""
        return self.manager == _XLOG and self.info & 0xF0 == _SHUTDOWN_CHECKPOINT


def records(data: bytes, start: Lsn, segment_size: int = SEGMENT_SIZE) -> Iterator[LogRecord]:
    """Those that lie whole in `data`, which begins at `start`; up to the first that does not.

    Begins at the first page in it, with the first record that begins there.
    """
    log = _Log(data, start, segment_size)
    at = log.first()
    while at is not None:
        found = log.record(at)
        if found is None:
            return
        record, at = found
        if record is not None:
            yield record


class _Log:
    def __init__(self, data: bytes, start: Lsn, segment_size: int) -> None:
        self._data, self._start, self._size = data, start, segment_size
        self._end = start + len(data)

    def first(self) -> int | None:
        """Where the first record begins."""
        page = -(-self._start // PAGE) * PAGE
        header = self._page(page)
        while header is not None:
            length, _, rest = header
            room = PAGE - length
            if rest <= room:
                return _aligned(page + length + rest)
            page += PAGE
            header = self._page(page)
        return None

    def record(self, at: int) -> tuple[LogRecord | None, int] | None:
        """The record that begins at `at`, and where the next one does; None at the end."""
        if at % PAGE == 0:
            header = self._page(at)
            if header is None:
                return None
            at += header[0]
        if at + 4 > self._end:
            return None
        (length,) = struct.unpack_from("<I", self._data, at - self._start)
        if length < _RECORD_HEADER.size:
            return None
        body, end, void = self._read(at, length)
        if void is not None:
            return None, void
        if body is None:
            return None
        _, _, _, info, manager, _ = _RECORD_HEADER.unpack_from(body)
        ended = _time(body) if manager == _XACT and info & 0x70 in _ENDS else None
        following = _aligned(end)
        if manager == _XLOG and info & 0xF0 == _SWITCH:  # the rest of the segment is empty
            following = -(-following // self._size) * self._size
        return LogRecord(Lsn(at), Lsn(end), manager, info, ended), following

    def _read(self, at: int, length: int) -> tuple[bytes | None, int, int | None]:
        """The record's bytes without the page headers between, and where it ends; or the page at
        which the log goes on because a crash had cut it short."""
        parts: list[bytes] = []
        while length:
            if at % PAGE == 0:
                header = self._page(at)
                if header is None:
                    return None, at, None
                if header[1] & _OVERWRITES:
                    return None, at, at
                at += header[0]
            some = min(length, PAGE - at % PAGE)
            if at + some > self._end:
                return None, at, None
            parts.append(self._data[at - self._start : at - self._start + some])
            at, length = at + some, length - some
        return b"".join(parts), at, None

    def _page(self, page: int) -> tuple[int, int, int] | None:
        """Length and flags of a page's header, and what is left there of a record before it."""
        if page + _PAGE_HEADER.size > self._end:
            return None
        _, flags, _, address, rest = _PAGE_HEADER.unpack_from(self._data, page - self._start)
        if address != page:
            return None
        return (40 if flags & _LONG_HEADER else 24), flags, rest


def _time(body: bytes) -> datetime | None:
    at = _RECORD_HEADER.size
    while at < len(body):
        match body[at]:
            case kind if kind == _ORIGIN:
                at += 3
            case kind if kind == _TOP_XID:
                at += 5
            case kind if kind in (_SHORT, _LONG):
                at += 2 if kind == _SHORT else 5
                (microseconds,) = struct.unpack_from("<q", body, at)
                return _EPOCH + timedelta(microseconds=microseconds)
            case _:
                return None
    return None


def _aligned(position: int) -> int:
    return -(-position // 8) * 8
