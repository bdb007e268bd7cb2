"""Log goes only where no kept base backup would ever read it."""

from __future__ import annotations

from datetime import datetime

from hypothesis import given, settings
from hypothesis import strategies as st

from postbase_operator.archive.history import Fork
from postbase_operator.archive.keys import Archive, ChunkKey, HeartbeatKey, HistoryKey, SegmentKey
from postbase_operator.archive.lsn import SEGMENT_SIZE, Lsn, Segment
from postbase_operator.archive.template import Key
from postbase_operator.planning.retention import log_needed
from postbase_operator.planning.wal_expiry import expired_log, expired_of_gone
from postbase_operator.planning.window import reach
from unit.conftest import NOW, UID
from unit.planning.test_retention import WINDOW_3, ago, backup
from unit.planning.test_window import World, base, worlds

ARCHIVE = Archive(UID, "73-1")


def chunk(start: int, end: int, timeline: int = 1) -> ChunkKey:
    return ChunkKey(ARCHIVE, timeline, start, end)


def segment(number: int, timeline: int = 1) -> SegmentKey:
    return SegmentKey(ARCHIVE, Segment(timeline, number).name)


def test_what_lies_before_the_oldest_kept_start_goes() -> None:
    start = 2 * SEGMENT_SIZE + 40
    keys: list[Key] = [
        segment(0),
        segment(1),
        segment(2),
        chunk(start - 40, start),
        chunk(start - 40, start + 1),
        HeartbeatKey(ARCHIVE, 1, start - 1),
        HistoryKey(ARCHIVE, 2),
    ]
    assert expired_log(keys, [base("a", start, 1)], {}) == [keys[0], keys[1], keys[3], keys[5]]
    assert expired_log(keys, [base("b", start, 2), base("a", 0, 1)], {}) == []
    assert expired_log(keys, [], {}) == []


def test_a_timeline_that_was_left_goes_with_its_last_base_backup() -> None:
    histories = {2: (Fork(1, Lsn(50)),)}
    keys: list[Key] = [chunk(0, 50), chunk(50, 90), chunk(50, 70, 2), chunk(70, 99, 2)]
    old, new = base("old", 10, 1), base("new", 70, 2, 2)
    assert expired_log(keys, [old, new], histories) == []
    assert expired_log(keys, [new], histories) == keys[:3]
    assert expired_log(keys, [new], {}) == keys[:3]
    beyond = base("beyond", 60, 1)
    assert expired_log(keys, [beyond], histories) == [keys[0], keys[2], keys[3]]
    assert expired_log(keys, [beyond], {}) == [keys[0]], "who knows where 2 came from"


def test_which_base_backups_the_log_is_kept_for() -> None:
    backups = [backup(f"{days}", ago(days), "pitr", method="Physical") for days in (9, 5, 4, 2, 1)]
    named = [each.metadata.name for each in log_needed(backups, WINDOW_3, NOW)]
    assert named == ["4", "2", "1"], "the newest before the window, and all after it"
    assert "9" in [each.metadata.name for each in log_needed(backups, WINDOW_3, NOW, {"9"})]


def test_log_without_a_base_backup_goes_after_its_time() -> None:
    old, young = chunk(0, 50), HeartbeatKey(ARCHIVE, 1, 50)
    history = HistoryKey(ARCHIVE, 2)
    stored: dict[Key, datetime] = {old: ago(9), history: ago(9)}
    assert expired_of_gone(stored, [], {}, ago(7)) == [old, history]
    assert expired_of_gone(stored | {young: ago(6)}, [], {}, ago(7)) == []
    assert expired_of_gone(stored, [base("a", 0, 1)], {}, ago(7)) == []
    assert expired_of_gone(stored, [base("a", 50, 1)], {}, ago(7)) == [old]


@given(worlds(), st.integers(0, 20))
@settings(max_examples=200)
def test_of_a_database_that_is_gone_each_base_reaches_as_far_as_before(
    world: World, days: int
) -> None:
    """However old it all is."""
    log = world.log()
    stored: dict[Key, datetime] = {
        chunk(byte, byte + 1, t): ago(days) for t, bytes in world.stored.items() for byte in bytes
    }
    gone = expired_of_gone(stored, world.bases, log.histories, ago(7))
    assert world.bases or gone == (list(stored) if days > 7 else [])
    for key in gone:
        assert isinstance(key, ChunkKey)
        world.stored[key.timeline].discard(key.start)
    after = world.log()
    for each in world.bases:
        for timeline in range(1, 5):
            before, now = reach(each, log, timeline), reach(each, after, timeline)
            if before is not None and before.run.end > each.start:
                assert now is not None
                assert (now.run.timeline, now.run.end) == (before.run.timeline, before.run.end)


@given(worlds(), st.data())
@settings(max_examples=300, deadline=None)
def test_whatever_goes_each_kept_base_reaches_as_far_as_before(
    world: World, data: st.DataObject
) -> None:
    kept = data.draw(st.lists(st.sampled_from(world.bases))) if world.bases else []
    log = world.log()
    keys = [chunk(byte, byte + 1, t) for t, stored in world.stored.items() for byte in stored]
    for gone in expired_log(keys, kept, log.histories):
        assert isinstance(gone, ChunkKey)
        world.stored[gone.timeline].discard(gone.start)
    after = world.log()
    for each in kept:
        for timeline in range(1, 5):
            before, now = reach(each, log, timeline), reach(each, after, timeline)
            far = None if before is None else (before.run.timeline, before.run.end)
            if far is not None and far[1] > each.start:
                assert now is not None
                assert (now.run.timeline, now.run.end) == far
