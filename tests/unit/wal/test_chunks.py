"""Cutting the stream, acknowledging in order, and until when a position is all there was."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from postbase_operator.wal import chunks
from postbase_operator.wal.chain import Chain
from postbase_operator.wal.chunks import Chunk, Cutter, Window
from postbase_operator.wal.coverage import Coverage
from postbase_operator.wal.lsn import Lsn, Segment
from postbase_operator.wal.protocol import ProtocolError, WalData

SIZE = 1 << 20
AT = datetime(2026, 11, 23, 3, 0, tzinfo=UTC)
LOG = bytes(range(251)) * (3 * SIZE // 251 + 1)


def message(start: int, data: bytes, flushed: int = 0) -> WalData:
    return WalData(Lsn(start), Lsn(max(flushed, start + len(data))), AT, data)


def log(start: int, end: int) -> bytes:
    return LOG[start - SIZE : end - SIZE]


splits = st.lists(st.integers(1, 300_000), max_size=12)
"""Sizes of messages; after each the stream may be cut."""


def cut_up(sizes: list[int], cuts: list[bool], durable: int) -> list[Chunk]:
    cutter, at, found = Cutter(1, Lsn(SIZE), Lsn(durable), SIZE), SIZE, []
    for size, now in zip(sizes, cuts, strict=False):
        found += cutter.add(message(at, log(at, at + size)), 0.0)
        at += size
        if now:
            found += cutter.cut()
    return [*found, *cutter.cut()]


@example([300_000] * 4, [False] * 12, 2 * SIZE - 1)  # stored beyond a segment's end: never ended
@given(splits, st.lists(st.booleans(), min_size=12, max_size=12), st.integers(0, 2 * SIZE))
def test_however_the_stream_is_split_the_segments_are_the_same(
    sizes: list[int], cuts: list[bool], stored: int
) -> None:
    end, durable = SIZE + sum(sizes), SIZE + stored
    found = cut_up(sizes, cuts, durable)
    at = Lsn(SIZE)
    for chunk in found:
        place = chunk.place
        assert place.start == at, "chunks follow each other"
        assert bytes(chunk.data) == log(place.start, place.end)
        assert place.segment == Segment.containing(place.start, 1, SIZE)
        assert place.end <= place.segment.end
        assert place.stored == (place.end <= durable), "what is stored is apart from what is not"
        prefix = hashlib.sha256(log(place.segment.start, place.end)).hexdigest()
        assert chunk.prefix_sha256 == (None if place.is_whole else prefix)
        assert log(SIZE, place.start).endswith(chunk.before)
        assert len(chunk.before) == min(chunks.CONTEXT, place.start - SIZE)
        at = place.end
    assert at == end or (at < durable and end < durable), "nothing is left out"


def test_a_message_that_does_not_join_is_refused() -> None:
    cutter = Cutter(1, Lsn(SIZE), Lsn(SIZE), SIZE)
    with pytest.raises(ProtocolError, match="goes on at"):
        cutter.add(message(SIZE + 1, b"x"), 0.0)


def test_a_stream_begins_with_a_segment() -> None:
    with pytest.raises(ValueError, match="cannot stream"):
        Cutter(1, Lsn(SIZE + 1), Lsn(SIZE + 1), SIZE)


def test_a_chunk_is_due_when_it_has_waited() -> None:
    cutter = Cutter(1, Lsn(SIZE), Lsn(SIZE), SIZE)
    assert not cutter.is_due(9.0, 0.0), "nothing pending, nothing to send"
    cutter.add(message(SIZE, b"x"), 10.0)
    cutter.add(message(SIZE + 1, b"x"), 10.3)
    assert not cutter.is_due(10.3, 0.4)
    assert cutter.is_due(10.4, 0.4)


def test_a_large_chunk_waits_only_for_what_the_server_has() -> None:
    size = 4 * chunks.LIMIT
    cutter = Cutter(1, Lsn(size), Lsn(size), size)
    cutter.add(message(size, bytes(chunks.LIMIT), flushed=2 * size), 10.0)
    assert not cutter.is_due(10.1, 0.4), "the whole segment is about to come"
    cutter = Cutter(1, Lsn(size), Lsn(size), size)
    cutter.add(message(size, bytes(chunks.LIMIT)), 10.0)
    assert cutter.is_due(10.0, 0.4)


@pytest.mark.parametrize(("put", "window"), [(0.0, 0.4), (0.03, 0.37), (0.3, 0.2), (9.0, 0.2)])
def test_a_slower_store_gets_a_shorter_window(put: float, window: float) -> None:
    assert Window(zero=False).seconds(put) == pytest.approx(window)
    assert Window(zero=True).seconds(put) == 0.0


@given(st.permutations(range(7)))
def test_an_acknowledgement_never_passes_what_is_durable(order: list[int]) -> None:
    chain = Chain(Lsn(100))
    for number in range(7):
        chain.begin(Lsn(100 + number * 10), Lsn(110 + number * 10), float(number))
    done: set[int] = set()
    for number in order:
        chain.done(Lsn(100 + number * 10), Lsn(110 + number * 10))
        done.add(number)
        contiguous = next((n for n in range(8) if n not in done), 8)
        assert chain.durable == 100 + contiguous * 10
        assert chain.since == (float(contiguous) if contiguous < 7 else None)
    assert chain.end == chain.durable == 170


def test_a_chain_has_no_holes_and_no_strangers() -> None:
    chain = Chain(Lsn(100))
    with pytest.raises(ValueError, match="does not follow"):
        chain.begin(Lsn(101), Lsn(110), 0.0)
    with pytest.raises(ValueError, match="was not on its way"):
        chain.done(Lsn(100), Lsn(110))


@given(st.lists(st.tuples(st.integers(0, 50), st.integers(0, 5)), max_size=20), st.integers(0, 60))
def test_coverage_is_the_newest_moment_with_nothing_beyond(
    notes: list[tuple[int, int]], position: int
) -> None:
    coverage, said, now = Coverage(AT), [(0, AT)], AT
    for flushed, seconds in sorted(notes):
        now += timedelta(seconds=seconds)
        coverage.note(Lsn(flushed), now)
        said.append((flushed, now))
    expected = max(at for flushed, at in said if flushed <= position)
    assert coverage.until(Lsn(position)) == expected
    assert coverage.settle(Lsn(position)) == expected
    assert coverage.until(Lsn(position)) == expected, "forgetting changes nothing"
    assert coverage.until(Lsn(60)) == now
