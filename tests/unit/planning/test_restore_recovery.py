"""Restores out of the archive: what is planned, told, refused; and latest, which loses nothing."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from postbase_operator.api.pitr_restore import PitrRestore
from postbase_operator.api.restore_status import RestorePlan, RestoreStep
from postbase_operator.api.runs import RunPhase
from postbase_operator.archive.lsn import Lsn
from postbase_operator.archive.run import RecoveryProgress
from postbase_operator.planning import plan as steps
from postbase_operator.planning.archived import Offer, Stopped, Wish, falls_short, task_of
from postbase_operator.planning.backup_observed import RunState
from postbase_operator.planning.observed import Fill, Process, ProcessState
from postbase_operator.planning.restore_recovery import FLUSH_PATIENCE, holds, wish_of
from unit.conftest import NOW
from unit.planning.test_database import CURRENT, kinds, plan
from unit.planning.test_filling import KEY, NEXT, RESTORE_UID, fill, look, reason, restore, seen

PAST = NOW - timedelta(hours=1)
TO_TIME = {"targetTime": PAST.isoformat()}
PLAN = RestorePlan(
    backup_id=f"bkp_{'a' * 26}",
    object_key=KEY,
    target_time=PAST,
    target_lsn="0/5000000",
    stop_at=PAST,
    last_commit_time=PAST - timedelta(seconds=1),
    timelines=(1, 2),
    bytes=1000,
    log_bytes=2**30,
    wal_files=10,
)
OFFER = Offer(PLAN, version="15.18")
ABSENT = Process(state=ProcessState.ABSENT)


def wish(source: Any = None, **spec: Any) -> PitrRestore:
    made = restore(source=source or TO_TIME, **spec)
    metadata = made.metadata.model_copy(update={"creation_timestamp": NOW})
    return made.model_copy(update={"metadata": metadata})


def begun(source: Any = None, **spec: Any) -> PitrRestore:
    return told(wish(source, **spec), look(wish(source, **spec), seen(), offer=OFFER).status)


def told(made: PitrRestore, status: Any) -> PitrRestore:
    return made.model_copy(update={"status": status})


def running(files: int = 0, *, waits: bool = False) -> Fill:
    progress = RecoveryProgress(wal_files=files, bytes=files * 10, waits=waits, at=NOW)
    return replace(fill(RunState.RUNNING), recovers=True, progress=progress)


def test_the_plan_says_all_of_it_before_anything_is_touched() -> None:
    made = look(wish(), seen(), offer=OFFER)
    assert made.steps == ()
    assert made.status.plan.last_commit_time == PLAN.last_commit_time
    assert any("previous" in each for each in made.status.plan.warnings)
    dry = look(wish(dryRun=True), seen(), offer=OFFER)
    assert (dry.status.phase, dry.steps) == (RunPhase.COMPLETED, ())


def test_the_volume_is_filled_and_recovered_along_the_plan() -> None:
    made = look(begun(), seen(CURRENT, NEXT))
    (step,) = made.steps
    assert step.object_key == KEY
    assert step.recovery == task_of(PLAN, RESTORE_UID, in_place=True)
    assert (step.recovery.timeline, step.recovery.end) == (2, "0/5000000")
    assert (step.recovery.stop_at, step.recovery.keeps_archive) == (PAST, True)


@pytest.mark.parametrize("after", [0, 59, 61])
def test_what_the_archive_does_not_cover_yet_is_waited_for_a_minute(after: int) -> None:
    later = Offer(reason="TargetAfterWindow", message="… to 12:00", passing=True)
    made = look(wish(), seen(), offer=later, at=NOW + timedelta(seconds=after))
    if after < 60:
        assert (made.status.phase, reason(made)) == (RunPhase.PENDING, "WaitingForArchive")
        assert made.requeue_after is not None
    else:
        assert (made.status.phase, reason(made)) == (RunPhase.FAILED, "TargetAfterWindow")
    assert made.steps == ()


def test_a_hole_that_is_being_filled_is_waited_for_by_one_that_had_to_wait_its_turn() -> None:
    """By the archive's word, which soon is another: no minute of ours is counted."""
    filling = Offer(reason="WalGap", message="a hole at 0/3", passing=True)
    made = look(wish(), seen(), offer=filling, at=NOW + timedelta(minutes=9))
    assert (made.status.phase, reason(made)) == (RunPhase.PENDING, "WaitingForArchive")
    made = look(wish(), seen(), offer=replace(filling, passing=False))
    assert (made.status.phase, reason(made)) == (RunPhase.FAILED, "WalGap")


