"""PURE: positions in the write-ahead log, and the segments that it is cut into.

Names as PostgreSQL writes them: `16/B374D848` for a position, 24 hex digits for a segment. The
timeline in a name is hexadecimal: the eleventh is 0000000B, which others have read as a decimal.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

SEGMENT_SIZE = 16 * 1024 * 1024
"""Bytes of a segment unless initdb was told otherwise; `SHOW wal_segment_size` says."""
_LSN = re.compile(r"([0-9A-Fa-f]{1,8})/([0-9A-Fa-f]{1,8})")
_SEGMENT = re.compile(r"[0-9A-F]{24}")


class Lsn(int):
    """A byte position in the log, counted from its beginning; formatted as PostgreSQL does."""

    def __new__(cls, value: int = 0) -> Lsn:
        if not 0 <= value < 1 << 64:
            raise ValueError(f"{value} is not a position in the log")
        return super().__new__(cls, value)

    @classmethod
    def parse(cls, text: str) -> Lsn:
        """`16/B374D848`; ValueError for anything else."""
        match = _LSN.fullmatch(text)
        if match is None:
            raise ValueError(f"{text!r} is not a position in the log, as 16/B374D848 is one")
        return cls(int(match[1], 16) << 32 | int(match[2], 16))

    def __str__(self) -> str:
        return f"{self >> 32:X}/{self & 0xFFFFFFFF:X}"

    def __repr__(self) -> str:
        return f"Lsn({self})"

    def __format__(self, spec: str) -> str:
        return int(self).__format__(spec) if spec else str(self)


@dataclass(frozen=True, slots=True, order=True)
class Segment:
    """One file of the log: `number` counts from the log's beginning, `size` is in bytes."""

    timeline: int
    number: int
    size: int = SEGMENT_SIZE

    def __post_init__(self) -> None:
        if not 1 << 20 <= self.size <= 1 << 30 or self.size & (self.size - 1):
            raise ValueError(f"{self.size} is no size of a segment: powers of two, 1 MiB to 1 GiB")
        if not 0 < self.timeline < 1 << 32:
            raise ValueError(f"{self.timeline} is not a timeline")

    @classmethod
    def containing(cls, position: int, timeline: int, size: int = SEGMENT_SIZE) -> Segment:
        """The segment that holds the byte at `position`."""
        return cls(timeline, position // size, size)

    @classmethod
    def parse(cls, name: str, size: int = SEGMENT_SIZE) -> Segment:
        """24 upper-case hex digits: timeline, then the number in two parts; else ValueError."""
        if not _SEGMENT.fullmatch(name):
            raise ValueError(f"{name!r} is not the name of a segment")
        per_id = (1 << 32) // size
        high, low = int(name[8:16], 16), int(name[16:], 16)
        if low >= per_id:
            raise ValueError(f"{name!r} is not the name of a segment of {size} bytes")
        return cls(int(name[:8], 16), high * per_id + low, size)

    @property
    def name(self) -> str:
        high, low = divmod(self.number, (1 << 32) // self.size)
        return f"{self.timeline:08X}{high:08X}{low:08X}"

    @property
    def start(self) -> Lsn:
        return Lsn(self.number * self.size)

    @property
    def end(self) -> Lsn:
        """The position after the last byte."""
        return Lsn((self.number + 1) * self.size)


def segments(start: int, stop: int, timeline: int, size: int = SEGMENT_SIZE) -> Iterator[Segment]:
    """Those that hold a byte of [start, stop), in order."""
    if start < stop:
        for number in range(start // size, (stop - 1) // size + 1):
            yield Segment(timeline, number, size)


def history_name(timeline: int) -> str:
    """The file that tells which timelines this one came from."""
    return f"{timeline:08X}.history"


def parse_size(text: str) -> int:
    """Bytes of `SHOW wal_segment_size` or the like: `16MB`, `8kB`, `1GB`, a plain number."""
    match = re.fullmatch(r"(\d+)\s*(B|kB|MB|GB)?", text)
    if match is None:
        raise ValueError(f"{text!r} is not a size as PostgreSQL writes it")
    return int(match[1]) << {"kB": 10, "MB": 20, "GB": 30}.get(match[2] or "", 0)
