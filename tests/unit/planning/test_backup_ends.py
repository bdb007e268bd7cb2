"""Every Backup ends, and by its deadline: random states of job, store and Database, and kills."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from postbase_operator.api.backup import Backup
from postbase_operator.api.conditions import KStatus, find_condition
from postbase_operator.api.runs import RunPhase
from postbase_operator.planning.backup_failure import FINAL
from postbase_operator.planning.backup_observed import BackupSeen, JobState, RunState, Trouble
from postbase_operator.planning.backup_steps import AbortLeftovers, BackupPlan, StartRun
from unit.conftest import NOW
from unit.planning.test_backup import DUMPED, OTHER, SOURCE, backup, plan, reason, verdict

HOUR = timedelta(hours=1)
MOST_ATTEMPTS = 3

looks = st.fixed_dictionaries(
    {
        "after": st.integers(0, 90) | st.integers(0, 5000),  # seconds
        "job": st.sampled_from([*RunState, RunState.FAILED, None, "as it was"]),
        "why": st.sampled_from(["", "Evicted", "NodeLost", "Denied", "DumpFailed"]),
        "record": st.sampled_from([True] + [False] * 40),
        "unknown": st.sampled_from(["no answer", "", "", ""]),
        "store": st.sampled_from([Trouble("Denied", "no right"), None, None, None]),
        "quota": st.sampled_from(["11 of 10 GiB", "", "", ""]),
        "queued": st.sampled_from(["Waits for its turn", "", ""]),
        "source": st.sampled_from(["other", "going", "gone", "down", *["there"] * 60]),
        "size": st.sampled_from([None, 0, 2**30, 2**36]),
        "killed": st.sampled_from([True] + [False] * 4),  # before the status was written
    }
)


@dataclass
class World:
    """A platform that starts what it is told, and does with it whatever the looks say."""

    backup: Backup
    now: datetime = NOW
    job: JobState | None = None
    blocked_since: datetime | None = None
    started: list[int] = field(default_factory=list)

    def see(self, look: dict[str, Any]) -> BackupSeen:
        self.now += timedelta(seconds=look["after"])
        if look["job"] is None:
            self.job = None
        elif self.started and look["job"] != "as it was":
            ended = self.now if look["job"] in (RunState.FAILED, RunState.SUCCEEDED) else None
            since = self.job.since if self.job else self.now
            state, attempt = RunState(look["job"]), self.started[-1]
            why = look["why"] if state in (RunState.FAILED, RunState.WAITING) else ""
            self.job = JobState(attempt, state, since, ended, why, why)
        source = replace(
            SOURCE,
            size_bytes=look["size"],
            uid=OTHER if look["source"] == "other" else SOURCE.uid,
            is_deleting=look["source"] == "going",
            is_running=look["source"] != "down",
        )
        return BackupSeen(
            source=None if look["source"] == "gone" else source,
            job=self.job,
            record=DUMPED if look["record"] and self.started else None,
            record_unknown=look["unknown"],
            store=look["store"],
            over_quota=look["quota"],
            queued=look["queued"],
        )

    def take(self, made: BackupPlan, *, killed: bool) -> None:
        for step in made.steps:
            if isinstance(step, StartRun):
                self.started.append(step.attempt)
                self.job = JobState(step.attempt, RunState.WAITING, self.now)
        if not killed:
            self.backup = self.backup.model_copy(update={"status": made.status})


@settings(deadline=None)
@given(looks=st.lists(looks, max_size=40), origin=st.sampled_from(["manual", "schedule", "final"]))
def test_every_backup_ends_and_runs_no_more(looks: list[dict[str, Any]], origin: str) -> None:
    world = World(backup(origin))
    for look in looks:
        held = world.backup
        seen = world.see(look)
        made = plan(seen, held, world.now)
        _is_told(made)
        if held.is_done():
            assert made.status.phase == held.status.phase
            assert not [step for step in made.steps if isinstance(step, StartRun)]
        else:
            _takes_no_longer_than_it_may(world, seen, made)
            _begins_in_turn(world, held, seen, made)
        world.take(made, killed=look["killed"])


def _is_told(made: BackupPlan) -> None:
    """As kstatus has it; and who has not ended is looked at again."""
    phase = made.status.phase
    assert phase is not None
    expected = {RunPhase.COMPLETED: KStatus.CURRENT, RunPhase.FAILED: KStatus.FAILED}
    assert verdict(made) is expected.get(phase, KStatus.IN_PROGRESS)
    assert (made.status.completed_at is not None) == phase.is_final
    assert (made.requeue_after is None) == phase.is_final
    assert made.requeue_after is None or made.requeue_after > 0
    if phase is RunPhase.FAILED:
        assert made.status.object_key is None


def _takes_no_longer_than_it_may(world: World, seen: BackupSeen, made: BackupPlan) -> None:
    """Pending with something in the way: an hour. Running: as long as the size allows."""
    status = made.status
    waiting = find_condition(status.conditions, "Waiting")
    assert (waiting is not None) == (status.phase is RunPhase.PENDING)
    if waiting is not None and waiting.reason != "Queued":
        assert waiting.last_transition_time > world.now - HOUR
    if status.phase is RunPhase.RUNNING:
        size = seen.source.size_bytes if seen.source else None
        most = 24 * HOUR if size is None else max(HOUR, timedelta(seconds=size / (5 * 2**20)))
        assert status.started_at is not None
        assert world.now < status.started_at + most


def _begins_in_turn(world: World, held: Backup, seen: BackupSeen, made: BackupPlan) -> None:
    """One attempt after the other, each in a clean place, none beside a record or without hope."""
    if seen.record is not None:
        assert made.status.phase is RunPhase.COMPLETED
    starts = [step for step in made.steps if isinstance(step, StartRun)]
    if not starts:
        return
    (start,) = starts
    last = world.started[-1] if world.started else 0
    assert start.attempt <= MOST_ATTEMPTS
    # Once more the same only where it is gone and no status tells of it.
    again = start.attempt == last and seen.job is None and held.status.attempts < last
    assert start.attempt == last + 1 or again
    assert start.until > world.now
    assert not seen.queued or last
    assert seen.job is None or seen.job.has_ended
    assert seen.job is None or seen.job.reason not in FINAL
    assert start.attempt == 1 or isinstance(made.steps[0], AbortLeftovers)


@settings(deadline=None)
@given(looks=st.lists(looks, min_size=1, max_size=20))
def test_what_is_in_the_way_all_the_time_ends_it_after_an_hour(looks: list[dict[str, Any]]) -> None:
    world = World(backup())
    first = None
    for look in looks:
        seen = world.see(look | {"source": "down", "killed": False, "job": None})
        made = plan(seen, world.backup, world.now)
        first = first or world.now
        late = world.now - first >= HOUR
        assert (made.status.phase is RunPhase.FAILED) == (world.backup.is_done() or late)
        world.take(made, killed=False)


def test_a_platform_that_works_completes_it() -> None:
    world = World(backup())
    seen = BackupSeen(source=SOURCE)
    for state in (RunState.WAITING, RunState.RUNNING, RunState.SUCCEEDED):
        made = plan(replace(seen, job=world.job), world.backup, world.now)
        assert reason(made) in ("Starting", "Running")
        world.take(made, killed=False)
        world.job = JobState(1, state, NOW)
    end = plan(replace(seen, job=world.job, record=DUMPED), world.backup, world.now)
    assert end.status.phase is RunPhase.COMPLETED
    assert world.started == [1]