@pytest.mark.parametrize("said", ["TargetBeforeWindow", "WalGap", "NoBaseBackup"])
def test_what_cannot_be_fails_at_once_with_the_window(said: str) -> None:
    made = look(wish(), seen(), offer=Offer(reason=said, message="what can be is 1 to 2"))
    assert (made.status.phase, reason(made), made.steps) == (RunPhase.FAILED, said, ())


def test_an_archive_of_another_major_is_refused_in_place() -> None:
    made = look(wish(), seen(), offer=replace(OFFER, version="14.2"))
    assert reason(made) == "VersionMismatch"


def test_a_new_database_gets_the_same_wish() -> None:
    target = {"newDatabase": {"name": "twin"}}
    made = look(begun(target=target), seen())
    (step,) = made.steps
    origin = step.database.spec.bootstrap.restore
    assert origin.from_.database_uid == CURRENT.database_uid
    assert (origin.target_time, origin.latest) == (PAST, None)
    again = look(begun(target=target), seen(), made=step.database)
    assert again.steps == ()  # its own, made by a look before this one


def test_progress_moves_with_the_files_and_tells_when_it_ends() -> None:
    asked = begun()
    few = look(asked, seen(CURRENT, NEXT, fill=running(1))).status.progress
    most = look(asked, seen(CURRENT, NEXT, fill=running(9))).status.progress
    assert (few.step, few.wal_files_done, few.bytes_done) == (RestoreStep.RECOVERING, 1, 10)
    assert few.percent < most.percent < 85
    assert asked.status.plan is not None
    seconds = asked.status.plan.estimated_seconds or 0
    assert most.estimated_completion_time == NOW + timedelta(seconds=seconds)


def test_what_falls_short_of_the_plan_is_not_switched_to() -> None:
    early = (PAST - timedelta(seconds=2)).isoformat()
    done = replace(fill(RunState.SUCCEEDED, system_id=CURRENT.system_id), last_commit=early)
    made = look(begun(), seen(CURRENT, NEXT, fill=done))
    assert (made.status.phase, reason(made)) == (RunPhase.FAILED, "RecoveryFailed")
    assert made.steps == (steps.FailVolume(NEXT.name),)


def test_what_goes_beyond_the_target_is_not_switched_to() -> None:
    task = task_of(PLAN, RESTORE_UID, in_place=True)
    assert falls_short(task, (PAST + timedelta(seconds=1)).isoformat())
    assert not falls_short(task, str(PLAN.last_commit_time))
    assert not falls_short(task, "")
    assert not falls_short(None, "2026-11-28 01:40:10+00")


# -- latest, in place ----------------------------------------------------------------------

LATEST: dict[str, Any] = {"latest": {}}


def stopping() -> PitrRestore:
    asked = begun(LATEST)
    return told(asked, look(asked, seen(CURRENT, NEXT, fill=running(9, waits=True))).status)


def test_latest_follows_the_log_while_the_database_serves() -> None:
    made = look(begun(LATEST), seen(CURRENT, NEXT))
    assert made.steps[0].recovery.end is None
    made = look(begun(LATEST), seen(CURRENT, NEXT, fill=running(5)))
    assert (made.steps, made.status.progress.step) == ((), RestoreStep.RECOVERING)
    assert not holds([told(begun(LATEST), made.status)])


