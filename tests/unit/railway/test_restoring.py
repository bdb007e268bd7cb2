"""What Railway says beforehand to what a restore would make there."""

from __future__ import annotations

from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any, cast

import pytest

from postbase_operator.api.database import Database
from postbase_operator.archive.run import RecoveryTask
from postbase_operator.planning import plan as steps
from postbase_operator.planning.observed import Load
from postbase_operator.planning.restore_rehearsal import Rehearsal
from postbase_operator.planning.restore_seen import ADMITTED, Rehearsed
from postbase_operator.platforms import JobServer
from postbase_operator.railway.graphql.models import EnvironmentState, Region, VolumeInstance
from postbase_operator.railway.ground import Ground
from postbase_operator.railway.plans import plan_of
from postbase_operator.railway.restores.loading import Loading
from postbase_operator.railway.restores.restore_books import RestoreBooks
from postbase_operator.railway.restores.restoring import Restoring
from postbase_operator.railway.sql.servers import Servers
from postbase_operator.railway.support import UNSUPPORTED
from unit.conftest import database

FILL = (steps.CreateVolume(1, "uid"), steps.FillVolume("", "uid", "key", 1))
VOLUME = VolumeInstance.model_validate({"id": "i", "volumeId": "v", "sizeMB": 500})


@dataclass
class Asked:
    """The cluster's Jobs: what it was shown, and what it says."""

    says: Rehearsed = ADMITTED
    shown: list[tuple[Database, JobServer]] = field(default_factory=list)

    def look(self, _: Database) -> tuple[Load, ...]:
        return ()

    async def rehearse(self, db: Database, _: steps.LoadBackup, server: JobServer) -> Rehearsed:
        self.shown.append((db, server))
        return self.says

    async def start(self, db: Database, _: steps.LoadBackup, __: JobServer) -> None:
        raise AssertionError(db)

    async def stop(self, db: Database, _: tuple[str, ...]) -> None:
        raise AssertionError(db)


def restoring(plan: str = "pro", volumes: int = 0, loads: Asked | None = None) -> Restoring:
    async def look(_: str) -> EnvironmentState:
        return EnvironmentState("e", "production", volumes=(VOLUME,) * volumes)

    async def paid() -> object:
        return plan_of(plan)

    async def regions() -> tuple[Region, ...]:
        return (Region.model_validate({"name": "us-west2"}),)

    async def ground() -> Ground:
        sight = SimpleNamespace(plan=paid, regions=regions, look=look)
        return cast(Ground, SimpleNamespace(sight=sight))

    loading = Loading(cast(Servers, None), loads or Asked())
    return Restoring(ground, cast(RestoreBooks, None), loading, lambda db: db.spec.region)


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


async def test_latest_in_place_is_refused_before_anything_is_made() -> None:
    follows = RecoveryTask(restore="uid", timeline=1)
    fill = (steps.CreateVolume(2, "uid"), steps.FillVolume("", "uid", "key", 1, follows))
    said = await restoring().rehearse(Rehearsal(IN_PLACE, fill))
    assert (said.reason, said.message.split(":")[0]) == (UNSUPPORTED, "spec.source.latest")


LOAD = steps.LoadBackup("uid", "key", 1, "")


async def test_a_dump_in_place_takes_nothing_of_railway_and_its_job_is_the_clusters_to_take() -> (
    None
):
    loads = Asked()
    full = restoring("hobby", 10, loads)
    assert await full.rehearse(Rehearsal(IN_PLACE, (LOAD,))) == ADMITTED
    ((_, server),) = loads.shown
    assert server.password_secret == "shop-main-superuser-4b1e4f5c"
    loads.says = Rehearsed("QuotaExceeded", "exceeded quota: jobs")
    assert await full.rehearse(Rehearsal(IN_PLACE, (LOAD,))) == loads.says


async def test_a_new_database_out_of_a_dump_must_fit_on_railway_first() -> None:
    loads = Asked()
    made = beside().db
    todo = (steps.CreateDatabase(made), steps.CreateVolume(1), LOAD, steps.ApplyWorkload("", ""))
    assert await restoring(loads=loads).rehearse(Rehearsal(made, todo)) == ADMITTED
    assert [db for db, _ in loads.shown] == [made]
    said = await restoring("hobby", 10, loads).rehearse(Rehearsal(made, todo))
    assert (said.reason, len(loads.shown)) == ("PlanLimitExceeded", 1)
