"""The way of the log across timelines, held against counting byte by byte."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from postbase_operator.archive.keys import BackupSegmentKey, ChunkKey, PhysicalFolder, SegmentKey
from postbase_operator.archive.log_path import (
    ArchivedLog,
    BaseLog,
    BrokenHistory,
    Leg,
    LogPath,
)
from postbase_operator.archive.lsn import Lsn, Segment
from postbase_operator.archive.wal_index import WalIndex
from unit.archive.test_keys import ARCHIVE, BKP
from unit.archive.test_wal_index import SIZE, STEP, chunk, steps, whole

HISTORY = (
    b"1\t0/3000000\tno recovery target specified\n\n2\t0/5000060\tbefore 2026-11-28 01:02:03+00\n"
)


def path(*switches: int) -> LogPath:
    """Timeline 1, left at the first of these eighths of segments, and so on."""
    starts = [Lsn(), *(Lsn(each * STEP) for each in switches)]
    ends = [*starts[1:], None]
    return LogPath(
        tuple(Leg(n, *place) for n, place in enumerate(zip(starts, ends, strict=True), 1))
    )


def test_a_history_names_the_legs() -> None:
    found = LogPath.to(3, {3: HISTORY})
    first, second, third = found.legs
    assert (first.timeline, str(first.start), str(first.end)) == (1, "0/0", "0/3000000")
    assert (second.timeline, str(second.end)) == (2, "0/5000060")
    assert (third.timeline, third.end) == (3, None)
    assert found.at(Lsn.parse("0/500005F")).timeline == 2
    assert found.at(Lsn.parse("0/5000060")).timeline == 3
    assert LogPath.to(1, {}).timelines == (1,)
    assert found.up_to(2).legs == (first, Leg(2, second.start))


@pytest.mark.parametrize(
    "history",
    [
        None,
        b"",
        b"# nothing\n",
        b"1 nonsense\n",
        b"2\t0/5000000\tx\n1\t0/6000000\tx\n",
        b"1\t0/6000000\tx\n2\t0/5000000\tx\n",
        b"3\t0/6000000\tx\n",
    ],
)
def test_one_that_is_missing_or_makes_no_sense_is_refused(history: bytes | None) -> None:
    with pytest.raises(BrokenHistory, match="00000003"):
        LogPath.to(3, {} if history is None else {3: history})


def test_timelines_are_hexadecimal_in_names_and_decimal_in_histories() -> None:
    found = LogPath.to(11, {11: b"10\t0/3000000\tx\n"})
    assert found.timelines == (10, 11)
    assert found.file(3, 1 << 24).name.startswith("0000000B")


def test_recovery_asks_for_the_newest_timeline_that_begins_in_a_file_or_before() -> None:
    way = path(12, 30)  # in the second and the fourth segment
    assert [way.file(n, SIZE).timeline for n in range(5)] == [1, 2, 2, 3, 3]


stored = st.lists(
    st.builds(
        lambda segment, start, length, timeline: chunk(
            segment * 8 + start, segment * 8 + min(8, start + length), timeline
        ),
        st.integers(0, 3),
        st.integers(0, 7),
        st.integers(1, 8),
        st.integers(1, 3),
    )
    | st.builds(whole, st.integers(0, 3), st.integers(1, 3)),
    max_size=24,
)


@given(stored, st.integers(1, 20), st.integers(0, 12))
def test_a_file_is_made_of_what_there_is_without_a_hole(
    keys: list[SegmentKey | ChunkKey], first: int, more: int
) -> None:
    """Each of its bytes comes from its own leg, or from the file's timeline, which copied it."""
    way = path(first, first + more)
    log = ArchivedLog(WalIndex(keys, SIZE), way)
    has = {(key.timeline, step) for key in keys for step in steps(key)}
    for number in range(4):
        file = log.file(number)
        timeline = way.file(number, SIZE).timeline
        step = number * 8
        while (
            step < number * 8 + 8
            and {
                (timeline, step),
                (way.at(step * STEP).timeline, step),
            }
            & has
        ):
            step += 1
        assert file.end == step * STEP
        at = file.segment.start
        for each in file.slices:
            assert each.start == at
            at = each.end
        assert file.is_whole == (at == file.segment.end)


def test_a_backup_fills_up_to_its_stop_what_the_archive_lacks() -> None:
    key = BackupSegmentKey(PhysicalFolder(ARCHIVE, BKP), Segment(1, 0, SIZE).name)
    base = BaseLog(1, Lsn(STEP), Lsn(3 * STEP), {Segment(1, 0, SIZE): key})
    log = ArchivedLog(WalIndex([chunk(3, 8)], SIZE), path(), base)
    file = log.file(0)
    assert [type(each.key) for each in file.slices] == [BackupSegmentKey, ChunkKey]
    assert file.is_whole
    assert [each.segment.number for each in log.files(Lsn(STEP))] == [0, 1]
    late = ArchivedLog(WalIndex([chunk(4, 8)], SIZE), path(), base)
    assert late.file(0).end == 3 * STEP
    assert file.cut(Lsn(2 * STEP)).end == 2 * STEP
