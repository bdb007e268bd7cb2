"""What the fault runs have found, each by itself and on a clock that the test moves."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from component.railway_caller import Caller
from component.railway_clocked import Process, Site
from component.railway_operator import (
    changed,
    instances,
    is_ready,
    new_place,
    railway_database,
    said,
    volumes,
)
from postbase_operator.api.database import Database
from postbase_operator.railway.graphql.reads import Place
from railway.clock import VirtualClock
from railway.double import RailwayDouble
from railway.faults import Fault, Gateway, Lost, PatchRejected, Problem, Refuses
from railway.settings import Delays, Settings

FULL = "Volume limit of 10 reached on current plan. Please upgrade"


@pytest.fixture
def site() -> Iterator[Site]:
    """With the times of Railway: a service is found after 8 seconds, a volume after 3."""
    settings = Settings(delays=Delays.railway())
    with RailwayDouble(settings, VirtualClock(), processes=False) as double:
        yield Site(double, new_place(double), double.token())


@pytest.fixture
def hobby() -> Iterator[Site]:
    """On the plan that most have."""
    settings = Settings(delays=Delays.railway(), rate_limited=False)
    with RailwayDouble(settings, VirtualClock(), processes=False, plan="HOBBY") as double:
        yield Site(double, new_place(double), double.token())


def wanted() -> Database:
    return railway_database(deletionPolicy="Delete")


async def deleted(site: Site, db: Database) -> None:
    async with site.process() as heir:
        while (wait := await heir.destroy(db)) is not None:
            await site.rest(wait)
    await site.rest(60)
    assert site.double.left_behind() == []


async def made(site: Site, db: Database) -> list[str]:
    """Until it is Ready; the reasons why it was not, one after another."""
    async with site.process() as ours:
        _, reasons = await ready(ours, db)
        return reasons


async def ready(ours: Process, db: Database) -> tuple[Database, list[str]]:
    reasons = []
    while not is_ready(db):
        db, wait = await ours.look(db)
        reasons.append(said(db)[1])
        assert len(reasons) < 100, reasons[-3:]
        await ours.site.rest(max(wait, 0.1))
    return db, reasons


@pytest.mark.trap("instance-found-late", "outcome-unknown", "no-labels")
async def test_a_service_that_does_not_show_yet_is_not_left_behind(site: Site) -> None:
    site.double.next("serviceCreate", Gateway(504))
    async with site.process() as ours:
        db, _ = await ours.look(wanted())
        assert len(instances(site.double, site.place)) == 1
    await deleted(site, db)


@pytest.mark.trap("volume-seen-late", "volume-outlives-service")
async def test_a_volume_that_does_not_show_yet_is_not_left_behind(site: Site) -> None:
    site.latency = (0.01, 0.01)
    db = wanted()
    async with site.process() as ours:
        while not volumes(site.double, site.place):
            db, wait = await ours.look(db)
            await site.rest(0 if volumes(site.double, site.place) else wait)
    await deleted(site, db)


@pytest.mark.trap("deleted-volume-shown")
async def test_a_volume_that_was_deleted_holds_its_name(site: Site) -> None:
    """One that follows it, for the same Database and within the 48 hours, has another."""
    db, named = wanted(), site.double.world.state.volumes

    def names() -> list[str]:
        return [each.name for each in named.values() if each.name.startswith("shop-main-")]

    async with site.process() as ours:
        while not names():
            db, wait = await ours.look(db)
            await site.rest(max(wait, 0.1))
    (service,), (volume,) = instances(site.double, site.place), volumes(site.double, site.place)
    call = Caller(site.double, site.double.token("account"))
    call("DeleteService", id=service.service_id, environmentId=site.place.environment_id)
    call("DeleteVolume", volumeId=volume.volume_id)
    await site.rest(60)
    await made(site, wanted())  # by an operator that knows nothing of it
    assert len(set(names())) == 2
    assert len(volumes(site.double, site.place)) == 1


@pytest.mark.parametrize("fault", [Gateway(504), Lost(), Problem()], ids=str)
@pytest.mark.trap("outcome-unknown", "volume-made-twice", "volume-seen-late")
async def test_a_volume_that_nobody_has_heard_of_and_that_shows_late_is_not_made_twice(
    site: Site, fault: Fault
) -> None:
    """Whoever looks before it shows, as after an edit, sees a service without a volume."""
    site.latency = (0.01, 0.01)
    site.double.next("volumeCreate", fault)
    db = wanted()
    async with site.process() as ours:
        while not volumes(site.double, site.place):
            db, wait = await ours.look(db)
            await site.rest(0 if volumes(site.double, site.place) else wait)
        for _ in range(10):
            db, _ = await ours.look(db)
            await site.rest(0.2)
        await ready(ours, db)
    assert site.double.counted()["volumeCreate"] == 1


@pytest.mark.trap("regions-retire", "volume-seen-late")
async def test_a_region_that_retires_behind_a_volume_alarms_nobody(site: Site) -> None:
    site.latency = (0.01, 0.01)
    db = wanted()
    async with site.process() as ours:
        while not volumes(site.double, site.place):
            db, wait = await ours.look(db)
            await site.rest(0 if volumes(site.double, site.place) else wait)
        site.double.retire_region("europe-west4-drams3a", "us-west2")
        db, _ = await ours.look(db)
        assert said(db)[1] in ("NotReady", "Starting")
    assert "UnknownRegion" not in await made(site, db)


@pytest.mark.trap("volumes-of-a-project")
async def test_a_project_that_others_have_filled_meanwhile_is_told_at_the_field(site: Site) -> None:
    site.double.next("volumeCreate", Refuses(FULL))
    db = wanted()
    async with site.process() as ours:
        for _ in range(10):
            db, wait = await ours.look(db)
            if said(db, "Stalled")[0] == "True":
                break
            await site.rest(wait)
    _, reason, message = said(db)
    assert reason == "PlanLimitExceeded"
    assert message.startswith("spec.projectRef")
    assert FULL in message
    await made(site, db)  # once there is room


@pytest.mark.trap("patch-makes-nothing")
async def test_a_commit_names_only_what_has_been_seen(site: Site) -> None:
    await made(site, railway_database(storage={"size": "60Gi"}))
    state, named = site.double.world.state, set()
    for patch in state.patches.values():
        for service_id in patch.patch.get("services", {}):
            (instance,) = [i for i in state.instances.values() if i.service_id == service_id]
            assert patch.created_at >= instance.found_from
            named.add("service")
        for volume_id in patch.patch.get("volumes", {}):
            (held,) = [v for v in state.volume_instances.values() if v.volume_id == volume_id]
            assert patch.created_at >= held.seen_from
            named.add("volume")
    assert named == {"service", "volume"}


@pytest.mark.trap("look-per-database")
async def test_a_second_database_costs_no_look_more(hobby: Site) -> None:
    one = wanted()
    body = one.to_wire()
    body["metadata"] |= {"name": "other", "uid": "4b1e4f5c-0000-4000-8000-000000000002"}
    async with hobby.process() as ours:
        both = [(await ready(ours, db))[0] for db in (one, Database.model_validate(body))]
        before = hobby.double.counted()["environment"]
        for _ in range(5):
            await hobby.rest(10)
            both = [(await ours.look(db))[0] for db in both]
        assert hobby.double.counted()["environment"] - before == 5
    assert all(is_ready(db) for db in both)


@pytest.mark.parametrize(
    ("spec", "field"),
    [
        ({"storage": {"size": "6G"}}, "spec.storage.size"),
        ({"resources": {"cpu": "49", "memory": "1Gi"}}, "spec.resources.cpu"),
        ({"resources": {"cpu": "1", "memory": "49G"}}, "spec.resources.memory"),
    ],
    ids=["size", "cpu", "memory"],
)
@pytest.mark.trap("plan-limits")
async def test_what_the_plan_does_not_allow_is_told_before_anything_is_made(
    hobby: Site, spec: dict[str, Any], field: str
) -> None:
    async with hobby.process() as ours:
        db, _ = await ours.look(railway_database(**spec))
    _, reason, message = said(db)
    assert instances(hobby.double, hobby.place) == []
    assert (reason, message.split(":")[0]) == ("PlanLimitExceeded", field)


@pytest.mark.trap("plan-limits", "commit-is-async")
async def test_a_size_that_railway_rejects_later_is_told_at_the_field(site: Site) -> None:
    async with site.process() as ours:
        db, _ = await ready(ours, wanted())
        site.double.next("environmentPatchCommit", PatchRejected())  # of a plan of 5 GB
        db = changed(db, storage={"size": "60Gi"})
        for _ in range(10):
            db, wait = await ours.look(db)
            if said(db, "Stalled")[0] == "True":
                break
            await site.rest(wait)
    _, reason, message = said(db)
    assert (reason, message.split(":")[0]) == ("PlanLimitExceeded", "spec.storage.size")
    assert "set 5000M or less" in message


@pytest.mark.trap("volumes-of-a-project")
async def test_a_project_that_is_full_is_told_before_anything_is_made(hobby: Site) -> None:
    call = Caller(hobby.double, hobby.double.token())
    here = {"projectId": hobby.place.project_id, "environmentId": hobby.place.environment_id}
    for _ in range(10):
        call("CreateVolume", input=here | {"mountPath": "/data"})
    await hobby.rest(10)  # until they are shown
    async with hobby.process() as ours:
        db, _ = await ours.look(wanted())
    _, reason, message = said(db)
    assert instances(hobby.double, hobby.place) == []
    assert (reason, message.split(":")[0]) == ("PlanLimitExceeded", "spec.projectRef")


@pytest.mark.trap("pr-environments")
async def test_with_environments_for_pull_requests_on_it_is_made_all_the_same(site: Site) -> None:
    call = Caller(site.double, site.double.token())
    given = {"name": "with-pulls", "workspaceId": site.double.workspace_id, "prDeploys": True}
    project = call("CreateProject", input=given)
    site.place = Place(project["id"], project["primaryEnvironmentId"])
    await made(site, wanted())
