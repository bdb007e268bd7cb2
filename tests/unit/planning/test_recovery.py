"""Any target over any archive: which backup, which end, which last commit; or which refusal."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from postbase_operator.api.policies import BackupMethod
from postbase_operator.api.restore_status import RestoreReason
from postbase_operator.archive.commits import LogRecord
from postbase_operator.archive.keys import ChunkKey, HeartbeatKey, SegmentKey
from postbase_operator.archive.log_path import Assembly
from postbase_operator.archive.lsn import Lsn, Segment
from postbase_operator.archive.record import BackupRecord, Tool
from postbase_operator.archive.template import Key
from postbase_operator.archive.wal_index import WalIndex
from postbase_operator.archive.wal_object import Commits, WalHeader
from postbase_operator.planning.recovery import Target, plan_recovery
from postbase_operator.planning.recovery_branch import Archived
from postbase_operator.planning.recovery_way import Recovery, Refused, text
from unit.archive.test_keys import ARCHIVE, BKP, PROJ, UID
from unit.archive.test_wal_index import SIZE, STEP, chunk, whole
from unit.conftest import NOW

SECOND = timedelta(seconds=1)
BEGAN = NOW - timedelta(hours=1)
"""When position 0 was written; a commit ends at each position of STEP, a second after another."""


def at(step: float) -> datetime:
    return BEGAN + step * SECOND


def base(stop: int, *, timeline: int = 1, backup_id: str = BKP) -> BackupRecord:
    """Begins an eighth of a segment before it stops."""
    return BackupRecord(
        id=backup_id,
        method=BackupMethod.PHYSICAL,
        database_uid=UID,
        project=PROJ,
        namespace="team",
        name="shop-main",
        incarnation=ARCHIVE.incarnation,
        system_id="7312345678901234567",
        postgres_version="15.18",
        major=15,
        arch="x86_64",
        libc="gnu",
        image_digest="i",
        block_size=8192,
        wal_segment_size=SIZE,
        encoding="UTF8",
        started_at=at(stop - 1),
        completed_at=at(stop),
        size_bytes=1000,
        source_bytes=9000,
        sha256="0" * 64,
        objects=(),
        timeline=timeline,
        start_lsn=str(Lsn((stop - 1) * STEP)),
        stop_lsn=str(Lsn(stop * STEP)),
        tool=Tool(version="1"),
    )


@dataclass
class World:
    """An archive in which each timeline has commits of its own at each step from its start on."""

    keys: list[Key]
    bases: list[BackupRecord]
    forks: dict[int, tuple[int, float]] = field(default_factory=dict)
    """Of a timeline: at which step it left the one before, and when that was."""
    silent: frozenset[int] = frozenset()
    """Steps without a commit."""
    quiet: tuple[int, ...] = ()
    """Timelines without a commit of their own."""
    has_histories: bool = True
    asked: list[str] = field(default_factory=list)

    def time(self, timeline: int, step: float) -> datetime:
        fork, moment = self.forks.get(timeline, (0, 0.0))
        if timeline > 1 and step <= fork:
            return self.time(timeline - 1, step)
        return at(moment + step - fork)

    def commits(self, timeline: int, first: int, last: int) -> list[LogRecord]:
        """Those that end in (first, last]."""
        return [
            LogRecord(Lsn(step * STEP - 8), Lsn(step * STEP), 1, 0, self.time(timeline, step))
            for step in range(first + 1, last + 1)
            if step not in self.silent
            and not (timeline in self.quiet and step > self.forks.get(timeline, (0, 0))[0])
        ]

    def header(self, key: SegmentKey | ChunkKey | HeartbeatKey) -> WalHeader:
        self.asked.append(str(key))
        if isinstance(key, HeartbeatKey):
            first = last = key.lsn // STEP
            sent = self.time(key.timeline, last) + 100 * SECOND
        elif isinstance(key, ChunkKey):
            first, last = key.start // STEP, key.end // STEP
            sent = self.time(key.timeline, last + 0.5)
        else:
            first = Segment.parse(key.segment, SIZE).number * 8
            last = first + 8
            sent = self.time(key.timeline, last + 0.5)
        ended = self.commits(key.timeline, first, last)
        commits = None
        if ended:
            times = [each.ended_at or NOW for each in ended]
            commits = Commits(first=times[0], last=times[-1], last_end=str(ended[-1].end))
        return WalHeader(
            system_id="1",
            timeline=key.timeline,
            start=str(Lsn(first * STEP)),
            end=str(Lsn(last * STEP)),
            size=(last - first) * STEP,
            sha256="0" * 64,
            commits=commits,
            sent_at=sent,
            writer="test",
        )

    def records(self, file: Assembly) -> Sequence[LogRecord]:
        number = file.segment.start // STEP
        return self.commits(file.segment.timeline, number, file.end // STEP)

    def plan(self, target: Target, now: datetime = NOW, live: int | None = None) -> Recovery:
        histories = {}
        for timeline in self.forks if self.has_histories else ():
            lines = [
                f"{each - 1}\t{Lsn(fork * STEP)}\tx\n"
                for each, (fork, _) in sorted(self.forks.items())
                if each <= timeline
            ]
            histories[timeline] = "".join(lines).encode()
        archived = Archived(self.bases, WalIndex(self.keys, SIZE), histories, live)
        return plan_recovery(archived, self, target, now)


def world(segments: int = 4, tail: int = 3, **more: object) -> World:
    """So many whole segments, then chunks of one step each."""
    keys: list[Key] = [whole(number) for number in range(segments)]
    keys += [chunk(segments * 8 + n, segments * 8 + n + 1) for n in range(tail)]
    bases = [base(3), base(12, backup_id=f"bkp_{'b' * 26}")]
    return World(keys, bases, **more)  # type: ignore[arg-type]  # as the class has them


silences = st.frozensets(st.integers(13, 40))


@settings(deadline=None)  # a plan is many small lookups, and the machine is shared
@given(st.floats(12, 34.9), silences)
def test_any_moment_of_the_window(moment: float, silent: frozenset[int]) -> None:
    there = world(silent=silent)
    made = there.plan(Target(time=at(moment)))
    spoken = [step for step in range(13, 36) if step not in silent]
    before = [step for step in spoken if at(step) <= at(moment)]
    assert made.base.id == f"bkp_{'b' * 26}"
    assert made.last_commit == (at(before[-1]) if before else None)
    assert made.end == 35 * STEP
    follows = any(at(step) > at(moment) for step in spoken)
    assert made.stop_at == (at(moment) if follows else None)
    assert made.wal_files <= 5 - 1
    assert len(there.asked) < 40


@settings(deadline=None)
@given(st.floats(-50, 200).filter(lambda step: not 3 <= step <= 35.5))
def test_outside_it_is_refused_with_the_window(moment: float) -> None:
    there = world()
    with pytest.raises(Refused) as caught:
        there.plan(Target(time=at(moment)))
    early = moment < 3
    wanted = RestoreReason.TARGET_BEFORE_WINDOW if early else RestoreReason.TARGET_AFTER_WINDOW
    assert caught.value.reason is wanted
    assert caught.value.passing is not early
    assert at(3).strftime("%H:%M:%S") in str(caught.value)


def test_the_newest_backup_that_had_ended_is_begun_with() -> None:
    assert world().plan(Target(time=at(11.9))).base.id == BKP
    assert world().plan(Target(time=at(12))).base.id != BKP
    assert world().plan(Target()).base.id != BKP


def test_the_future_is_refused_at_once() -> None:
    with pytest.raises(Refused, match="future") as caught:
        world().plan(Target(time=NOW + SECOND))
    assert not caught.value.passing


@pytest.mark.parametrize("wrong", [timedelta(days=-400), timedelta(days=400)])
def test_a_wrong_clock_of_ours_changes_nothing_of_what_is_there(wrong: timedelta) -> None:
    for step in (12, 20, 35.4):
        there = world()
        assert there.plan(Target(time=at(step)), NOW + wrong) == world().plan(Target(time=at(step)))
    with pytest.raises(Refused) as caught:
        world().plan(Target(time=at(40)), NOW + wrong)
    assert caught.value.reason is RestoreReason.TARGET_AFTER_WINDOW
    assert caught.value.passing is (wrong > timedelta()), "who is late takes it for the future"


def test_a_heartbeat_proves_that_nothing_was_missed() -> None:
    there = world()
    there.keys.append(HeartbeatKey(ARCHIVE, 1, 35 * STEP))
    made = there.plan(Target(time=at(90)))
    assert (made.stop_at, made.last_commit) == (None, at(35))
    assert made.span.until == at(135)
    stale = world()
    stale.keys.append(HeartbeatKey(ARCHIVE, 1, 34 * STEP))
    with pytest.raises(Refused):
        stale.plan(Target(time=at(90)))


def test_a_moment_in_a_hole_is_told_and_one_before_it_can_be() -> None:
    there = world()
    there.keys.remove(whole(2))
    assert there.plan(Target(time=at(15))).end == 16 * STEP
    with pytest.raises(Refused) as caught:
        there.plan(Target(time=at(20)))
    assert caught.value.reason is RestoreReason.WAL_GAP
    there.bases.append(base(26, backup_id=f"bkp_{'c' * 26}"))
    assert there.plan(Target(time=at(30))).base.id == f"bkp_{'c' * 26}"


@pytest.mark.parametrize(
    ("now", "passing"), [(34, True), (90, True), (96, False), (-20, True), (-30, False)]
)
def test_a_hole_is_no_gap_yet_while_what_follows_it_has_just_been_sent(
    now: int, passing: bool
) -> None:
    """Of two uploads the later one may end first; it was sent at 35.5 by the server's clock."""
    targets = [Target(lsn=Lsn(34 * STEP))] + [Target(time=at(34))] * (now >= 34)
    for target in targets:
        there = world()
        there.keys.remove(chunk(33, 34))
        with pytest.raises(Refused) as caught:
            there.plan(target, at(now))
        assert caught.value.reason is RestoreReason.WAL_GAP
        assert caught.value.passing is passing
        there.keys.append(chunk(33, 34))
        assert there.plan(target, at(now)).last_commit == at(34)