def test_when_it_has_caught_up_postgresql_is_stopped() -> None:
    asked = stopping()
    assert asked.status.progress is not None
    assert asked.status.progress.step is RestoreStep.STOPPING
    assert holds([asked])
    beside = plan(seen(CURRENT, NEXT), restores=(asked,))
    assert kinds(beside) == ["ApplyWorkload"]
    assert beside.steps[0].stopped  # type: ignore[union-attr]  # it is the one above
    assert str(beside.status.phase) == "Restoring"


def test_it_stays_stopped_until_the_run_has_ended_however_its_pod_looks() -> None:
    """One look at a pod that has just ended, and PostgreSQL would write beyond the pinned end."""
    for between in (fill(RunState.RUNNING), fill(RunState.STOPPING), fill(RunState.WAITING)):
        made = look(stopping(), seen(CURRENT, NEXT, fill=between))
        assert made.status.progress.step is RestoreStep.STOPPING
        assert holds([told(stopping(), made.status)])
    done = fill(RunState.SUCCEEDED, system_id=CURRENT.system_id)
    made = look(stopping(), seen(CURRENT, NEXT, fill=done))
    assert [type(each) for each in made.steps] == [steps.PromoteVolume]


@pytest.mark.parametrize("ended", [None, fill(RunState.SUCCEEDED)])
def test_a_run_that_is_lost_while_it_is_stopped_is_not_begun_anew(ended: Fill | None) -> None:
    made = look(stopping(), seen(CURRENT, NEXT, fill=ended))
    assert (made.status.phase, reason(made)) == (RunPhase.FAILED, "RecoveryFailed")


def test_the_log_is_pinned_at_the_servers_last_word() -> None:
    still = look(stopping(), seen(CURRENT, NEXT, fill=running(9)))
    assert still.steps == ()  # it has not ended yet
    ended = replace(seen(CURRENT, NEXT, fill=running(9)), process=ABSENT, server=None)
    not_yet = look(stopping(), ended, stopped=Stopped(Lsn(10), cleanly=False))
    assert not_yet.steps == ()
    made = look(stopping(), ended, stopped=Stopped(Lsn.parse("0/6000100"), cleanly=True))
    (pin,) = made.steps
    assert (pin.end, str(pin.key)) == ("0/6000100", f"{KEY[: KEY.index('base/')]}restores/"
                                       f"{RESTORE_UID}/end.json")  # fmt: skip


def test_an_archive_that_never_gets_the_end_lets_the_database_serve_on() -> None:
    ended = replace(seen(CURRENT, NEXT, fill=running(9)), process=ABSENT, server=None)
    at = NOW + FLUSH_PATIENCE + timedelta(seconds=1)
    made = look(stopping(), ended, stopped=Stopped(Lsn(10), cleanly=False), at=at)
    assert (made.status.phase, reason(made)) == (RunPhase.FAILED, "FlushPending")
    assert not holds([told(stopping(), made.status)])


def test_a_run_that_fails_after_the_end_was_said_is_not_tried_again() -> None:
    """PostgreSQL would serve meanwhile, and write beyond that end."""
    broken = fill(RunState.FAILED, reason="StoreUnavailable", message="gone")
    made = look(stopping(), seen(CURRENT, NEXT, fill=broken))
    assert (made.status.phase, reason(made)) == (RunPhase.FAILED, "RecoveryFailed")
    retried = look(begun(), seen(CURRENT, NEXT, fill=broken))
    assert retried.status.phase is RunPhase.RUNNING


def test_a_restore_that_is_deleted_lets_go_of_the_database() -> None:
    asked = stopping()
    metadata = asked.metadata.model_copy(update={"deletion_timestamp": NOW})
    assert not holds([asked.model_copy(update={"metadata": metadata})])


@pytest.mark.parametrize(
    ("source", "wanted"),
    [
        (TO_TIME, Wish(time=PAST)),
        ({"lsn": "0/10"}, Wish(lsn=Lsn(16))),
        (LATEST, Wish()),
        ({"previous": {}}, None),
    ],
)
def test_what_the_archive_is_asked(source: Any, wanted: Wish | None) -> None:
    assert wish_of(restore(source=source).spec.source) == wanted
