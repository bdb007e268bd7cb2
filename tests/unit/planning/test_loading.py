"""A restore of a logical backup: beside what serves, by a change of names, and back."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from postbase_operator.api.backup import Backup
from postbase_operator.api.pitr_restore import PitrRestore
from postbase_operator.api.restore_status import PreviousDatabase, PreviousVolume
from postbase_operator.api.runs import RunPhase
from postbase_operator.archive import copies
from postbase_operator.archive.copies import CopyKind
from postbase_operator.planning import plan as steps
from postbase_operator.planning.backup_failure import back_off
from postbase_operator.planning.backup_observed import JobState, RunState
from postbase_operator.planning.loading import FULL
from postbase_operator.planning.observed import Load, Observed, Server, VolumeRole
from unit.conftest import NOW, UID, database
from unit.planning.test_database import CURRENT, FACTS, GIB, HEALTHY, kinds, plan, verdict
from unit.planning.test_filling import BACKUP_UID, RESTORE_UID, look, reason, restore

HOUR = timedelta(hours=1)
LIMIT = int(GIB * FULL)
KEY = f"proj_{'a' * 26}/shop-main/bkp_{'a' * 26}.dump.gz"
SCRATCH, WHOLE = copies.restoring(RESTORE_UID), copies.restored(RESTORE_UID)
FORMER = copies.before(RESTORE_UID, NOW + 24 * HOUR)
UNDO_UID = "6d1e4f5c-0000-4000-8000-00000000000d"
UNDO: Any = {"source": {"previous": {}}}


def dump(version: str = "15.18", **status: Any) -> Backup:
    told = {
        "phase": "Completed",
        "objectKey": KEY,
        "version": version,
        "databaseUID": CURRENT.database_uid,
        "id": f"bkp_{'a' * 26}",
        "completedAt": "2026-11-23T03:00:00Z",
        "sizeBytes": 4077910,
    } | status
    return Backup.model_validate(
        {
            "metadata": {"name": "nightly", "namespace": "team", "uid": BACKUP_UID},
            "spec": {"databaseRef": {"name": "shop-main"}, "method": "Logical"},
            "status": told,
        }
    )


def server(*names: str, size: int = 0, **more: Any) -> Server:
    held = tuple((name, size) for name in names)
    return Server(replace(FACTS, copies=held), **({"access_right": True} | more))


def seen(*names: str, loads: tuple[Load, ...] = (), **more: Any) -> Observed:
    return replace(HEALTHY, server=server(*names, **more), loads=loads)


def load(state: RunState, attempt: int = 1, uid: str = RESTORE_UID, **more: Any) -> Load:
    generation = more.pop("generation", 0)
    return Load(copies.mark(uid), JobState(attempt, state, NOW, **more), generation)


def see(wish: PitrRestore, observed: Observed, **more: Any) -> Any:
    return look(wish, observed, **({"backup": dump()} | more))


def begun() -> PitrRestore:
    return restore(see(restore(), seen()).status)


def undo(status: Any = None) -> PitrRestore:
    made = restore(status, **UNDO)
    metadata = made.metadata.model_copy(update={"uid": UNDO_UID, "name": "undo"})
    return made.model_copy(update={"metadata": metadata})


# -- in place ------------------------------------------------------------------------------------


def test_it_is_filled_beside_and_takes_the_name_once_it_is_whole() -> None:
    made = see(begun(), seen())
    assert made.steps == (steps.LoadBackup(RESTORE_UID, KEY, 1, WHOLE, LIMIT),)
    made = see(begun(), seen(SCRATCH, loads=(load(RunState.RUNNING),), size=123456))
    assert made.steps == ()
    assert made.status.progress.bytes_done == 120000
    made = see(begun(), seen(WHOLE, loads=(load(RunState.RUNNING),)))
    assert made.steps == (steps.SwapDatabases(WHOLE, FORMER),)
    made = see(begun(), seen(FORMER))
    assert (made.steps, made.status.phase) == ((), RunPhase.COMPLETED)
    assert made.status.previous_database == PreviousDatabase(
        name=FORMER, kept_until=NOW + 24 * HOUR
    )
    assert made.status.previous_volume is None


def test_a_job_or_a_status_that_is_lost_costs_nothing() -> None:
    assert see(begun(), seen(WHOLE)).steps == (steps.SwapDatabases(WHOLE, FORMER),)
    fresh = see(restore(), seen(FORMER))  # planned anew, with nothing left to do
    assert see(restore(fresh.status), seen(FORMER)).status.phase is RunPhase.COMPLETED


def test_it_is_not_complete_while_access_is_not_as_wanted() -> None:
    made = see(begun(), seen(FORMER, access_right=False))
    assert made.status.phase is RunPhase.RUNNING


def test_it_is_told_how_full_the_volume_may_become() -> None:
    (step,) = see(begun(), seen()).steps
    assert GIB * 0.8 < step.limit < GIB * 0.9
    unknown = replace(seen(), volumes=(replace(CURRENT, capacity_bytes=0),))
    (step,) = see(begun(), unknown).steps
    assert step.limit is None


@pytest.mark.parametrize("why", ["ChecksumMismatch", "RestoreFailed", "VolumeTooSmall"])
def test_what_another_attempt_would_find_again_ends_it_and_nothing_stays(why: str) -> None:
    failed = load(RunState.FAILED, reason=why, message="so it is", ended_at=NOW)
    made = see(begun(), seen(SCRATCH, loads=(failed,)))
    assert (reason(made), made.status.phase) == (why, RunPhase.FAILED)
    assert made.steps == (steps.DropDatabases((SCRATCH,)),)
    assert "The Database was not touched" in str(made.status.conditions)


def test_what_may_pass_is_tried_again_in_a_while_and_three_times_at_most() -> None:
    def after(attempt: int, ago: timedelta) -> Any:
        failed = load(RunState.FAILED, attempt, reason="ServerUnavailable", ended_at=NOW - ago)
        return see(begun(), seen(loads=(failed,)))

    assert after(1, timedelta()).steps == ()
    assert after(1, back_off(1)).steps[0].attempt == 2
    assert after(3, HOUR).status.phase is RunPhase.FAILED
    lost = load(RunState.SUCCEEDED, ended_at=NOW - HOUR)
    assert see(begun(), seen(loads=(lost,))).steps[0].attempt == 2
    just = load(RunState.SUCCEEDED, ended_at=NOW)
    assert see(begun(), seen(loads=(just,))).steps == ()


@pytest.mark.parametrize("gone", [None, dump(objectKey=None)])
def test_a_backup_that_is_gone_meanwhile_ends_it(gone: Any) -> None:
    made = see(begun(), seen(), backup=gone)
    assert (reason(made), made.steps) == ("BackupMissing", ())


def test_a_server_that_does_not_answer_is_waited_for() -> None:
    made = see(begun(), replace(HEALTHY, server=None))
    assert (made.steps, made.status.phase) == ((), RunPhase.RUNNING)


def test_one_of_a_newer_version_is_refused_and_one_of_an_older_is_not() -> None:
    assert reason(see(restore(), seen(), backup=dump("16.2"))) == "VersionMismatch"
    assert see(restore(), seen(), backup=dump("14.9")).status.phase is RunPhase.RUNNING


# -- the way back --------------------------------------------------------------------------------


def done(uid: str = RESTORE_UID, at: datetime = NOW, **status: Any) -> PitrRestore:
    made = restore()
    metadata = made.metadata.model_copy(update={"uid": uid, "name": f"r-{uid[:3]}"})
    told = made.status.model_copy(
        update={"phase": RunPhase.COMPLETED, "completed_at": at, **status}
    )
    return made.model_copy(update={"metadata": metadata, "status": told})


def test_an_undo_brings_back_what_was_replaced_last() -> None:
    older = copies.before("11111111-", NOW + 99 * HOUR)
    others = [done(previous_database=PreviousDatabase(name=FORMER))]
    planned = see(undo(), seen(FORMER, older), others=others).status
    made = see(undo(planned), seen(FORMER, older), others=others)
    after = copies.before(UNDO_UID, NOW + 24 * HOUR)
    assert made.steps == (steps.SwapDatabases(FORMER, after),)
    made = see(undo(planned), seen(after, older), others=others)
    assert (made.steps, made.status.phase) == ((), RunPhase.COMPLETED)
    assert made.status.previous_database.name == after


def test_without_anybody_to_ask_the_one_that_is_kept_longest_is_it() -> None:
    other = copies.before("11111111-", NOW + HOUR)
    planned = see(undo(), seen(FORMER, other)).status
    (step,) = see(undo(planned), seen(FORMER, other)).steps
    assert step.chosen == FORMER


def test_after_a_physical_restore_it_is_the_volume_that_comes_back() -> None:
    """The restored volume may hold databases that were kept when its backup was taken."""
    left = replace(CURRENT, role=VolumeRole.PREVIOUS, delete_after=NOW + HOUR)
    now = replace(CURRENT, name="shop-main-1-2", generation=2, restore="of-a-volume")
    others = [
        done(previous_database=PreviousDatabase(name=FORMER)),
        done("of-a-volume", NOW + HOUR, previous_volume=PreviousVolume(claim_name=left.name)),
    ]
    both = replace(seen(FORMER), volumes=(left, now))
    planned = see(undo(), both, others=others).status
    (step,) = see(undo(planned), both, others=others).steps
    assert isinstance(step, steps.PromoteVolume)


def test_what_is_no_longer_kept_cannot_be_brought_back() -> None:
    others = [done(previous_database=PreviousDatabase(name=FORMER))]
    assert reason(see(undo(), seen(), others=others)) == "NoPreviousVolume"
    planned = see(undo(), seen(FORMER), others=others).status
    assert reason(see(undo(planned), seen(), others=others)) == "NoPreviousVolume"


# -- what is left over ---------------------------------------------------------------------------


def dropped(*names: str, restores: Any = (), **more: Any) -> tuple[str, ...]:
    made = plan(seen(*names), restores=restores, **more)
    found = [step.names for step in made.steps if isinstance(step, steps.DropDatabases)]
    return found[0] if found else ()


def test_what_a_restore_has_left_goes_and_what_one_is_at_work_with_stays() -> None:
    assert dropped(SCRATCH) == (SCRATCH,)
    assert dropped(SCRATCH, WHOLE, restores=(begun(),)) == ()
    assert dropped(WHOLE, restores=(done(),)) == (WHOLE,)


def test_a_former_database_stays_until_its_restore_has_seen_it_however_short_it_is_kept() -> None:
    """Else that would take what it has done for undone, and do it again."""
    former = copies.before(RESTORE_UID, NOW - HOUR)
    assert dropped(former, restores=(begun(),)) == ()
    assert dropped(former, restores=(done(),)) == (former,)


def test_a_former_database_goes_when_its_time_is_over_but_for_an_undo() -> None:
    assert dropped(FORMER) == ()
    late = NOW + 25 * HOUR
    assert dropped(FORMER, now=late) == (FORMER,)
    assert dropped(FORMER, now=late, restores=(undo(),)) == ()


@given(
    kind=st.sampled_from(list(CopyKind)),
    uid=st.uuids().map(str),
    until=st.datetimes(datetime(2000, 1, 1), datetime(2100, 1, 1)),  # noqa: DTZ001
)
def test_names_say_all_and_fit(kind: CopyKind, uid: str, until: datetime) -> None:
    moment = until.replace(tzinfo=NOW.tzinfo, microsecond=0)
    name = {
        CopyKind.RESTORING: copies.restoring(uid),
        CopyKind.RESTORED: copies.restored(uid),
        CopyKind.BEFORE: copies.before(uid, moment),
    }[kind]
    found = copies.parse(name)
    assert found is not None
    assert len(name) <= 63
    assert (found.kind, found.restore) == (kind, copies.mark(uid))
    assert found.until == (moment if kind is CopyKind.BEFORE else None)


@pytest.mark.parametrize(
    "name", ["app", "app_before_1", "app_restored_4b1e4f5c_12", "app_before_4b1e4f5c", "other"]
)
def test_no_other_name_is_taken_for_one(name: str) -> None:
    assert copies.parse(name) is None


# -- a new Database ------------------------------------------------------------------------------

FROM_DUMP: Any = {"backupRef": {"name": "nightly"}}
EMPTY = server(access_right=False, lacks_database=True)


def beginning(observed: Observed, backup: Backup | None = None, **spec: Any) -> Any:
    wish = database(bootstrap=FROM_DUMP, **spec)
    return plan(replace(observed, source_backup=backup or dump()), wish)


def test_a_new_database_begins_as_any_other_but_without_its_database() -> None:
    made = beginning(Observed(wanted_revision="r1"))
    assert kinds(made) == ["EnsureSecrets", "CreateVolume"]
    roles = beginning(replace(HEALTHY, server=replace(EMPTY, roles_right=False)))
    assert steps.SetUpAccess(with_database=False) in roles.steps
    filled = beginning(replace(HEALTHY, server=EMPTY))
    assert steps.LoadBackup(UID, KEY, 1, copies.DATABASE, LIMIT) in filled.steps
    assert not any(isinstance(step, steps.SetUpAccess) for step in filled.steps)
    assert verdict(filled)[:2] == ("Restoring", "Filling")
    whole = beginning(HEALTHY)
    assert verdict(whole)[1] == "Running"


def test_while_its_backup_is_not_complete_nothing_is_made() -> None:
    made = beginning(Observed(wanted_revision="r1"), dump(phase="Running"))
    assert (kinds(made), verdict(made)[1]) == ([], "BackupNotComplete")


def test_a_newer_version_takes_it_and_an_older_does_not() -> None:
    fresh = Observed(wanted_revision="r1")
    assert "CreateVolume" in kinds(beginning(fresh, dump("14.2")))
    refused = beginning(fresh, dump("17.1"))
    assert (kinds(refused), verdict(refused)[1]) == ([], "VersionMismatch")


def test_it_never_begins_empty_where_its_backup_is_gone() -> None:
    made = plan(replace(HEALTHY, server=EMPTY), database(bootstrap=FROM_DUMP))
    assert verdict(made)[1] == "BackupMissing"
    assert not {"SetUpAccess", "LoadBackup"} & set(kinds(made))


def test_what_stalled_it_is_tried_again_once_the_spec_has_changed() -> None:
    def after(generation: int) -> Any:
        failed = load(RunState.FAILED, uid=UID, reason="ExtensionNotListed", generation=generation)
        scratch = copies.restoring(UID)
        return beginning(
            replace(
                HEALTHY,
                server=replace(EMPTY, facts=replace(FACTS, copies=((scratch, 0),))),
                loads=(failed,),
            )
        )

    stalled = after(database().metadata.generation)
    assert verdict(stalled)[1] == "ExtensionNotListed"
    assert "DropDatabases" in kinds(stalled)
    assert "LoadBackup" in kinds(after(database().metadata.generation - 1))
