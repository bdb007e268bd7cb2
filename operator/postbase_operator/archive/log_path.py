"""The way of the log across timelines, and what makes up each file of it on that way. PURE.

A timeline leaves another one at some position; before it the bytes are the parent's, after it they
are its own. PostgreSQL asks for the file of the newest timeline that has begun by then, so the file
in which one leaves another is made up of both where the newer one's is not whole.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from postbase_operator.archive.history import parse_history
from postbase_operator.archive.keys import BackupSegmentKey, ChunkKey, SegmentKey
from postbase_operator.archive.lsn import Lsn, Segment
from postbase_operator.archive.record import UnreadableRecord
from postbase_operator.archive.wal_index import WalIndex
from postbase_operator.errors import PostbaseError

LogKey = SegmentKey | ChunkKey | BackupSegmentKey
"""An object that holds bytes of the log."""


class BrokenHistory(PostbaseError):
    """A timeline's history is not there, or makes no sense: nobody knows where it came from."""


@dataclass(frozen=True, slots=True)
class Leg:
    """A timeline's part of the way: [start, end); the last one has no end."""

    timeline: int
    start: Lsn
    end: Lsn | None = None

    def holds(self, position: int) -> bool:
        return self.start <= position and (self.end is None or position < self.end)


@dataclass(frozen=True, slots=True)
class LogPath:
    """The legs to one timeline, the oldest first. A leg may be empty."""

    legs: tuple[Leg, ...]

    @classmethod
    def to(cls, timeline: int, histories: Mapping[int, bytes]) -> LogPath:
        """By the timeline's own history, which names all before it. Raises BrokenHistory."""
        if timeline == 1:
            return cls((Leg(1, Lsn()),))
        if timeline not in histories:
            raise BrokenHistory(f"the archive has no {timeline:08X}.history")
        legs: list[Leg] = []
        start = Lsn()
        for parent, switch in switches(timeline, histories[timeline]):
            legs.append(Leg(parent, start, switch))
            start = switch
        return cls((*legs, Leg(timeline, start)))

    @property
    def timeline(self) -> int:
        """Where it leads to."""
        return self.legs[-1].timeline

    @property
    def timelines(self) -> tuple[int, ...]:
        return tuple(leg.timeline for leg in self.legs)

    def leg(self, timeline: int) -> Leg | None:
        return next((leg for leg in self.legs if leg.timeline == timeline), None)

    def at(self, position: int) -> Leg:
        """The leg that the byte at `position` belongs to."""
        return next(leg for leg in reversed(self.legs) if leg.start <= position)

    def up_to(self, timeline: int) -> LogPath:
        """The way to one of its own timelines, as if that had never been left."""
        number = self.timelines.index(timeline)
        *before, last = self.legs[: number + 1]
        return LogPath((*before, Leg(last.timeline, last.start)))

    def file(self, number: int, size: int) -> Segment:
        """The file that recovery asks for: of the newest timeline that begins in it or before."""
        legs = reversed(self.legs)
        timeline = next(leg.timeline for leg in legs if leg.start // size <= number)
        return Segment(timeline, number, size)


def switches(timeline: int, history: bytes) -> Iterator[tuple[int, Lsn]]:
    """(timeline, where it was left) of each line, the oldest first. Raises BrokenHistory."""
    try:
        forks = parse_history(history)
    except UnreadableRecord as error:
        raise BrokenHistory(f"{timeline:08X}.history: {error}") from None
    position = Lsn()
    for fork in forks:
        if not 0 < fork.timeline < timeline or fork.end < position:
            raise BrokenHistory(f"{timeline:08X}.history goes backwards at {fork.end}")
        yield fork.timeline, fork.end
        position = fork.end
    if not forks:
        raise BrokenHistory(f"{timeline:08X}.history names no parent")


@dataclass(frozen=True, slots=True)
class Slice:
    """Of an object's bytes those of [start, end)."""

    key: LogKey
    start: Lsn
    end: Lsn


@dataclass(frozen=True, slots=True)
class Assembly:
    """A file of the log: `slices` one after another from its first byte on."""

    segment: Segment
    slices: tuple[Slice, ...]

    @property
    def end(self) -> Lsn:
        """How far there is anything; beyond it there are to be zeros."""
        return self.slices[-1].end if self.slices else self.segment.start

    @property
    def is_whole(self) -> bool:
        return self.end >= self.segment.end

    def cut(self, end: Lsn) -> Assembly:
        """Without what lies at `end` or beyond."""
        kept = (each for each in self.slices if each.start < end)
        slices = tuple(Slice(s.key, s.start, Lsn(min(s.end, end))) for s in kept)
        return Assembly(self.segment, slices)


@dataclass(frozen=True, slots=True)
class BaseLog:
    """The log that a base backup has with it, of [start, stop) of its timeline."""

    timeline: int
    start: Lsn
    stop: Lsn
    keys: Mapping[Segment, BackupSegmentKey]

    def slice_at(self, timeline: int, at: Lsn, size: int) -> Slice | None:
        segment = Segment.containing(at, self.timeline, size)
        end = Lsn(min(segment.end, self.stop))
        if timeline != self.timeline or segment not in self.keys or at >= end:
            return None
        return Slice(self.keys[segment], at, end)


class ArchivedLog:
    """The log along a path, as the archive and a base backup have it."""

    def __init__(self, index: WalIndex, path: LogPath, base: BaseLog | None = None) -> None:
        self.index, self.path, self.base = index, path, base
        self.size = index.segment_size

    def file(self, number: int) -> Assembly:
        """The file `number`, as far as it is there from its first byte on."""
        segment = self.path.file(number, self.size)
        slices: list[Slice] = []
        at = segment.start
        while at < segment.end:
            found = self._at(segment, at)
            if found is None:
                break
            slices.append(found)
            at = found.end
        return Assembly(segment, tuple(slices))

    def files(self, start: Lsn) -> Iterator[Assembly]:
        """From the one that holds `start` on, up to the first that is not whole, that included."""
        number = start // self.size
        while True:
            found = self.file(number)
            yield found
            if not found.is_whole:
                return
            number += 1

    def _at(self, segment: Segment, at: Lsn) -> Slice | None:
        """What goes on at `at`: the furthest of the file's own timeline, else of the leg's."""
        leg = self.path.at(at)
        own = self.path.leg(segment.timeline)
        limits = [(segment.timeline, segment.end)]
        if leg.timeline != segment.timeline and own is not None:
            limits.append((leg.timeline, Lsn(min(segment.end, leg.end or segment.end))))
        for timeline, limit in limits:
            found = self._of(timeline, segment.number, at, limit)
            if found is not None:
                return found
        return None

    def _of(self, timeline: int, number: int, at: Lsn, limit: Lsn) -> Slice | None:
        segment = Segment(timeline, number, self.size)
        whole = self.index.segments.get(segment)
        if whole is not None:
            return Slice(whole, at, limit)
        chunk = furthest(self.index.chunks_of(segment), at)
        if chunk is not None:
            return Slice(chunk, at, Lsn(min(chunk.end, limit)))
        if self.base is None:
            return None
        of_base = self.base.slice_at(timeline, at, self.size)
        return None if of_base is None else Slice(of_base.key, at, Lsn(min(of_base.end, limit)))


def furthest(chunks: Iterable[ChunkKey], at: Lsn) -> ChunkKey | None:
    """Of those that hold the byte at `at` the one that reaches furthest."""
    holding = (chunk for chunk in chunks if chunk.start <= at < chunk.end)
    return max(holding, key=lambda chunk: chunk.end, default=None)
