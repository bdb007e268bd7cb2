"""How long a restore will take: by what earlier ones of the Database took, where there are any."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from postbase_operator.api.backup import Backup
from postbase_operator.api.pitr_restore import PitrRestore
from postbase_operator.api.restore_status import RestoreMeasured, RestorePlan
from postbase_operator.api.runs import RunPhase
from postbase_operator.archive import copies
from postbase_operator.planning.backup_observed import JobState, RunState
from postbase_operator.planning.observed import Load
from postbase_operator.planning.recovery_estimate import FETCH, LOAD, REPLAY, REST, USUAL, rates
from unit.conftest import NOW
from unit.planning.test_database import HEALTHY
from unit.planning.test_filling import (
    NEXT,
    RESTORE_UID,
    backup,
    begun,
    fill,
    look,
    restore,
    seen,
)
from unit.planning.test_restore_rehearsal import dump
from unit.planning.test_restore_review import named

GIB = 2**30


def plan(content: float, log: float) -> RestorePlan:
    return RestorePlan(content_bytes=int(content * GIB), log_bytes=int(log * GIB))


def run(
    content: float,
    log: float,
    took: tuple[int, int, int],
    *,
    at: datetime = NOW,
    phase: RunPhase = RunPhase.COMPLETED,
    **kind: bool,
) -> PitrRestore:
    """GiB of each; seconds of the content, of the replay, of the rest."""
    told = RestoreMeasured(content_seconds=took[0], replay_seconds=took[1], **kind)
    begin = at - timedelta(seconds=sum(took))
    facts: dict[str, Any] = {
        "plan": plan(content, log),
        "measured": told,
        "started_at": begin,
        "completed_at": at,
    }
    return named(restore(), f"r{at.timestamp()}", phase=phase, **facts)


def stored(content: float, seconds: int, **more: Any) -> Backup:
    return backup(sourceBytes=int(content * GIB), durationSeconds=seconds, **more)


def usual(*runs: PitrRestore, backups: tuple[Backup, ...] = (), **kind: bool) -> Any:
    return rates(runs, backups, **({"logical": False, "follows": False} | kind))


def test_what_was_never_measured_is_as_usual_and_says_so() -> None:
    found = usual()
    assert (found.content, found.replay, found.rest, found.said) == (FETCH, REPLAY, REST, USUAL)
    assert found.seconds(plan(1, 1)) == pytest.approx(REST + GIB / FETCH + GIB / REPLAY)
    assert usual(logical=True).content == LOAD


def test_backups_tell_the_speed_of_the_content_alone() -> None:
    found = usual(
        backups=(stored(2, 10), stored(4, 20), stored(1, 1), stored(9, 9, phase="Failed"))
    )
    assert (found.content, found.replay) == (6 * GIB / 30, REPLAY)
    assert "backups" in found.said
    assert usual(backups=(stored(2, 10),), logical=True).content == LOAD


def test_restores_tell_all_of_it_and_stand_over_backups() -> None:
    found = usual(run(2, 1, (20, 10, 7)), backups=(stored(2, 2000),))
    assert (found.content, found.replay) == (GIB / 10, GIB / 10)
    assert found.rest == pytest.approx(7)
    assert found.seconds(plan(4, 2)) == pytest.approx(67)
    assert found.said == "its last restore"


def test_the_last_five_count() -> None:
    old = [run(1, 1, (1000, 1000, 1000), at=NOW - timedelta(days=9 - n)) for n in range(3)]
    new = [run(1, 1, (10, 10, n), at=NOW + timedelta(hours=n)) for n in range(1, 6)]
    found = usual(*new, *old)
    assert (found.content, found.replay, found.rest) == (GIB / 10, GIB / 10, pytest.approx(3))
    assert "5" in found.said


def test_what_was_too_short_tells_no_speed_and_is_in_the_rest() -> None:
    found = usual(run(0.01, 0.001, (1, 2, 9)))
    assert (found.content, found.replay) == (FETCH, REPLAY)
    assert found.seconds(plan(0.01, 0.001)) == pytest.approx(12)


def test_one_that_followed_the_log_says_nothing_of_the_speed_of_replay() -> None:
    waited = run(2, 1, (20, 600, 30), follows=True)
    assert usual(waited).replay == REPLAY
    apart = run(2, 1, (20, 10, 7), at=NOW - timedelta(hours=1))
    assert usual(waited, apart).rest == pytest.approx(7)
    assert usual(waited, apart, follows=True).rest > 600


@pytest.mark.parametrize(
    "other",
    [
        run(1, 1, (500, 500, 500), logical=True),
        run(1, 1, (500, 500, 500), phase=RunPhase.FAILED),
        named(restore(), "none", phase=RunPhase.COMPLETED),
    ],
    ids=["of another kind", "failed", "not measured"],
)
def test_what_does_not_count(other: PitrRestore) -> None:
    assert usual(other).said == USUAL


@given(st.tuples(*[st.integers(3, 4000)] * 3), st.floats(0.1, 99), st.floats(0.1, 99))
@settings(deadline=None)
def test_the_same_restore_again_is_foretold(
    took: tuple[int, int, int], content: float, log: float
) -> None:
    again = usual(run(content, log, took)).seconds(plan(content, log))
    assert again == pytest.approx(sum(took), rel=0.01)


# -- where it comes from, and where it is told ----------------------------------------------


def test_the_plan_tells_it_and_what_it_rests_on() -> None:
    made = look(restore(), seen(), others=[run(2, 1, (20, 10, 7))], backup=stored(2, 5))
    assert made.status.plan.estimated_seconds == 27
    assert made.status.plan.estimated_by == "its last restore"
    assert look(restore(), seen(), backup=stored(2, 5)).status.plan.estimated_by == USUAL


@pytest.mark.parametrize("attempt", [1, 2])
def test_a_restore_tells_how_long_its_parts_took(attempt: int) -> None:
    """Unless it took several attempts, of which the last one's times do not say it all."""
    whole = fill(RunState.SUCCEEDED, attempt, system_id="77")
    timed = replace(whole, content_seconds=20, replay_seconds=10)
    told = look(begun(), seen(NEXT, fill=timed)).status.measured
    expected = RestoreMeasured(content_seconds=20, replay_seconds=10)
    assert told == (expected if attempt == 1 else None)


def test_so_does_one_of_a_dump() -> None:
    made = restore(look(restore(), seen(), backup=dump()).status)
    job = JobState(1, RunState.SUCCEEDED, NOW - timedelta(seconds=50), NOW)
    load = Load(copies.mark(RESTORE_UID), job)
    assert HEALTHY.server is not None
    facts = replace(HEALTHY.server.facts, copies=((copies.restored(RESTORE_UID), 1),))
    there = seen(loads=(load,), server=replace(HEALTHY.server, facts=facts))
    told = look(made, there, backup=dump()).status.measured
    assert told == RestoreMeasured(content_seconds=50, logical=True)
