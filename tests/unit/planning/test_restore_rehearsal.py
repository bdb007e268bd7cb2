"""What a restore would make is shown to the platform before anything is made, and its no counts."""

from __future__ import annotations

from typing import Any

import pytest

from postbase_operator.api.conditions import find_condition
from postbase_operator.api.policies import BackupMethod
from postbase_operator.api.runs import RunPhase
from postbase_operator.planning import plan as steps
from postbase_operator.planning.archived import task_of
from postbase_operator.planning.restore_rehearsal import Rehearsal, rehearsal
from postbase_operator.planning.restore_seen import Rehearsed, RestoreSeen
from unit.conftest import NOW
from unit.planning.test_filling import (
    KEY,
    RESTORE_UID,
    backup,
    begun,
    look,
    reason,
    restore,
    seen,
    served,
)
from unit.planning.test_restore_recovery import OFFER, PLAN, wish

NEW: dict[str, Any] = {"target": {"newDatabase": {"name": "twin", "size": "3Gi"}}}
FULL = Rehearsed("QuotaExceeded", "exceeded quota: storage, requested: requests.storage=1Gi")


def asked(made: Any, **more: Any) -> Rehearsal | None:
    known: dict[str, Any] = {"db": served(), "seen": seen(), "backup": backup()} | more
    return rehearsal(made, RestoreSeen(**known), NOW)


def dump() -> Any:
    made = backup(objectKey="proj_x/shop-main/bkp_y")
    return made.model_copy(
        update={"spec": made.spec.model_copy(update={"method": BackupMethod.LOGICAL})}
    )


def test_in_place_the_next_volume_and_the_run_that_fills_it() -> None:
    found = asked(restore())
    assert found is not None
    assert found.todo == (
        steps.CreateVolume(2, RESTORE_UID),
        steps.FillVolume("", RESTORE_UID, KEY, 1),
    )


def test_out_of_the_archive_with_the_very_task_that_it_would_be_told() -> None:
    found = asked(wish(), offer=OFFER)
    assert found is not None
    task = task_of(PLAN, RESTORE_UID, in_place=True)
    assert found.todo[1] == steps.FillVolume("", RESTORE_UID, KEY, 1, task)


def test_a_dump_needs_a_run_and_no_volume() -> None:
    found = asked(restore(), backup=dump())
    assert found is not None
    assert [type(each) for each in found.todo] == [steps.LoadBackup]


@pytest.mark.parametrize(
    ("of", "run"), [(backup, steps.FillVolume), (dump, steps.LoadBackup)], ids=["volume", "dump"]
)
def test_a_new_database_with_all_that_it_begins_with(of: Any, run: type) -> None:
    found = asked(restore(**NEW), backup=of())
    assert found is not None
    assert found.db.metadata.name == "twin"
    kinds = [steps.CreateDatabase, steps.CreateVolume, run, steps.ApplyWorkload]
    assert [type(each) for each in found.todo] == kinds
    assert found.db.spec.storage.size == "3Gi"


@pytest.mark.parametrize(
    "made",
    [
        begun(),
        restore(source={"previous": {}}),
        restore(source={"backupRef": {"name": "gone"}}),
    ],
    ids=["planned already", "an undo makes nothing", "refused for another reason"],
)
def test_nothing_is_asked_where_nothing_would_be_made(made: Any) -> None:
    assert asked(made, backup=None) is None


def test_whoever_waits_for_another_asks_when_its_turn_has_come() -> None:
    """The one that is under way may be what fills the quota."""
    other = begun().model_copy(
        update={"metadata": begun().metadata.model_copy(update={"name": "another"})}
    )
    assert asked(restore(), others=[other]) is None
    assert asked(restore(dryRun=True), others=[other]) is not None


@pytest.mark.parametrize("dry", [False, True])
def test_a_no_ends_it_with_the_plan_and_the_platforms_own_words(dry: bool) -> None:
    made = look(restore(dryRun=dry), seen(), rehearsed=FULL)
    assert (made.status.phase, reason(made), made.steps) == (RunPhase.FAILED, "QuotaExceeded", ())
    ready = find_condition(made.status.conditions, "Ready")
    assert ready is not None
    assert FULL.message in ready.message
    assert "not touched" in ready.message
    assert made.status.plan.backup_id == f"bkp_{'a' * 26}"


def test_what_nobody_could_say_is_a_warning_and_stops_nothing() -> None:
    unsure = Rehearsed(unknown="a webhook does not support dry run")
    made = look(restore(), seen(), rehearsed=unsure)
    assert made.status.phase is RunPhase.RUNNING
    assert any("does not support dry run" in each for each in made.status.plan.warnings)
