"""Positions and segments, against what pg_walfile_name and pg_lsn of a real server gave."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from postbase_operator.wal.lsn import (
    SEGMENT_SIZE,
    Lsn,
    Segment,
    history_name,
    parse_size,
    segments,
)

positions = st.integers(0, 2**64 - 1)
sizes = st.integers(20, 30).map(lambda power: 1 << power)
timelines = st.integers(1, 2**32 - 1)


@given(positions)
def test_a_position_is_read_as_it_is_written(value: int) -> None:
    assert Lsn.parse(str(Lsn(value))) == value


def test_a_position_as_postgresql_writes_it() -> None:
    assert str(Lsn.parse("16/B374D848")) == "16/B374D848"
    assert Lsn.parse("16/b374d848") == 0x16B374D848
    assert f"{Lsn(0x16B374D848):016X}" == "00000016B374D848"
    assert f"{Lsn(0)}" == "0/0"


@pytest.mark.parametrize("text", ["", "0", "1/", "/1", "1/123456789", "0x1/2", "1/2 ", "-1/2"])
def test_what_is_no_position_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="not a position"):
        Lsn.parse(text)


def test_a_position_beyond_64_bits_is_refused() -> None:
    with pytest.raises(ValueError, match="not a position"):
        Lsn(1 << 64)


@given(positions, timelines, sizes)
def test_a_segment_is_read_as_it_is_named_and_holds_its_position(
    position: int, timeline: int, size: int
) -> None:
    segment = Segment.containing(position, timeline, size)
    assert Segment.parse(segment.name, size) == segment
    assert segment.number * size <= position < (segment.number + 1) * size


@pytest.mark.parametrize(
    ("timeline", "position", "size", "name"),
    [
        (1, "0/1000028", SEGMENT_SIZE, "000000010000000000000001"),
        (10, "0/FF000000", SEGMENT_SIZE, "0000000A00000000000000FF"),
        (11, "1/0", SEGMENT_SIZE, "0000000B0000000100000000"),
        (0x1F, "16/B374D848", SEGMENT_SIZE, "0000001F00000016000000B3"),
        (1, "2/C0000000", 1 << 30, "000000010000000200000003"),
        (1, "0/1000028", 1 << 20, "000000010000000000000010"),
    ],
)
def test_names_as_pg_walfile_name_gives_them(
    timeline: int, position: str, size: int, name: str
) -> None:
    assert Segment.containing(Lsn.parse(position), timeline, size).name == name


@pytest.mark.parametrize(
    "name",
    ["", "00000001000000000000000", "00000001000000000000000a", "000000010000000000000100",
     "000000000000000000000001", "0000000A.history"],
)  # fmt: skip
def test_what_is_no_segment_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="not"):
        Segment.parse(name)


@pytest.mark.parametrize("size", [0, 1 << 19, 1 << 31, 3 << 20])
def test_a_size_that_initdb_cannot_make_is_refused(size: int) -> None:
    with pytest.raises(ValueError, match="no size of a segment"):
        Segment(1, 1, size)


@given(st.integers(0, 2**40), st.integers(0, 2**27))
def test_segments_cover_a_range_and_no_more(start: int, length: int) -> None:
    found = list(segments(start, start + length, 1))
    if not length:
        assert not found
        return
    assert found[0].start <= start < found[0].end
    assert found[-1].start < start + length <= found[-1].end
    assert all(a.end == b.start for a, b in pairwise(found))


def test_the_tenth_timeline_is_written_in_hex() -> None:
    assert history_name(10) == "0000000A.history"


@pytest.mark.parametrize(
    ("text", "size"), [("16MB", 1 << 24), ("1GB", 1 << 30), ("8kB", 8192), ("8192", 8192)]
)
def test_sizes_as_show_gives_them(text: str, size: int) -> None:
    assert parse_size(text) == size


def test_a_size_in_words_is_refused() -> None:
    with pytest.raises(ValueError, match="not a size"):
        parse_size("16 MiB")
