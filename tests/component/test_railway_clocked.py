"""What the fault runs have found, each by itself and on a clock that the test moves."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from component.railway_caller import Caller
from component.railway_clocked import Site
from component.railway_operator import (
    instances,
    is_ready,
    new_place,
    railway_database,
    said,
    volumes,
)
from postbase_operator.api.database import Database
from railway.clock import VirtualClock
from railway.double import RailwayDouble
from railway.faults import Gateway, Refuses
from railway.settings import Delays, Settings

FULL = "Volume limit of 10 reached on current plan. Please upgrade"


@pytest.fixture
def site() -> Iterator[Site]:
    """With the times of Railway: a service is found after 8 seconds, a volume after 3."""
    settings = Settings(delays=Delays.railway())
    with RailwayDouble(settings, VirtualClock(), processes=False) as double:
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
    reasons = []
    async with site.process() as ours:
        while not is_ready(db):
            db, wait = await ours.look(db)
            reasons.append(said(db)[1])
            assert len(reasons) < 100, reasons[-3:]
            await site.rest(max(wait, 0.1))
    return reasons


@pytest.mark.trap("instance-found-late", "outcome-unknown")
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