def test_a_hole_before_whole_segments_of_this_minute_is_no_gap_yet() -> None:
    there = world(tail=0)
    there.keys.remove(whole(2))
    for now, passing in ((33, True), (93, False)):
        with pytest.raises(Refused) as caught:
            there.plan(Target(time=at(30)), at(now))
        assert (caught.value.reason, caught.value.passing) == (RestoreReason.WAL_GAP, passing)


@settings(deadline=None)
@given(st.integers(12 * STEP, 35 * STEP))
def test_a_position_is_the_end_and_no_target(lsn: int) -> None:
    made = world().plan(Target(lsn=Lsn(lsn)))
    assert (made.end, made.stop_at) == (lsn, None)
    last = lsn // STEP
    assert made.last_commit == (at(last) if last > 12 else None)


@pytest.mark.parametrize(
    ("lsn", "reason"),
    [
        (2 * STEP, RestoreReason.TARGET_BEFORE_WINDOW),
        (36 * STEP, RestoreReason.TARGET_AFTER_WINDOW),
    ],
)
def test_a_position_outside_is_refused(lsn: int, reason: RestoreReason) -> None:
    with pytest.raises(Refused) as caught:
        world().plan(Target(lsn=Lsn(lsn)))
    assert caught.value.reason is reason


def test_without_a_backup_there_is_nothing_to_begin_with() -> None:
    with pytest.raises(Refused) as caught:
        World([whole(0)], []).plan(Target())
    assert caught.value.reason is RestoreReason.NO_BASE_BACKUP


