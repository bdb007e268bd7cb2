"""How a Database may begin: never empty where its data should be, never on another's volume."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from postbase_operator.api.conditions import KStatus, find_condition
from postbase_operator.api.project import Quota
from postbase_operator.planning import plan as steps
from postbase_operator.planning.archive_observed import Earlier
from postbase_operator.planning.next_look import AT_ONCE
from postbase_operator.planning.observed import Observed, VolumeRole
from unit.conftest import database
from unit.planning.test_database import CURRENT, HEALTHY, SHOP, kinds, plan, verdict

KEPT = replace(CURRENT, name="old-1-3", generation=3, database_uid="of-another")
ADOPTING = database(adoptVolume=KEPT.name)
RESTORE = {"restore": {"from": {"name": "old"}, "latest": {}}}


def reason(seen: Observed, **spec: Any) -> tuple[str, str, tuple[Any, ...]]:
    made = plan(seen, database(**spec))
    ready = find_condition(made.status.conditions, "Ready")
    assert ready is not None
    return ready.reason, ready.message, made.steps


@pytest.mark.parametrize(
    ("bootstrap", "said"),
    [
        ({"latest": {}}, "Pending"),
        ({"backupRef": {"name": "b"}}, "BackupNotFound"),
        (RESTORE, "Pending"),
    ],
)
def test_what_should_start_from_a_backup_never_starts_empty(
    bootstrap: dict[str, Any], said: str
) -> None:
    why, message, todo = reason(Observed(), bootstrap=bootstrap)
    assert why == said
    assert "spec.bootstrap" in message
    assert todo == ()


def test_one_that_has_begun_is_not_asked_how() -> None:
    assert reason(HEALTHY, bootstrap=RESTORE)[0] == "Running"


def test_empty_may_be_asked_for() -> None:
    assert steps.CreateVolume(1) in reason(Observed(), bootstrap={"empty": {}})[2]


def test_volumes_of_a_namesake_are_named_with_the_remedy() -> None:
    why, message, todo = reason(Observed(foreign_volumes=("shop-main-1-1", "shop-main-1-2")))
    assert why == "VolumeExists"
    assert "shop-main-1-1, shop-main-1-2" in message
    assert "spec.adoptVolume" in message
    assert todo == ()


def test_a_kept_volume_is_adopted_by_name() -> None:
    seen = Observed(adoptable=KEPT, foreign_volumes=(KEPT.name,))
    made = plan(seen, ADOPTING)
    assert made.steps == (steps.AdoptVolume(KEPT.name),)
    assert made.requeue_after == AT_ONCE
    mine = replace(KEPT, database_uid=ADOPTING.metadata.uid)
    made = plan(Observed(volumes=(mine,)), ADOPTING)
    assert steps.ApplyWorkload(KEPT.name, KEPT.system_id) in made.steps  # never initdb


@pytest.mark.parametrize(
    ("seen", "why", "says"),
    [
        (Observed(), "VolumeNotFound", "old-1-3"),
        (Observed(adoptable=replace(KEPT, deleting=True)), "VolumeNotAdoptable", "deleted"),
        (Observed(adoptable=replace(KEPT, database_uid="")), "VolumeNotAdoptable", "not made by"),
        (Observed(adoptable=KEPT, adoptable_owner="old"), "VolumeNotAdoptable", "'old'"),
        (Observed(adoptable=replace(KEPT, system_id="")), "VolumeNotAdoptable", "never held"),
        (
            Observed(adoptable=replace(KEPT, role=VolumeRole.FILLING)),
            "VolumeNotAdoptable",
            "filling",
        ),
    ],
)
def test_what_cannot_be_adopted(seen: Observed, why: str, says: str) -> None:
    told, message, todo = reason(seen, adoptVolume=KEPT.name)
    assert (told, todo) == (why, ())
    assert says in message
    assert "spec.adoptVolume" in message


def test_adoption_is_read_only_while_there_is_no_volume_of_its_own() -> None:
    assert plan(HEALTHY, ADOPTING).steps == (steps.ApplyWorkload(CURRENT.name, CURRENT.system_id),)


def test_an_archive_of_the_name_stops_a_beginning_until_somebody_says_what_is_meant() -> None:
    earlier = Earlier(archives=("0a1b",))
    made = plan(Observed(earlier=earlier))
    assert verdict(made) == ("Failed", "ArchiveExists", KStatus.FAILED)
    assert "CreateVolume" not in kinds(made)
    begun = plan(Observed(earlier=earlier, volumes=(CURRENT,)))
    assert verdict(begun)[1] != "ArchiveExists"


def test_a_store_that_cannot_say_is_waited_for() -> None:
    made = plan(Observed(earlier=Earlier(unknown="it is away")))
    assert verdict(made) == ("Pending", "ArchiveUnknown", KStatus.IN_PROGRESS)
    assert made.requeue_after is not None


def test_a_projects_quota_lets_the_elder_ones_be() -> None:
    """One that has a volume runs on: a quota that was lowered stops no database."""
    shop = SHOP.model_copy(
        update={"spec": SHOP.spec.model_copy(update={"quota": Quota(databases=2)})}
    )
    for elder, waits in ((0, False), (1, False), (2, True), (7, True)):
        made = plan(Observed(), database(), project=shop, elder=elder)
        ready = find_condition(made.status.conditions, "Ready")
        assert ready is not None
        assert (ready.reason == "PlanLimitExceeded") is waits, elder
        assert bool(made.steps) is not waits
    running = plan(HEALTHY, database(), project=shop, elder=7)
    assert find_condition(running.status.conditions, "Ready") is not None
    assert verdict(running)[0] != "PlanLimitExceeded"
