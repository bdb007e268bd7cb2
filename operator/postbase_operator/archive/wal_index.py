"""What a listing of `wal/` covers: contiguous runs of each timeline, and by which objects. PURE.

A whole segment wins over chunks; of overlapping chunks the one that reaches furthest wins. What
lies after a hole is a run of its own: whoever follows the log stops at the hole.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from postbase_operator.archive.keys import ChunkKey, HeartbeatKey, HistoryKey, SegmentKey
from postbase_operator.archive.lsn import SEGMENT_SIZE, Lsn, Segment
from postbase_operator.archive.template import Key

Stretch = SegmentKey | ChunkKey
"""An object that holds bytes of the log."""


@dataclass(frozen=True, slots=True)
class Run:
    """The archive holds each byte of [start, end) of a timeline."""

    timeline: int
    start: Lsn
    end: Lsn

    def holds(self, position: int) -> bool:
        """Whether the log can be followed from `position` to `end`, the end itself too."""
        return self.start <= position <= self.end


@dataclass(frozen=True, slots=True)
class Piece:
    """A stretch that one object contributes: of its bytes those of [start, end)."""

    key: Stretch
    start: Lsn
    end: Lsn


class WalIndex:
    """Made from all keys of one archive's `wal/`; other keys are passed over."""

    def __init__(self, keys: Iterable[Key], segment_size: int = SEGMENT_SIZE) -> None:
        self.segment_size = segment_size
        self.histories: dict[int, HistoryKey] = {}
        self.segments: dict[Segment, SegmentKey] = {}
        self._chunks: defaultdict[int, list[ChunkKey]] = defaultdict(list)
        self._beats: defaultdict[int, list[HeartbeatKey]] = defaultdict(list)
        for key in keys:
            self._take(key)
        for chunks in self._chunks.values():
            chunks.sort(key=lambda chunk: (chunk.start, -chunk.end))
        self._runs = {timeline: self._runs_of(timeline) for timeline in self._timelines()}

    def _take(self, key: Key) -> None:
        match key:
            case SegmentKey():
                self.segments[Segment.parse(key.segment, self.segment_size)] = key
            case ChunkKey() if key.start < key.end:
                self._chunks[key.timeline].append(key)
            case HistoryKey():
                self.histories[key.timeline] = key
            case HeartbeatKey():
                self._beats[key.timeline].append(key)

    def _timelines(self) -> set[int]:
        return {segment.timeline for segment in self.segments} | set(self._chunks)

    @property
    def timelines(self) -> tuple[int, ...]:
        """Those that the archive has bytes of, the oldest first."""
        return tuple(sorted(self._runs))

    def runs(self, timeline: int) -> tuple[Run, ...]:
        """In the order of the log; between two of them there is a hole."""
        return self._runs.get(timeline, ())

    def run_holding(self, timeline: int, position: int) -> Run | None:
        """The run from which the log can be followed at `position`: one, as runs do not touch."""
        return next((run for run in self.runs(timeline) if run.holds(position)), None)

    def first_of(self, run: Run) -> Stretch | None:
        """The object that a run begins with."""
        segment = Segment.containing(run.start, run.timeline, self.segment_size)
        whole = self.segments.get(segment)
        if whole is not None and segment.start == run.start:
            return whole
        return next((each for each in self.chunks_of(segment) if each.start == run.start), None)

    def chunks(self, timeline: int) -> tuple[ChunkKey, ...]:
        """All of a timeline, also those that a segment or a longer one makes needless."""
        return tuple(self._chunks.get(timeline, ()))

    def chunks_of(self, segment: Segment) -> tuple[ChunkKey, ...]:
        """Those of a segment, in the order of the log; of one start the longest first."""
        chunks = self._chunks.get(segment.timeline, [])
        before = bisect_right(chunks, segment.start - 1, key=lambda chunk: chunk.start)
        after = bisect_right(chunks, segment.end - 1, key=lambda chunk: chunk.start)
        return tuple(chunks[before:after])

    def heartbeat(self, timeline: int) -> HeartbeatKey | None:
        """The one that is furthest on."""
        return max(self._beats.get(timeline, ()), key=lambda beat: beat.lsn, default=None)

    def heartbeats(self, timeline: int) -> tuple[HeartbeatKey, ...]:
        return tuple(self._beats.get(timeline, ()))

    def cover(self, segment: Segment) -> tuple[Piece, ...]:
        """What makes up a segment from its beginning on, as far as there is anything.

        Whole where the last piece ends with the segment; else the rest is to be filled with zeros.
        """
        if key := self.segments.get(segment):
            return (Piece(key, segment.start, segment.end),)
        return tuple(self._chain(segment, segment.start))

    def is_whole(self, segment: Segment) -> bool:
        pieces = self.cover(segment)
        return bool(pieces) and pieces[-1].end >= segment.end

    def _chain(self, segment: Segment, at: Lsn) -> Iterator[Piece]:
        """Chunks one after another from `at` to the segment's end, or to a hole."""
        chunks = self._chunks.get(segment.timeline, [])
        after = bisect_right(chunks, segment.end - 1, key=lambda chunk: chunk.start)
        before = bisect_right(chunks, segment.start - 1, key=lambda chunk: chunk.start)
        within = chunks[before:after]
        number = 0
        while at < segment.end:
            best: ChunkKey | None = None
            while number < len(within) and within[number].start <= at:
                if best is None or within[number].end > best.end:
                    best = within[number]
                number += 1
            if best is None or best.end <= at:
                return
            # Those that were passed over end before this one: none of them is needed again.
            yield Piece(best, at, Lsn(min(best.end, segment.end)))
            at = Lsn(best.end)

    def _runs_of(self, timeline: int) -> tuple[Run, ...]:
        spans = [
            (segment.start, segment.end)
            for segment in self.segments
            if segment.timeline == timeline
        ]
        spans += [(Lsn(each.start), Lsn(each.end)) for each in self._chunks.get(timeline, ())]
        runs: list[Run] = []
        for start, end in sorted(spans):
            if runs and start <= runs[-1].end:
                runs[-1] = Run(timeline, runs[-1].start, Lsn(max(runs[-1].end, end)))
            else:
                runs.append(Run(timeline, start, end))
        return tuple(runs)
