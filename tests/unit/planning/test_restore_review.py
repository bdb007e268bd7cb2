"""What a restore must never do: begin empty, come back to the wrong volume, wait for ever."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any
from uuid import NAMESPACE_DNS, uuid5

import pytest

from postbase_operator.api.pitr_restore import PitrRestore
from postbase_operator.api.restore_status import PreviousVolume
from postbase_operator.api.runs import RunPhase
from postbase_operator.planning import plan as steps
from postbase_operator.planning.observed import VolumeRole
from unit.conftest import NOW, database
from unit.planning.test_database import CURRENT, kinds, plan, verdict
from unit.planning.test_filling import (
    NEXT,
    RESTORE_UID,
    backup,
    begun,
    look,
    reason,
    restore,
    seen,
    served,
)

HOUR = timedelta(hours=1)
UNDO: dict[str, Any] = {"source": {"previous": {}}}
SERVES = replace(NEXT, role=VolumeRole.CURRENT)
LEFT = replace(CURRENT, role=VolumeRole.PREVIOUS, delete_after=NOW + HOUR)


def uid(name: str) -> str:
    return str(uuid5(NAMESPACE_DNS, name))


def named(made: PitrRestore, name: str, at: datetime = NOW, **status: Any) -> PitrRestore:
    """As another object, whose UID comes from its name."""
    metadata = made.metadata.model_copy(
        update={"name": name, "uid": uid(name), "creation_timestamp": at}
    )
    told = made.status.model_copy(update=status)
    return made.model_copy(update={"metadata": metadata, "status": told})


def undo(name: str = "undo", at: datetime = NOW + HOUR) -> PitrRestore:
    return named(restore(**UNDO), name, at)


@pytest.mark.parametrize("bootstrap", [None, {"backupRef": {"name": "nightly"}}])
def test_a_volume_deleted_during_a_restore_is_not_followed_by_an_empty_or_older_one(
    bootstrap: Any,
) -> None:
    wish = database(bootstrap=bootstrap) if bootstrap else database()
    going = seen(replace(CURRENT, deleting=True), NEXT, source_backup=backup())
    made = plan(going, wish, restores=(begun(),))
    assert verdict(made)[1] == "NoCurrentVolume"
    assert kinds(made) == []


def test_nothing_is_made_for_a_database_that_is_being_deleted() -> None:
    db = served()
    going = db.model_copy(
        update={"metadata": db.metadata.model_copy(update={"deletion_timestamp": NOW})}
    )
    made = look(begun(), seen(), db=going)
    assert (reason(made), made.steps) == ("DatabaseDeleted", ())


def test_a_restore_does_not_go_on_in_another_database_of_the_same_name() -> None:
    made = look(begun(), seen(), backup=backup(databaseUID="of-an-earlier-one"))
    assert (reason(made), made.steps) == ("OtherDatabase", ())


@pytest.mark.parametrize("gone", [None, backup(objectKey=None)])
def test_a_backup_that_is_gone_meanwhile_ends_it(gone: Any) -> None:
    made = look(begun(), seen(CURRENT, NEXT), backup=gone)
    assert (reason(made), made.steps) == ("BackupMissing", ())


def test_an_undo_does_not_wait_for_the_switch_that_it_undoes() -> None:
    hanging = seen(LEFT, SERVES, server=None)
    stuck = restore(look(begun(), hanging).status)
    back = undo()
    planned = named(back, "undo", NOW + HOUR, **dict(look(back, hanging, others=[stuck]).status))
    made = look(planned, hanging, others=[stuck, planned])
    assert [each.volume for each in made.steps] == [LEFT.name]
    assert reason(look(stuck, hanging, others=[stuck, planned])) == "Queued"


def test_what_was_undone_does_not_switch_back() -> None:
    undone = seen(replace(CURRENT, restore=uid("undo")), replace(NEXT, role=VolumeRole.PREVIOUS))
    made = look(begun(), undone)
    assert (reason(made), made.steps, made.status.phase) == ("Undone", (), RunPhase.FAILED)


def test_an_undo_made_before_a_restore_does_not_overtake_it() -> None:
    stuck = named(restore(look(begun(), seen(LEFT, SERVES, server=None)).status), "back", NOW)
    early = undo(at=NOW - HOUR)
    assert reason(look(early, seen(LEFT, SERVES), others=[stuck])) == "Queued"


def test_an_undo_takes_the_volume_that_was_replaced_last_not_the_one_kept_longest() -> None:
    eldest = replace(CURRENT, role=VolumeRole.PREVIOUS, delete_after=NOW + 99 * HOUR)
    last = replace(NEXT, role=VolumeRole.PREVIOUS, restore="first", delete_after=NOW + HOUR)
    now = replace(
        NEXT, name="shop-main-1-3", generation=3, role=VolumeRole.CURRENT, restore=uid("b")
    )
    done = named(restore(), "b", phase=RunPhase.COMPLETED)
    done = named(done, "b", previous_volume=PreviousVolume(claim_name=last.name))
    wish = undo()
    wish = named(wish, "undo", **dict(look(wish, seen(eldest, last, now), others=[done]).status))
    (promote,) = look(wish, seen(eldest, last, now), others=[done]).steps
    assert promote.volume == last.name
    over = look(undo(), seen(eldest, now), others=[done])
    assert reason(over) == "NoPreviousVolume"


def test_the_volume_that_is_replaced_is_noted_before_it_is() -> None:
    made = look(restore(), seen())
    assert made.status.previous_volume.claim_name == CURRENT.name


def test_an_undo_never_begins_empty() -> None:
    made = look(undo(), seen(replace(LEFT, system_id=""), SERVES))
    assert reason(made) == "NoPreviousVolume"


def test_a_restore_into_a_new_database_waits_for_nobody_and_nobody_for_it() -> None:
    beside = {"target": {"newDatabase": {"name": "copy"}}}
    other = named(begun(), "other", NOW - HOUR)
    assert reason(look(restore(**beside), seen(), others=[other])) == "Planning"
    new = named(restore(look(restore(**beside), seen()).status, **beside), "other", NOW - HOUR)
    assert look(begun(), seen(), others=[new]).steps == (steps.CreateVolume(2, RESTORE_UID),)


def test_a_switch_whose_restore_was_deleted_halfway_is_ended() -> None:
    both = seen(CURRENT, SERVES)
    mend = steps.PromoteVolume(NEXT.name, NEXT.system_id, RESTORE_UID)
    assert mend in plan(both).steps
    assert mend not in plan(both, restores=(begun(),)).steps  # that one does it itself
    assert mend not in plan(seen(LEFT, SERVES)).steps
