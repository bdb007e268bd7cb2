"""PURE: the stream of the log, cut into what is stored: chunks, or whole segments.

However the stream is split into messages, the bytes of a segment come out the same. Nothing is cut
across the border of a segment.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from postbase_operator.wal.lsn import Lsn, Segment
from postbase_operator.wal.protocol import ProtocolError, WalData

LIMIT = 4 << 20
"""Bytes at which a chunk is cut, unless the rest of its segment is about to come."""
CONTEXT = 64 << 10
"""Bytes before a chunk that it is read with: a record may begin there."""


@dataclass(frozen=True, slots=True)
class Stretch:
    """Where a chunk lies, without its bytes."""

    segment: Segment
    start: Lsn
    end: Lsn
    stored: bool
    """The archive has it: it is compared, and not written."""

    @property
    def is_whole(self) -> bool:
        return self.end - self.start == self.segment.size


@dataclass(frozen=True, slots=True)
class Chunk:
    """A stretch of one segment, and its bytes."""

    place: Stretch
    data: bytes | bytearray
    before: bytes
    """What precedes it, up to CONTEXT."""
    prefix_sha256: str | None
    """Of the segment from its first byte to this one's end; None for a whole segment, whose own
    sum that is."""
    since: float
    """When its first byte came, by the monotonic clock."""


class Cutter:
    """Takes messages from `begin` on, the start of a segment; up to `durable` all is stored."""

    def __init__(self, timeline: int, begin: Lsn, durable: Lsn, segment_size: int) -> None:
        self._segment = Segment.containing(begin, timeline, segment_size)
        if begin != self._segment.start or durable < begin:
            raise ValueError(f"cannot stream from {begin} what is durable up to {durable}")
        self._durable = durable
        self._start = begin
        self._data = bytearray()
        self._since = 0.0
        self._before = b""
        self._sum = hashlib.sha256()
        self._flushed = begin

    @property
    def position(self) -> Lsn:
        """Where the next message begins."""
        return Lsn(self._start + len(self._data))

    @property
    def pending(self) -> int:
        """Bytes that have come and are not cut yet."""
        return len(self._data)

    @property
    def since(self) -> float | None:
        """When the first byte of them came; None where they are of no concern: stored already."""
        return self._since if self._data and self._start >= self._durable else None

    def add(self, message: WalData, now: float) -> list[Chunk]:
        """Chunks that are complete by it: at a segment's end, or where what is stored ends."""
        if message.start != self.position:
            raise ProtocolError(f"the log goes on at {message.start}, not at {self.position}")
        self._flushed = max(self._flushed, message.flushed)
        cut: list[Chunk] = []
        rest = memoryview(message.data)
        while rest:
            taken = rest[: self._border - self.position]
            if not self._data:
                self._since = now
            self._data += taken
            rest = rest[len(taken) :]
            if self.position == self._border:
                cut.extend(self.cut())
        return cut

    def is_due(self, now: float, window: float) -> bool:
        """Whether what is pending is to be cut: it has waited, or there is enough of it.

        Where the server has the rest of the segment already, that is waited for (no longer than
        the window): one object instead of two.
        """
        if self.since is None:
            return False  # what is stored is cut at its end and not before
        if now - self._since >= window:
            return True
        return len(self._data) >= LIMIT and self._flushed < self._segment.end

    def cut(self) -> list[Chunk]:
        """What is pending, as a chunk; none where nothing is, or where it is not to be split."""
        stored = self._start < self._durable
        if not self._data or (stored and self.position < self._border):
            return []
        data, whole = self._data, len(self._data) == self._segment.size
        if not whole:
            self._sum.update(data)
        chunk = Chunk(
            place=Stretch(
                self._segment, self._start, self.position, self.position <= self._durable
            ),
            data=data,
            before=self._before,
            prefix_sha256=None if whole else self._sum.hexdigest(),
            since=self._since,
        )
        self._before = (self._before + bytes(data[-CONTEXT:]))[-CONTEXT:]
        self._start, self._data = self.position, bytearray()
        if self._start == self._segment.end:
            segment = self._segment
            self._segment = Segment(segment.timeline, segment.number + 1, segment.size)
            self._sum = hashlib.sha256()
        return [chunk]

    @property
    def _border(self) -> Lsn:
        if self._start < self._durable:
            return min(self._segment.end, self._durable)
        return self._segment.end


@dataclass(frozen=True, slots=True)
class Window:
    """How long bytes may wait for company, in seconds, by how long the store takes for one."""

    zero: bool

    def seconds(self, put_seconds: float) -> float:
        """With Zero nothing waits. Else window and PUT together stay below half a second."""
        return 0.0 if self.zero else min(0.4, max(0.2, 0.4 - put_seconds))
