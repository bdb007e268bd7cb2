"""What Railway says beforehand to what a restore would make there."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest

from postbase_operator.archive.run import RecoveryTask
from postbase_operator.planning import plan as steps
from postbase_operator.planning.restore_rehearsal import Rehearsal
from postbase_operator.planning.restore_seen import ADMITTED
from postbase_operator.railway.ground import Ground
from postbase_operator.railway.models import EnvironmentState, Region, VolumeInstance
from postbase_operator.railway.plans import plan_of
from postbase_operator.railway.restore_books import RestoreBooks
from postbase_operator.railway.restoring import Restoring
from postbase_operator.railway.support import UNSUPPORTED
from unit.conftest import database

FILL = (steps.CreateVolume(1, "uid"), steps.FillVolume("", "uid", "key", 1))
VOLUME = VolumeInstance.model_validate({"id": "i", "volumeId": "v", "sizeMB": 500})


def restoring(plan: str = "pro", volumes: int = 0) -> Restoring:
    async def look(_: str) -> EnvironmentState:
        return EnvironmentState("e", "production", volumes=(VOLUME,) * volumes)

    async def paid() -> object:
        return plan_of(plan)

    async def regions() -> tuple[Region, ...]:
        return (Region.model_validate({"name": "us-west2"}),)

    async def ground() -> Ground:
        sight = SimpleNamespace(plan=paid, regions=regions, look=look)
        return cast(Ground, SimpleNamespace(sight=sight))

    return Restoring(ground, cast(RestoreBooks, None), lambda db: db.spec.region)


def beside(**spec: Any) -> Rehearsal:
    small = {"resources": {"cpu": "500m", "memory": "256Mi"}, "region": "us-west2"}
    made = database(provider="Railway", **(small | spec))
    return Rehearsal(made, (steps.CreateDatabase(made), *FILL, steps.ApplyWorkload("", "")))


async def test_what_fits_is_admitted() -> None:
    assert await restoring().rehearse(beside()) == ADMITTED


@pytest.mark.parametrize(
    ("plan", "volumes", "spec", "reason", "field"),
    [
        ("hobby", 10, {}, "PlanLimitExceeded", "spec.projectRef"),
        ("hobby", 0, {"storage": {"size": "50Gi"}}, "PlanLimitExceeded", "spec.storage.size"),
        ("pro", 0, {"region": "eu-west1"}, "UnknownRegion", "spec.region"),
        ("pro", 0, {"onNodeLoss": "Replace"}, UNSUPPORTED, "spec.onNodeLoss"),
    ],
)
async def test_what_would_be_refused_is_told_by_its_field(
    plan: str, volumes: int, spec: dict[str, Any], reason: str, field: str
) -> None:
    said = await restoring(plan, volumes).rehearse(beside(**spec))
    assert said.reason == reason
    assert said.message.startswith(field)


IN_PLACE = database(provider="Railway", resources={"cpu": "500m", "memory": "256Mi"})


async def test_in_place_it_takes_a_place_among_the_volumes_and_stays_where_it_is() -> None:
    assert await restoring().rehearse(Rehearsal(IN_PLACE, FILL)) == ADMITTED
    said = await restoring("hobby", 10).rehearse(Rehearsal(IN_PLACE, FILL))
    assert (said.reason, said.message.split(":")[0]) == ("PlanLimitExceeded", "spec.projectRef")
    assert "delete some there, or take a larger plan" in said.message
    assert "another Project" not in said.message  # all of an operator's are in one of Railway's


async def test_latest_in_place_and_logical_ones_are_refused_before_anything_is_made() -> None:
    follows = RecoveryTask(restore="uid", timeline=1)
    fill = (steps.CreateVolume(2, "uid"), steps.FillVolume("", "uid", "key", 1, follows))
    said = await restoring().rehearse(Rehearsal(IN_PLACE, fill))
    assert (said.reason, said.message.split(":")[0]) == (UNSUPPORTED, "spec.source.latest")
    db = IN_PLACE
    load = (steps.CreateVolume(1), steps.LoadBackup("uid", "key", 1, ""))
    said = await restoring().rehearse(Rehearsal(db, (steps.CreateDatabase(db), *load)))
    assert (said.reason, said.message.split(":")[0]) == (UNSUPPORTED, "spec.source.backupRef")
