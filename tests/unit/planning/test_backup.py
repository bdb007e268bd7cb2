"""One Backup: from Pending to its end, for good, whatever jobs, stores and operators do."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from postbase_operator.api.backup import Backup
from postbase_operator.api.base import ObjectMeta
from postbase_operator.api.conditions import KStatus, find_condition, is_true, kstatus
from postbase_operator.api.database_status import FinishedRun, RunKind
from postbase_operator.api.policies import BackupPolicy, PitrPolicy
from postbase_operator.archive.keys import Archive, LogicalStem, PhysicalFolder
from postbase_operator.archive.record import Progress, RunPart
from postbase_operator.planning.backup import plan_backup
from postbase_operator.planning.backup_done import wish
from postbase_operator.planning.backup_observed import (
    BackupSeen,
    JobState,
    Limits,
    RunState,
    Source,
    Trouble,
)
from postbase_operator.planning.backup_steps import (
    AbortLeftovers,
    BackupPlan,
    DeleteBytes,
    Release,
    StartRun,
    StopRun,
)
from postbase_operator.planning.retention import Policies
from unit.archive.test_keys import PROJ
from unit.archive.test_record import record
from unit.conftest import NOW, UID

OTHER = "4b1e4f5c-0000-4000-8000-00000000000f"
GIB = 2**30
POLICIES = Policies(BackupPolicy(), PitrPolicy())
SOURCE = Source(UID, "shop-main", PROJ, "7312345678901234567-2", size_bytes=GIB)
SEEN = BackupSeen(source=SOURCE)
MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)


def backup(origin: str = "manual", method: str = "Logical", **spec: Any) -> Backup:
    return Backup.model_validate(
        {
            "metadata": {
                "name": "before-migration",
                "namespace": "team",
                "uid": OTHER,
                "generation": 1,
                "labels": {"postbase.sh/origin": origin},
            },
            "spec": {"databaseRef": {"name": "shop-main"}, "method": method} | spec,
        }
    )


ID = backup().id
STEM = LogicalStem(PROJ, "shop-main", ID)
FOLDER = PhysicalFolder(Archive(UID, SOURCE.incarnation), ID)
LOGICAL = {"timeline": None, "start_lsn": None, "stop_lsn": None, "checksums_verified": None}
DUMPED = record(id=ID, method="Logical", **LOGICAL)


def plan(seen: BackupSeen, held: Backup | None = None, now: datetime = NOW) -> BackupPlan:
    return plan_backup(held or backup(), seen, POLICIES, Limits(), now)


def after(made: BackupPlan, held: Backup | None = None) -> Backup:
    """The Backup once the status is written."""
    return (held or backup()).model_copy(update={"status": made.status})


def job(state: RunState, attempt: int = 1, **facts: Any) -> JobState:
    return JobState(attempt, state, **{"since": NOW} | facts)


def failed(reason: str, attempt: int = 1, at: datetime = NOW) -> JobState:
    return job(RunState.FAILED, attempt, ended_at=at, reason=reason, message="as it said")


def reason(made: BackupPlan) -> str:
    found = find_condition(made.status.conditions, "Ready")
    assert found is not None
    return found.reason


def message(made: BackupPlan) -> str:
    found = find_condition(made.status.conditions, "Ready")
    assert found is not None
    return found.message


def verdict(made: BackupPlan) -> KStatus:
    return kstatus(made.status.conditions, generation=1, observed=1, deleting=False)


STARTED = after(plan(SEEN))


def test_it_begins_and_notes_where_when_and_of_which_database() -> None:
    made = plan(SEEN)
    assert made.steps == (StartRun(1, until=NOW + HOUR),)
    status = made.status
    assert (status.phase, status.attempts, status.started_at) == ("Running", 1, NOW)
    assert status.id == ID
    assert status.database_uid == UID
    assert status.object_key == f"{STEM}.dump.gz"
    assert verdict(made) is KStatus.IN_PROGRESS
    physical = plan(SEEN, backup(method="Physical"))
    assert physical.status.object_key == str(FOLDER)


@pytest.mark.parametrize(
    ("size", "hours"), [(None, 24), (GIB, 1), (1024 * GIB, 1024 * GIB / (5 * 2**20) / 3600)]
)
def test_its_deadline_follows_the_size(size: int | None, hours: float) -> None:
    made = plan(replace(SEEN, source=replace(SOURCE, size_bytes=size)))
    assert made.steps == (StartRun(1, until=NOW + hours * HOUR),)


def test_a_look_after_a_kill_goes_on_with_the_run_that_is_there() -> None:
    made = plan(replace(SEEN, job=job(RunState.RUNNING)))
    assert made.steps == ()
    assert (made.status.phase, made.status.attempts) == ("Running", 1)
    assert made.status.object_key == f"{STEM}.dump.gz"
    assert made.status.started_at == NOW


def test_its_progress_is_told_in_tenths() -> None:
    def at(done: int, held: Backup) -> BackupPlan:
        said = Progress(phase=RunPart.COPYING, bytes_done=done, bytes_total=1000, at=NOW)
        return plan(replace(SEEN, job=job(RunState.RUNNING, progress=said)), held)

    first = at(15, STARTED)
    assert first.status.progress is not None
    assert (first.status.progress.phase, first.status.progress.percent) == ("Copying", 1)
    assert reason(first) == "Running"
    held = after(first)
    assert at(99, held).status == held.status  # nothing to write
    later = at(108, held).status.progress
    assert later is not None
    assert later.percent == 10
    assert at(50, after(at(108, held))).status.progress == later


def test_the_record_makes_it_complete_whatever_the_process_says() -> None:
    for state in (None, *RunState):
        seen = replace(SEEN, record=DUMPED, job=job(state) if state else None)
        made = plan(replace(seen, verified_at=NOW), STARTED)
        status = made.status
        assert status.phase == "Completed"
        assert (status.object_key, status.size_bytes) == (f"{STEM}.dump.gz", 1000)
        assert (status.version, status.sha256) == ("15.18", "2" * 64)
        assert status.duration_seconds == 180
        assert status.completed_at == DUMPED.completed_at
        assert status.verified_at == NOW
        assert status.progress is None
        assert verdict(made) is KStatus.CURRENT
        assert [(n.type, n.reason) for n in made.notices] == [("Normal", "Completed")]


def test_a_physical_one_tells_positions_and_damage() -> None:
    taken = record(id=ID, checksums_verified=False)
    made = plan(replace(SEEN, record=taken), backup(method="Physical", retentionDays=3))
    assert (made.status.timeline, made.status.stop_lsn) == (1, "0/2000100")
    assert made.status.expires_at == taken.completed_at + timedelta(days=3)
    assert made.status.checksums_verified is False
    assert is_true(made.status.conditions, "Degraded")
    assert made.status.object_key == str(FOLDER)


@pytest.mark.parametrize("held", ["Completed", "Failed"])
def test_what_has_ended_stays_so_and_what_still_runs_is_stopped(held: str) -> None:
    status = {"phase": held, "objectKey": f"{STEM}.dump.gz" if held == "Completed" else None}
    done = Backup.model_validate(backup().to_wire() | {"status": status})
    assert plan(SEEN, done) == BackupPlan(done.status)
    running = plan(replace(SEEN, job=job(RunState.RUNNING)), done)
    assert running.steps == ((StopRun(1),) if held == "Failed" else ())
    assert running.status == done.status


def test_a_later_verification_is_told() -> None:
    done = after(plan(replace(SEEN, record=DUMPED), STARTED))
    made = plan(replace(SEEN, verified_at=NOW), done)
    assert made.status == done.status.model_copy(update={"verified_at": NOW})


BLOCKED = [
    (BackupSeen(), "DatabaseNotFound"),
    (replace(SEEN, source=replace(SOURCE, project_id="")), "ProjectNotFound"),
    (replace(SEEN, hindrance=Trouble("QuotaExceeded", "no more Jobs")), "QuotaExceeded"),
    (replace(SEEN, store=Trouble("NoObjectStore", "there is none")), "NoObjectStore"),
    (replace(SEEN, store=Trouble("NoSuchBucket", "no bucket b")), "NoSuchBucket"),
    (replace(SEEN, record_unknown="no answer"), "StoreUnavailable"),
    (replace(SEEN, over_quota="11 of 10 GiB"), "PlanLimitExceeded"),
    (replace(SEEN, source=replace(SOURCE, is_running=False)), "DatabaseNotReady"),
]


@pytest.mark.parametrize(("seen", "why"), BLOCKED, ids=[why for _, why in BLOCKED])
def test_what_is_in_the_way_is_told_and_after_an_hour_it_fails(seen: BackupSeen, why: str) -> None:
    first = plan(seen)
    assert (first.status.phase, reason(first), first.steps) == ("Pending", why, ())
    assert verdict(first) is KStatus.IN_PROGRESS
    later = plan(seen, after(first), NOW + HOUR - MINUTE)
    assert later.status == first.status
    end = plan(seen, after(later), NOW + HOUR)
    assert (end.status.phase, reason(end)) == ("Failed", why)
    assert end.status.completed_at == NOW + HOUR
    assert verdict(end) is KStatus.FAILED
    assert find_condition(end.status.conditions, "Waiting") is None
    assert plan(SEEN, after(first)).steps == (StartRun(1, until=NOW + HOUR),)


def test_queuing_is_not_being_late_but_told_when_it_lasts() -> None:
    seen = replace(SEEN, queued="Waits for its turn")
    first = plan(seen)
    assert (first.status.phase, reason(first)) == ("Pending", "Queued")
    assert first.notices == ()
    later = plan(seen, after(first), NOW + 30 * HOUR)
    assert (later.status.phase, reason(later)) == ("Pending", "Queued")
    assert message(later) == "Waits for its turn. It has waited since 2026-11-23T12:00:00Z"
    again = plan(seen, after(later), NOW + 31 * HOUR)
    assert again.status == later.status
    # The hour of what is in the way begins when it is.
    blocked = plan(replace(seen, over_quota="11 of 10"), after(again), NOW + 32 * HOUR)
    assert blocked.status.phase == "Pending"
    assert plan(SEEN, after(blocked), NOW + 32 * HOUR).status.phase == "Running"


def test_a_database_that_is_deleted_ends_it_at_once() -> None:
    going = replace(SEEN, source=replace(SOURCE, is_deleting=True))
    other = replace(SEEN, source=replace(SOURCE, uid=OTHER))
    gone = replace(SEEN, source=None)
    assert reason(plan(going)) == "DatabaseDeleted"
    pending = after(plan(replace(SEEN, queued="later")))
    for seen in (going, other, gone):
        assert (plan(seen, pending).status.phase, reason(plan(seen, pending))) == (
            "Failed",
            "DatabaseDeleted",
        )
        running = plan(replace(seen, job=job(RunState.RUNNING)), STARTED)
        assert (running.status.phase, reason(running)) == ("Failed", "DatabaseDeleted")
        assert running.steps == (StopRun(1), AbortLeftovers(f"{STEM}.", needed=False))
    assert plan(going, backup("final")).status.phase == "Running"


@pytest.mark.parametrize("why", ["Evicted", "OOMKilled", "NodeLost", "DumpFailed", "NewWord", ""])
def test_another_try_is_made_after_a_while_in_a_clean_place(why: str) -> None:
    seen = replace(SEEN, job=failed(why))
    waits = plan(seen, STARTED, NOW + 20 * MINUTE / 60)
    assert (waits.status.phase, reason(waits), waits.steps) == ("Running", "Retrying", ())
    assert waits.requeue_after == 40
    again = plan(seen, after(waits), NOW + MINUTE)
    assert again.steps == (AbortLeftovers(f"{STEM}."), StartRun(2, until=NOW + HOUR))
    assert again.status.attempts == 2
    assert again.status.started_at == NOW


def test_the_third_failure_is_the_last() -> None:
    second = after(plan(replace(SEEN, job=failed("Evicted")), STARTED, NOW + MINUTE))
    third = plan(replace(SEEN, job=failed("Evicted", 2)), second, NOW + 5 * MINUTE)
    assert third.steps[-1] == StartRun(3, until=NOW + HOUR)
    end = plan(replace(SEEN, job=failed("Evicted", 3)), after(third), NOW + 6 * MINUTE)
    assert (end.status.phase, reason(end), end.status.attempts) == ("Failed", "Evicted", 3)
    assert end.steps == (AbortLeftovers(f"{STEM}.", needed=False),)
    assert end.status.object_key is None
    assert [(n.type, n.reason) for n in end.notices] == [("Warning", "Evicted")]


@pytest.mark.parametrize(
    "why", ["Denied", "NoSuchBucket", "UnsupportedTablespaces", "DeadlineExceeded"]
)
def test_what_a_person_must_change_is_not_tried_again(why: str) -> None:
    end = plan(replace(SEEN, job=failed(why)), STARTED)
    assert (end.status.phase, reason(end)) == ("Failed", why)
    assert message(end).startswith("as it said. ")


def test_a_step_that_is_refused_is_told_and_does_not_stop_the_clock() -> None:
    seen = replace(SEEN, hindrance=Trouble("QuotaExceeded", "no more Jobs"))
    made = plan(seen, STARTED, NOW + MINUTE)
    assert (made.status.phase, reason(made), made.steps) == ("Running", "QuotaExceeded", ())
    assert made.status.attempts == 1
    assert plan(seen, after(made), NOW + HOUR).status.phase == "Failed"


def test_a_project_that_is_away_for_a_moment_stops_nothing() -> None:
    away = replace(SEEN, source=replace(SOURCE, project_id=""), job=job(RunState.RUNNING))
    made = plan(away, STARTED)
    assert made.status.phase == "Running"
    assert made.status.object_key == f"{STEM}.dump.gz"


def test_a_run_that_vanished_is_begun_anew() -> None:
    made = plan(SEEN, STARTED, NOW + MINUTE)
    assert made.steps == (AbortLeftovers(f"{STEM}."), StartRun(2, until=NOW + HOUR))
    last = STARTED.model_copy(update={"status": STARTED.status.model_copy(update={"attempts": 3})})
    assert reason(plan(SEEN, last)) == "RunLost"


def test_success_without_a_record_is_none() -> None:
    ended = job(RunState.SUCCEEDED, ended_at=NOW)
    made = plan(replace(SEEN, job=ended), STARTED)
    assert (reason(made), made.steps) == ("Retrying", ())
    assert "RecordMissing" in message(made)


@pytest.mark.parametrize("state", [None, RunState.SUCCEEDED, RunState.FAILED])
def test_while_the_store_cannot_be_asked_nothing_is_given_up(state: RunState | None) -> None:
    ended = job(state, 3, ended_at=NOW) if state else None
    seen = replace(SEEN, record_unknown="no answer", job=ended)
    made = plan(seen, STARTED, NOW + 59 * MINUTE)
    assert (made.status.phase, reason(made), made.steps) == ("Running", "StoreUnavailable", ())
    end = plan(seen, after(made), NOW + HOUR)
    assert (end.status.phase, reason(end)) == ("Failed", "DeadlineExceeded")
    assert end.steps == ()  # it may be complete: nothing of it is deleted


def test_a_pod_that_does_not_start_holds_its_place_for_an_hour() -> None:
    long = replace(SOURCE, size_bytes=None)
    stuck = job(RunState.WAITING, reason="Unschedulable", message="0/1 nodes are available")
    seen = replace(SEEN, source=long, job=stuck)
    made = plan(seen, STARTED, NOW + 59 * MINUTE)
    assert (made.status.phase, reason(made)) == ("Running", "Starting")
    assert message(made) == "0/1 nodes are available"
    end = plan(seen, STARTED, NOW + HOUR)
    assert (end.status.phase, reason(end)) == ("Failed", "Unschedulable")
    assert end.steps == (StopRun(1), AbortLeftovers(f"{STEM}.", needed=False))


def test_the_deadline_ends_what_hangs() -> None:
    seen = replace(SEEN, job=job(RunState.RUNNING))
    before = plan(seen, STARTED, NOW + HOUR - timedelta(seconds=5))
    assert before.status.phase == "Running"
    assert before.requeue_after == 5
    end = plan(seen, STARTED, NOW + HOUR)
    assert (end.status.phase, reason(end)) == ("Failed", "DeadlineExceeded")
    assert end.steps == (StopRun(1), AbortLeftovers(f"{STEM}.", needed=False))


def mark() -> FinishedRun:
    return FinishedRun(
        kind=RunKind.BACKUP,
        name="before-migration",
        spec_hash=wish(backup()),
        completed_at=DUMPED.completed_at,
    )


def test_one_that_git_brought_back_is_complete_without_a_run() -> None:
    earlier = record(method="Logical", **LOGICAL)
    made = plan(replace(SEEN, source=None, done=mark(), done_record=earlier))
    assert (made.status.phase, made.steps) == ("Completed", ())
    assert made.status.id == ID
    assert made.status.object_key == earlier.place.object_key  # of its earlier life
    assert verdict(made) is KStatus.CURRENT


def test_one_that_came_back_without_its_bytes_says_so_and_runs_no_more() -> None:
    made = plan(replace(SEEN, done=mark()))
    assert (made.status.phase, reason(made), made.steps) == ("Completed", "Expired", ())
    assert made.status.object_key is None
    assert made.status.completed_at == DUMPED.completed_at
    unknown = plan(replace(SEEN, done=mark(), record_unknown="no answer"))
    assert unknown.status.phase == "Pending"


def deleted(held: Backup, policy: str = "Retain") -> Backup:
    changes = {
        "spec": held.spec.model_validate({**held.spec.to_wire(), "deletionPolicy": policy}),
        "metadata": ObjectMeta(**{**dict(held.metadata), "deletion_timestamp": NOW}),
    }
    return held.model_copy(update=changes)


COMPLETE = after(plan(replace(SEEN, record=DUMPED), STARTED))


def test_deleted_it_leaves_its_bytes_or_takes_them_with_it() -> None:
    assert plan(SEEN, deleted(COMPLETE)).steps == (Release(),)
    gone = plan(BackupSeen(), deleted(COMPLETE, "Delete"))
    assert gone.steps == (DeleteBytes(f"{STEM}."), Release())


def test_retention_takes_the_bytes_where_it_says_so_right_before() -> None:
    """Not in the spec, which is Git's; and what it had said of one that was kept counts no more."""

    def ended(said: timedelta) -> BackupPlan:
        status = COMPLETE.status.model_copy(update={"expired_at": NOW + said})
        return plan(SEEN, deleted(COMPLETE.model_copy(update={"status": status})))

    bytes_too = (DeleteBytes(f"{STEM}."), Release())
    assert ended(-MINUTE).steps == ended(5 * MINUTE).steps == bytes_too
    assert ended(-120 * MINUTE).steps == (Release(),)