def test_a_backup_alone_is_enough_for_all_that_there_is() -> None:
    made = World([], [base(3)]).plan(Target())
    assert (made.end, made.last_commit, made.timelines) == (3 * STEP, None, (1,))


# -- timelines -----------------------------------------------------------------------------


def branched() -> World:
    """Timeline 2 leaves 1 at step 20; 1 had gone on to 35, and 2 begins to write at second 50."""
    there = world(forks={2: (20, 50.0)})
    there.keys += [whole(2, 2), *(chunk(24 + n, 25 + n, 2) for n in range(4))]
    return there


def test_the_branch_that_is_written_now_is_meant() -> None:
    made = branched().plan(Target())
    assert (made.timelines, made.end) == ((1, 2), 28 * STEP)
    assert made.last_commit == at(58)


def test_a_moment_before_the_fork_ends_on_the_timeline_of_then() -> None:
    """Else PostgreSQL would write a history in which the newer one begins before it was left."""
    made = branched().plan(Target(time=at(15.5)))
    assert (made.timelines, made.last_commit, made.stop_at) == ((1,), at(15), at(15.5))
    assert made.end == 35 * STEP  # all that there is of it, and not where the newer one ends


@pytest.mark.parametrize("moment", [20.5, 30, 50.5])
def test_a_moment_of_the_abandoned_branch_gives_the_present_one_as_it_was_then(
    moment: float,
) -> None:
    made = branched().plan(Target(time=at(moment)))
    assert made.timelines == (1, 2)
    assert made.last_commit == at(20)
    left_out = [f"Timeline 1 has commits up to {text(at(min(int(moment), 35)))} that are not on"]
    told = [warning[: len(left_out[0])] for warning in made.warnings]
    assert told == (left_out if moment > 21 else []), made.warnings


