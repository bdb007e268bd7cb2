"""A restore from the first look to the last: what is done, what is told, what is left alone."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from postbase_operator.api.backup import Backup
from postbase_operator.api.conditions import find_condition
from postbase_operator.api.database import Database
from postbase_operator.api.pitr_restore import PitrRestore
from postbase_operator.api.runs import RunPhase
from postbase_operator.errors import InvalidSpec
from postbase_operator.planning import plan as steps
from postbase_operator.planning.backup_observed import JobState, RunState
from postbase_operator.planning.observed import Fill, Observed, Volume, VolumeRole
from postbase_operator.planning.restore import hindered, plan_restore
from postbase_operator.planning.restore_done import remember
from postbase_operator.planning.restore_seen import RestoreSeen
from unit.conftest import NOW, database
from unit.planning.test_database import CURRENT, FACTS, HEALTHY, kinds, plan, verdict

BACKUP_UID = "4b1e4f5c-0000-4000-8000-00000000000b"
RESTORE_UID = "5c1e4f5c-0000-4000-8000-00000000000c"
KEY = f"v1/{CURRENT.database_uid}/{FACTS.system_id}-1/base/bkp_{'a' * 26}/"
NEXT = replace(
    CURRENT, name="shop-main-1-2", generation=2, role=VolumeRole.FILLING, restore=RESTORE_UID
)
ON_FIRST = replace(HEALTHY.process, claim=CURRENT.name)


def backup(**status: Any) -> Backup:
    told = {
        "phase": "Completed",
        "objectKey": KEY,
        "version": "15.18",
        "databaseUID": CURRENT.database_uid,
        "id": f"bkp_{'a' * 26}",
        "completedAt": "2026-11-23T03:00:00Z",
        "sizeBytes": 4077910,
    } | status
    return Backup.model_validate(
        {
            "metadata": {"name": "nightly", "namespace": "team", "uid": BACKUP_UID},
            "spec": {"databaseRef": {"name": "shop-main"}, "method": "Physical"},
            "status": told,
        }
    )


def served() -> Database:
    return database().model_copy(update={"status": plan(HEALTHY).status})


def restore(status: Any = None, **spec: Any) -> PitrRestore:
    wanted = {
        "databaseRef": {"name": "shop-main"},
        "source": {"backupRef": {"name": "nightly"}},
        "target": {"inPlace": {}},
    } | spec
    made = PitrRestore.model_validate(
        {
            "metadata": {"name": "back", "namespace": "team", "uid": RESTORE_UID, "generation": 1},
            "spec": wanted,
        }
    )
    return made if status is None else made.model_copy(update={"status": status})


def seen(*volumes: Volume, **more: Any) -> Observed:
    return replace(HEALTHY, process=ON_FIRST, volumes=volumes or (CURRENT,), **more)


def look(wish: PitrRestore, observed: Observed, **more: Any) -> Any:
    at = more.pop("at", NOW)
    known: dict[str, Any] = {"db": served(), "seen": observed, "backup": backup()} | more
    return plan_restore(wish, RestoreSeen(**known), at)


def reason(made: Any) -> str:
    ready = find_condition(made.status.conditions, "Ready")
    assert ready is not None
    return ready.reason


def begun() -> PitrRestore:
    return restore(look(restore(), seen()).status)


def fill(state: RunState, attempt: int = 1, **more: Any) -> Fill:
    system_id = more.pop("system_id", "")
    return Fill(NEXT.name, JobState(attempt, state, NOW, **more), system_id)


def test_the_plan_is_written_down_before_anything_is_touched() -> None:
    made = look(restore(), seen())
    assert made.steps == ()
    assert made.status.phase is RunPhase.RUNNING
    assert made.status.plan.backup_id == f"bkp_{'a' * 26}"
    assert any("previous" in warning for warning in made.status.plan.warnings)


def test_a_dry_run_only_plans() -> None:
    made = look(restore(dryRun=True), seen())
    assert (made.steps, made.status.phase) == ((), RunPhase.COMPLETED)
    assert made.status.plan is not None
    assert remember((), [restore(made.status, dryRun=True)]) == ()


def test_in_place_a_volume_is_filled_beside_the_one_that_serves() -> None:
    made = look(begun(), seen())
    assert made.steps == (steps.CreateVolume(2, restore=RESTORE_UID),)
    made = look(begun(), seen(CURRENT, NEXT))
    assert made.steps == (steps.FillVolume(NEXT.name, RESTORE_UID, KEY, 1),)
    made = look(begun(), seen(CURRENT, NEXT, fill=fill(RunState.RUNNING)))
    assert made.steps == ()
    beside = plan(seen(CURRENT, NEXT), restores=(begun(),))
    assert not {"PromoteVolume", "FailVolume"} & set(kinds(beside))  # the Database lets it be


def test_what_is_brought_back_as_it_was_takes_a_timeline_that_its_archive_does_not_have() -> None:
    """Its own log, and no more; which numbers are taken the archive says."""
    known = {"backup": backup(timeline=2, startLSN="0/5000028", stopLSN="0/6000000")}
    wish = restore(look(restore(), seen(), **known).status)
    (step,) = look(wish, seen(CURRENT, NEXT), **known).steps
    assert step.object_key == KEY
    assert (step.recovery.timeline, step.recovery.end) == (2, "0/6000000")
    assert (step.recovery.alone, step.recovery.keeps_archive) == (True, True)
    assert (step.recovery.target_timeline, step.recovery.stop_at) == ("current", None)


def test_a_volume_whose_restore_is_gone_goes_too() -> None:
    assert steps.FailVolume(NEXT.name) in plan(seen(CURRENT, NEXT)).steps


def test_a_run_whose_volume_went_as_it_began_ends() -> None:
    stray = replace(seen(CURRENT), stray_fills=(f"{NEXT.name}-5c1e4f5c-1",))
    assert steps.EndFill(f"{NEXT.name}-5c1e4f5c-1") in plan(stray).steps


def test_it_is_switched_over_once_the_copy_is_recovered_and_done_once_it_answers() -> None:
    whole = fill(RunState.SUCCEEDED, system_id=FACTS.system_id)
    made = look(begun(), seen(CURRENT, NEXT, fill=whole))
    (promote,) = made.steps
    assert promote.volume == NEXT.name
    assert promote.keep_until == NOW + timedelta(hours=24)

    left = replace(CURRENT, role=VolumeRole.PREVIOUS, delete_after=NOW + timedelta(hours=24))
    serves = replace(NEXT, role=VolumeRole.CURRENT)
    moving = seen(left, serves)
    assert look(begun(), moving).status.phase is RunPhase.RUNNING
    db = plan(moving)
    assert verdict(db)[:2] == ("Restoring", "Switching")
    assert kinds(db)[-2:] == ["ApplyWorkload", "RestartProcess"]
    assert db.steps[-2].volume == NEXT.name  # type: ignore[union-attr]

    moved = replace(moving, process=replace(ON_FIRST, claim=NEXT.name))
    done = look(begun(), moved)
    assert done.status.phase is RunPhase.COMPLETED
    assert done.status.previous_volume.claim_name == CURRENT.name
    assert "RestartProcess" not in kinds(plan(moved))


def test_a_kill_between_the_two_marks_is_mended() -> None:
    both = seen(CURRENT, replace(NEXT, role=VolumeRole.CURRENT))
    assert isinstance(look(begun(), both).steps[0], steps.PromoteVolume)


def test_what_fails_is_tried_again_or_given_up_and_changes_nothing() -> None:
    late = NOW - timedelta(minutes=10)
    failed = fill(RunState.FAILED, reason="Evicted", ended_at=late)
    assert look(begun(), seen(CURRENT, NEXT, fill=failed)).steps[0].attempt == 2
    for last in (
        fill(RunState.FAILED, reason="ChecksumMismatch", ended_at=late),
        fill(RunState.FAILED, attempt=3, reason="Evicted", ended_at=late),
    ):
        made = look(begun(), seen(CURRENT, NEXT, fill=last))
        assert made.steps == (steps.FailVolume(NEXT.name),)
        assert made.status.phase is RunPhase.FAILED
        assert verdict(plan(seen(CURRENT, NEXT, fill=last)))[1] == "Running"


def test_an_undo_brings_the_previous_volume_back_and_undoes_itself_again() -> None:
    wish: dict[str, Any] = {"source": {"previous": {}}}
    assert reason(look(restore(**wish), seen())) == "NoPreviousVolume"
    left = replace(CURRENT, role=VolumeRole.PREVIOUS, delete_after=NOW)
    serves = replace(NEXT, role=VolumeRole.CURRENT, restore="another")
    now = seen(left, serves)
    planned = restore(look(restore(**wish), now).status, **wish)
    (promote,) = look(planned, now).steps
    assert promote.volume == CURRENT.name
    assert promote.system_id == CURRENT.system_id
    half = seen(replace(left, role=VolumeRole.CURRENT, restore=RESTORE_UID), serves)
    assert look(planned, half).steps[0].volume == CURRENT.name  # the higher one still counts
    swapped = seen(
        replace(left, role=VolumeRole.CURRENT, restore=RESTORE_UID),
        replace(serves, role=VolumeRole.PREVIOUS),
    )
    assert look(planned, swapped).status.phase is RunPhase.COMPLETED
    assert "RestartProcess" not in kinds(plan(swapped))


@pytest.mark.parametrize(
    ("told", "spec", "said"),
    [
        ({"phase": "Failed"}, {}, "NoBaseBackup"),
        ({"objectKey": None}, {}, "NoBaseBackup"),
        ({"version": "14.2"}, {}, "VersionMismatch"),
        ({"databaseUID": "other"}, {}, "OtherDatabase"),
    ],
)
def test_what_cannot_be_is_refused_before_anything_is_touched(
    told: dict[str, Any], spec: dict[str, Any], said: str
) -> None:
    made = look(restore(**spec), seen(), backup=backup(**told))
    assert (made.steps, reason(made)) == ((), said)
    assert made.status.phase is RunPhase.FAILED


def test_one_at_a_time_the_one_that_has_begun_first() -> None:
    other = begun().model_copy(
        update={"metadata": begun().metadata.model_copy(update={"name": "another"})}
    )
    assert reason(look(restore(), seen(), others=[other])) == "Queued"
    assert look(begun(), seen(), others=[begun()]).steps


def test_what_comes_back_from_git_runs_nothing() -> None:
    done = restore(begun().status.model_copy(update={"phase": RunPhase.COMPLETED}))
    db = served()
    runs = remember((), [done])
    marked = db.model_copy(update={"status": db.status.model_copy(update={"finished_runs": runs})})
    made = look(restore(), seen(), db=marked)
    assert (made.steps, reason(made)) == ((), "DoneBefore")
    assert remember(runs, [done]) == runs


def test_into_a_new_database_it_is_made_like_the_source_and_waited_for() -> None:
    target = {"target": {"newDatabase": {"name": "copy", "size": "3Gi"}}}
    planned = restore(look(restore(**target), seen()).status, **target)
    (make,) = look(planned, seen()).steps
    spec = make.database.spec
    assert spec.bootstrap.backup_ref.name == "nightly"
    assert (spec.storage.size, spec.postgres_version) == ("3Gi", "15")
    stranger = database("copy")
    assert reason(look(restore(**target), seen(), made=stranger)) == "NameTaken"
    ready = make.database.model_copy(update={"status": plan(HEALTHY).status})
    ready = ready.model_copy(
        update={"metadata": ready.metadata.model_copy(update={"generation": 3})}
    )
    assert look(planned, seen(), made=ready).status.phase is RunPhase.COMPLETED


def test_a_new_database_begins_with_its_backup_and_never_empty() -> None:
    db = database(bootstrap={"backupRef": {"name": "nightly"}})
    nothing = Observed(wanted_revision="r1")
    assert verdict(plan(nothing, db))[:2] == ("Pending", "BackupNotFound")
    begins = replace(nothing, source_backup=backup())
    made = plan(begins, db)
    assert kinds(made) == ["EnsureSecrets", "CreateVolume"]
    assert made.steps[1].restore == db.metadata.uid  # type: ignore[union-attr]
    mine = replace(NEXT, generation=1, restore=db.metadata.uid, system_id="")
    filling = replace(begins, volumes=(mine,))
    assert kinds(plan(filling, db))[-1] == "FillVolume"
    assert "ApplyWorkload" not in kinds(plan(filling, db))
    whole = replace(filling, fill=fill(RunState.SUCCEEDED, system_id="77"))
    (*_, promote) = plan(whole, db).steps
    assert promote == steps.PromoteVolume(mine.name, "77", db.metadata.uid)
    broken = replace(filling, fill=fill(RunState.FAILED, reason="ChecksumMismatch"))
    assert verdict(plan(broken, db))[:2] == ("Failed", "ChecksumMismatch")
    old = replace(begins, source_backup=backup(version="14.2"))
    assert verdict(plan(old, db))[1] == "VersionMismatch"


def test_what_hinders_a_step_is_told_and_ends_nothing() -> None:
    told = hindered(begun(), InvalidSpec("spec.objectStore", "there is none", "NoObjectStore"), NOW)
    assert reason(told) == "NoObjectStore"
    assert told.status.phase is RunPhase.RUNNING
    assert told.steps == ()