def test_bytes_that_a_window_needs_outlast_the_wish_to_delete_them() -> None:
    made = plan(replace(SEEN, is_needed=True), deleted(COMPLETE, "Delete"))
    assert (made.steps, reason(made)) == ((), "NeededForRecovery")
    assert made.requeue_after
    kept = plan(replace(SEEN, is_needed=True), deleted(COMPLETE))
    assert kept.steps == (Release(),)


def test_with_its_namespace_it_goes_at_once_and_its_bytes_stay() -> None:
    seen = BackupSeen(namespace_going=True, is_needed=True, job=job(RunState.RUNNING))
    assert plan(seen, deleted(COMPLETE, "Delete")).steps == (StopRun(1), Release())


def test_deleted_while_it_runs_it_is_stopped_first() -> None:
    seen = replace(SEEN, job=job(RunState.RUNNING))
    assert plan(seen, deleted(STARTED)).steps == (StopRun(1),)
    stopping = replace(SEEN, job=job(RunState.STOPPING))
    assert plan(stopping, deleted(STARTED)).steps == ()
    ended = (AbortLeftovers(f"{STEM}.", needed=False), Release())
    assert plan(stopping, deleted(STARTED), NOW + 5 * MINUTE).steps == ended  # a lost node
    assert plan(SEEN, deleted(STARTED)).steps == ended
    bytes_too = (DeleteBytes(f"{STEM}."), Release())
    assert plan(SEEN, deleted(STARTED, "Delete")).steps == bytes_too
    assert plan(SEEN, deleted(backup())).steps == (Release(),)