def test_what_the_present_branch_has_itself_is_not_missed() -> None:
    assert branched().plan(Target(time=at(53))).warnings == ()


@settings(deadline=None)
@given(st.integers(200, 350), st.integers(510, 580))
def test_each_branch_can_be_had_to_any_second(left: int, present: int) -> None:
    """Tenths of one."""
    there = branched()
    made = there.plan(Target(time=at(left / 10), timeline=1))
    assert (made.timelines, made.last_commit) == ((1,), at(left // 10))
    assert made.warnings == ()
    for timeline in (2, None):
        made = there.plan(Target(time=at(present / 10), timeline=timeline))
        assert (made.timelines, made.last_commit) == ((1, 2), at(present // 10))


def test_a_position_of_a_branch_that_was_left() -> None:
    made = branched().plan(Target(lsn=Lsn(30 * STEP), timeline=1))
    assert (made.timelines, made.end, made.last_commit) == ((1,), 30 * STEP, at(30))


def test_a_timeline_that_the_archive_does_not_have_is_refused() -> None:
    with pytest.raises(Refused, match="no timeline 7; it has 1, 2") as caught:
        branched().plan(Target(time=at(15), timeline=7))
    assert caught.value.reason is RestoreReason.TIMELINE_NOT_FOUND


def test_a_server_that_an_undo_brought_back_and_that_writes_nothing_is_the_live_one() -> None:
    """By its heartbeat; else all that there is would be what the undo has left."""
    there = branched()
    there.keys.append(HeartbeatKey(ARCHIVE, 1, Lsn(35 * STEP)))
    assert there.plan(Target()).timelines == (1,)
    made = there.plan(Target(time=at(30)))
    assert (made.timelines, made.last_commit) == ((1,), at(30))
    (warning,) = there.plan(Target(time=at(56))).warnings
    assert warning.startswith("Timeline 2 has commits up to")
    made = there.plan(Target(time=at(56), timeline=2))
    assert (made.timelines, made.last_commit) == ((1, 2), at(56))


def test_what_a_receiver_says_of_its_server_goes_before_the_archive() -> None:
    made = branched().plan(Target(), live=1)
    assert (made.timelines, made.end) == ((1,), 35 * STEP)


def test_all_of_a_branch_that_has_only_begun_is_waited_for() -> None:
    """The log up to where it began is another one's, which may go on beyond."""
    there = branched()
    there.forks[3] = (30, 90.0)
    with pytest.raises(Refused, match=r"timeline 3, .* has no log in the archive yet") as caught:
        there.plan(Target(), live=3)
    assert caught.value.passing


def test_commits_of_the_abandoned_branch_do_not_count_in_the_file_where_it_was_left() -> None:
    """Its segment goes on beyond the fork, and the newer timeline has no commit yet."""
    there = branched()
    there.keys.remove(whole(2, 2))
    there.keys.append(chunk(20, 24, 2))
    there.quiet = (2,)
    made = there.plan(Target())
    assert (made.timelines, made.end, made.last_commit) == ((1, 2), 28 * STEP, at(20))
    made = there.plan(Target(time=at(22)))
    assert (made.timelines, made.stop_at, made.last_commit) == ((1, 2), None, at(20))


def test_a_higher_timeline_that_was_undone_is_not_the_live_one() -> None:
    """The volume of before is back, and its timeline was written last."""
    there = branched()
    there.forks[2] = (20, 25.0)
    there.keys += [chunk(35 + n, 36 + n) for n in range(5)]
    made = there.plan(Target())
    assert (made.timelines, made.end) == ((1,), 40 * STEP)


def test_a_backup_of_the_abandoned_branch_is_none_of_this_one() -> None:
    there = branched()
    there.bases.append(base(27, backup_id=f"bkp_{'d' * 26}"))
    assert there.plan(Target()).base.id == f"bkp_{'b' * 26}"


def test_a_history_that_is_missing_is_told() -> None:
    there = branched()
    there.has_histories = False
    with pytest.raises(Refused, match=r"00000002\.history") as caught:
        there.plan(Target())
    assert caught.value.reason is RestoreReason.WAL_GAP
