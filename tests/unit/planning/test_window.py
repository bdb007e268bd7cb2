"""Which seconds can be restored: held against the bytes that an archive has."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from postbase_operator.archive.history import Fork
from postbase_operator.archive.keys import Archive
from postbase_operator.archive.lsn import Lsn
from postbase_operator.archive.receiver import ReceiverReport
from postbase_operator.archive.wal_index import Run
from postbase_operator.planning.window import (
    Base,
    Log,
    Stretch,
    bases_of,
    reach,
    settled,
    told_since,
    window,
)
from unit.conftest import NOW, UID
from unit.planning.test_retention import ago, backup

HOUR = timedelta(hours=1)


def at(hour: float) -> datetime:
    return NOW + hour * HOUR


def base(name: str, start: int, hour: float, timeline: int = 1, stop: int | None = None) -> Base:
    return Base(name, timeline, Lsn(start), Lsn(start + 1 if stop is None else stop), at(hour))


def stretch(start: int, end: int, until: float | None, timeline: int = 1) -> Stretch:
    run = Run(timeline, Lsn(start), Lsn(end))
    return Stretch(run, None if until is None else at(until))


def spans(found: object) -> list[tuple[int, bool, float, float]]:
    branches = found.branches  # type: ignore[attr-defined]
    return [(b.timeline, b.live, (b.from_ - NOW) / HOUR, (b.to - NOW) / HOUR) for b in branches]


def test_from_the_oldest_base_backup_to_what_is_covered() -> None:
    log = Log((stretch(0, 100, 9),))
    found = window([base("b", 50, 5), base("a", 10, 1)], log)
    assert spans(found) == [(1, True, 1, 9)]
    assert [each.name for each in found.bases] == ["a", "b"]
    assert window([], log).live is None


def test_a_gap_ends_one_branch_and_the_next_base_backup_begins_another() -> None:
    log = Log((stretch(0, 40, 4), stretch(60, 100, 9)))
    found = window([base("a", 10, 1), base("b", 70, 7)], log)
    assert spans(found) == [(1, True, 7, 9), (1, False, 1, 4)]
    assert found.branches[1].reason == "The log has a gap after 0/28"
    assert [each.name for each in found.bases] == ["b"]
    before = window([base("a", 10, 1)], log)
    assert before.live is None
    assert before.bases == ()


def test_a_base_backup_whose_own_log_is_torn_begins_nothing() -> None:
    log = Log((stretch(0, 40, 4), stretch(60, 100, 9)))
    assert window([base("a", 35, 5, stop=65)], log).branches == ()
    assert window([base("a", 50, 5)], log).branches == ()


def test_a_restore_in_place_leaves_a_branch() -> None:
    histories = {2: (Fork(1, Lsn(50)),)}
    log = Log((stretch(0, 80, 8), stretch(48, 120, 12, 2)), histories, live=2)
    found = window([base("a", 10, 1)], log)
    assert spans(found) == [(2, True, 1, 12), (1, False, 1, 8)]
    assert found.branches[1].reason == "A restore left it at 0/32"
    late = window([base("late", 60, 6)], log)  # beyond the fork: only on what was left
    assert spans(late) == [(1, False, 6, 8)]
    assert late.bases == ()


def test_a_restore_of_everything_leaves_none() -> None:
    log = Log((stretch(0, 80, 8), stretch(80, 120, 12, 2)), {2: (Fork(1, Lsn(80)),)}, live=2)
    assert spans(window([base("a", 10, 1)], log)) == [(2, True, 1, 12)]


def test_without_its_history_a_timeline_stands_alone() -> None:
    log = Log((stretch(0, 80, 8), stretch(80, 120, 12, 2)), live=2)
    found = window([base("a", 10, 1)], log)
    assert [(b.timeline, b.live) for b in found.branches] == [(1, False)]


def report(**told: object) -> ReceiverReport:
    known = {"state": "Running", "startedAt": NOW.isoformat(), "writer": "1", "timeline": 1}
    return ReceiverReport.model_validate(known | told)


def test_the_receiver_tells_how_far_it_has_come_since() -> None:
    log = Log((stretch(0, 40, 4), stretch(60, 100, 9)))
    told = report(durableLsn="0/C8", coveredUntil=at(11).isoformat())
    after = told_since(log, told)
    assert after.stretches == (log.stretches[0], stretch(60, 200, 11))
    assert told_since(log, report(durableLsn="0/50")).stretches == log.stretches
    assert told_since(log, None) == log
    unseen = told_since(log, report(timeline=2, durableLsn="0/C8"))
    assert unseen.stretches == log.stretches
    assert unseen.last() is None
    assert window([base("a", 70, 7)], unseen).live is None, "of timeline 2 nothing is known yet"


def test_a_hole_behind_what_was_durable_is_about_to_be_filled() -> None:
    log = Log((stretch(0, 40, 4), stretch(60, 100, 9), stretch(120, 130, 9)))
    found = settled(log, report(durableLsn="0/50"))  # 80: of the second stretch
    assert found.stretches == log.stretches[:2]
    assert found.stretches[0].run.end < found.stretches[1].run.start  # a gap, as it was before
    assert settled(log, None) == settled(log, report()) == log
    assert settled(log, report(timeline=2, durableLsn="0/1")) == log


def test_only_what_was_read_back_counts() -> None:
    archive = Archive(UID, "73-1")
    key = f"v1/{UID}/73-1/base/bkp_{'a' * 26}/"
    told: dict[str, Any] = {"timeline": 1, "startLSN": "0/10", "stopLSN": "0/20", "objectKey": key}
    good = backup("good", ago(1), "pitr", method="Physical", **told)
    others = [
        backup("logical", ago(1), **told),
        backup("unread", ago(1), "pitr", method="Physical", verified=False, **told),
        backup("failed", ago(1), "pitr", method="Physical", phase="Failed", **told),
        backup("torn", ago(1), "pitr", method="Physical", checksumsVerified=False, **told),
        backup(
            "earlier",
            ago(1),
            "pitr",
            method="Physical",
            **(told | {"objectKey": key.replace("73-1", "72-1")}),
        ),
    ]
    assert [each.name for each in bases_of([good, *others], archive)] == ["good"]


# -- any history ---------------------------------------------------------------------------


@dataclass
class World:
    """Bytes by timeline, and which timeline came from where; small numbers for positions."""

    stored: dict[int, set[int]] = field(default_factory=dict)
    parents: dict[int, tuple[int, int]] = field(default_factory=dict)
    bases: list[Base] = field(default_factory=list)
    live: int = 1

    def log(self) -> Log:
        found = []
        for timeline in sorted(self.stored):
            held = sorted(self.stored[timeline])
            begin = None
            for byte in held:
                begin = byte if begin is None else begin
                if byte + 1 not in self.stored[timeline]:
                    found.append(stretch(begin, byte + 1, byte + 1, timeline))
                    begin = None
        histories = {t: self.history(t) for t in self.parents}
        return Log(tuple(found), histories, live=self.live)

    def history(self, timeline: int) -> tuple[Fork, ...]:
        if timeline not in self.parents:
            return ()
        parent, left = self.parents[timeline]
        kept = tuple(f for f in self.history(parent) if f.end <= left)
        return (*kept, Fork(parent, Lsn(left)))

    def byte(self, timeline: int, position: int) -> bool:
        """Whether whoever replays towards `timeline` finds this byte."""
        on = timeline
        for fork in reversed(self.history(timeline)):
            if position < fork.end:
                on = fork.timeline
        return position in self.stored.get(on, set())


@st.composite
def worlds(draw: st.DrawFn) -> World:
    made = World()
    number, at_, end = 1, 0, 0
    for _ in range(draw(st.integers(1, 4))):
        made.stored[number] = set()
        end = at_ + draw(st.integers(1, 20))
        holes = draw(st.sets(st.integers(at_, end), max_size=2))
        made.stored[number] |= set(range(at_, end)) - holes
        for n in range(draw(st.integers(0, 2))):
            start = draw(st.integers(at_, end))
            stop = draw(st.integers(start, end))
            made.bases.append(base(f"b{number}{n}", start, stop, number, stop))
        made.live = number
        left = draw(st.integers(at_, end))
        made.parents[number + 1] = (number, left)
        number, at_ = number + 1, left
    del made.parents[number]
    return made


@given(worlds())
@settings(max_examples=400, deadline=None)
def test_no_byte_is_missing_of_what_is_promised(world: World) -> None:
    log = world.log()
    found = window(world.bases, log)
    last = log.last()
    for each in found.bases:
        assert last is not None
        assert reach(each, log, world.live) is last
        for position in range(each.start, last.run.end):
            assert world.byte(world.live, position), (each, position)
    for branch in found.branches:
        assert branch.from_ is not None
        assert branch.to is not None
        assert branch.from_ <= branch.to
    assert sum(bool(each.live) for each in found.branches) <= 1
    assert bool(found.bases) == (found.live is not None)


@given(worlds())
@settings(max_examples=400, deadline=None)
def test_what_is_whole_is_promised(world: World) -> None:
    log = world.log()
    last = log.last()
    if last is None:
        return
    promised = {each.name for each in window(world.bases, log).bases}
    way = [*world.history(world.live), Fork(world.live, Lsn(10**6))]
    for each in world.bases:
        on = [fork for fork in way if fork.timeline == each.timeline]
        whole = (
            bool(on)
            and each.stop <= on[0].end
            and each.start < last.run.end
            and all(world.byte(world.live, p) for p in range(each.start, last.run.end))
        )
        if whole and each.stop <= last.run.end:
            assert each.name in promised
