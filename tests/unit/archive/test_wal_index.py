"""What a listing covers, held against counting byte by byte."""

from __future__ import annotations

import itertools

from hypothesis import given
from hypothesis import strategies as st

from postbase_operator.archive.keys import (
    ChunkKey,
    HeartbeatKey,
    HistoryKey,
    OwnerKey,
    SegmentKey,
)
from postbase_operator.archive.lsn import Lsn, Segment
from postbase_operator.archive.wal_index import Run, Stretch, WalIndex
from unit.archive.test_keys import ARCHIVE

SIZE = 1 << 20
STEP = SIZE // 8
"""Positions in these tests are multiples of it: eight to a segment."""


def chunk(start: int, end: int, timeline: int = 1) -> ChunkKey:
    return ChunkKey(ARCHIVE, timeline, start * STEP, end * STEP)


def whole(number: int, timeline: int = 1) -> SegmentKey:
    return SegmentKey(ARCHIVE, Segment(timeline, number, SIZE).name)


@st.composite
def chunks(draw: st.DrawFn) -> ChunkKey:
    segment = draw(st.integers(0, 3))
    start = draw(st.integers(0, 7))
    end = draw(st.integers(start + 1, 8))
    return chunk(segment * 8 + start, segment * 8 + end)


stored = st.lists(st.one_of(chunks(), st.integers(0, 3).map(whole)), max_size=14)


def steps(key: Stretch) -> set[int]:
    """The eighths of segments that an object has."""
    if isinstance(key, ChunkKey):
        return set(range(key.start // STEP, key.end // STEP))
    number = Segment.parse(key.segment, SIZE).number
    return set(range(number * 8, number * 8 + 8))


@given(stored)
def test_runs_are_what_there_is(keys: list[Stretch]) -> None:
    there = set().union(*map(steps, keys)) if keys else set()
    runs = WalIndex(keys, SIZE).runs(1)
    covered = [n for run in runs for n in range(run.start // STEP, run.end // STEP)]
    assert covered == sorted(there)
    assert all(left.end < right.start for left, right in itertools.pairwise(runs))
    for run in runs:
        assert WalIndex(keys, SIZE).run_holding(1, run.start) == run
        assert WalIndex(keys, SIZE).run_holding(1, run.end) == run


@given(stored, st.integers(0, 3))
def test_a_segment_is_covered_from_its_beginning_to_the_first_hole(
    keys: list[Stretch], number: int
) -> None:
    index, segment = WalIndex(keys, SIZE), Segment(1, number, SIZE)
    pieces = index.cover(segment)
    at = segment.start
    for piece in pieces:
        assert piece.start == at < piece.end
        held = steps(piece.key)
        assert set(range(piece.start // STEP, piece.end // STEP)) <= held
        at = piece.end
    there = set().union(*map(steps, keys)) if keys else set()
    until = number * 8
    while until in there and until < number * 8 + 8:
        until += 1
    assert at == until * STEP
    assert index.is_whole(segment) == (until == number * 8 + 8)
    if segment in index.segments:
        assert [piece.key for piece in pieces] == [whole(number)], "a segment wins over chunks"


def test_of_overlapping_chunks_the_one_that_reaches_furthest_wins() -> None:
    keys = [chunk(0, 2), chunk(2, 4), chunk(2, 5), chunk(3, 8), chunk(5, 6)]
    pieces = WalIndex(keys, SIZE).cover(Segment(1, 0, SIZE))
    assert [piece.key for piece in pieces] == [chunk(0, 2), chunk(2, 5), chunk(3, 8)]
    assert pieces[-1].start == 5 * STEP


def test_a_hole_ends_a_run_and_timelines_are_apart() -> None:
    keys = [
        whole(0),
        chunk(8, 11),
        chunk(12, 16),
        chunk(8, 9, timeline=2),
        HistoryKey(ARCHIVE, 2),
        HeartbeatKey(ARCHIVE, 2, 9 * STEP),
        HeartbeatKey(ARCHIVE, 2, 10 * STEP),
        OwnerKey(ARCHIVE),
    ]
    index = WalIndex(keys, SIZE)
    assert index.timelines == (1, 2)
    assert index.runs(1) == (
        Run(1, Lsn(0), Lsn(11 * STEP)),
        Run(1, Lsn(12 * STEP), Lsn(16 * STEP)),
    )
    assert index.runs(2) == (Run(2, Lsn(8 * STEP), Lsn(9 * STEP)),)
    assert index.runs(3) == ()
    assert index.run_holding(1, 11 * STEP + 1) is None
    assert index.histories == {2: HistoryKey(ARCHIVE, 2)}
    assert index.heartbeat(1) is None
    assert index.heartbeat(2) == HeartbeatKey(ARCHIVE, 2, 10 * STEP)
    assert len(index.heartbeats(2)) == 2
    assert index.chunks(1) == (chunk(8, 11), chunk(12, 16))
