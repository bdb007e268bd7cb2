"""An operator that is killed after any of its requests, and Railway on a bad day: in the end there
is one service, one volume, one proxy, and a database that answers."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from component.railway_operator import (
    Killed,
    Operator,
    Ring,
    deployments,
    instances,
    new_place,
    operator,
    proxies,
    railway_database,
    volumes,
)
from postbase_operator.api.database import Database
from postbase_operator.railway.graphql.reads import Place
from railway.clock import VirtualClock
from railway.double import RailwayDouble
from railway.faults import Fault, Gateway, Lost, NotFoundFor, PatchRejected, Problem, Stale, TooMany
from railway.settings import Settings

MOST = 40
"""Requests of a provision; more would be a defect of its own."""


@pytest.fixture(scope="module")
def railway() -> Iterator[RailwayDouble]:
    with RailwayDouble(Settings(rate_limited=False), VirtualClock()) as double:
        yield double


def check(railway: RailwayDouble, place: Place, ours: Operator, db: Database) -> None:
    (service,) = instances(railway, place)
    (volume,) = volumes(railway, place)
    (proxy,) = proxies(railway, place)
    assert volume.service_id == proxy.service_id == service.service_id
    assert len(railway.world.state.volumes) == len(railway.world.state.volume_instances)
    assert ours.sql(db, "SELECT 1", app=True) == [(1,)]
    assert service.variables["POSTBASE_SYSTEM_ID"] == db.status.system_id


async def provision(railway: RailwayDouble, place: Place, dies_after: int) -> list[str]:
    """With one death after so many requests; the requests of the process that died, or did not."""
    ring, asked, db = Ring(), [], railway_database()
    try:
        async with operator(railway, place, ring, dies_after) as ours:
            asked = ours.client.asked
            db = await ours.ready(db)
            check(railway, place, ours, db)
            return asked
    except Killed:
        pass
    async with operator(railway, place, ring) as heir:
        db = await heir.ready(railway_database())
        check(railway, place, heir, db)
        await heir.gone(db)
    return asked


@pytest.mark.timeout(900)  # some thirty provisions
@pytest.mark.trap("image-before-volume", "outcome-unknown", "volume-made-twice", "pr-environments")
async def test_killed_after_each_request(railway: RailwayDouble) -> None:
    whole = await provision(railway, new_place(railway), 0)
    changes = [name for name in whole if not name.startswith(("Read", "Environment", "Recent"))]
    assert changes[:4] == ["Regions", "CreateService", "UpdateServiceInstance", "CreateVolume"]
    killed = 0
    for number in range(1, MOST):
        asked = await provision(railway, new_place(railway), number)
        if len(asked) < number:
            break
        assert asked == whole[:number]
        killed += 1
    assert killed == len(whole)


@pytest.mark.parametrize(
    ("operation", "fault", "sent"),
    [
        ("serviceCreate", TooMany(1), 2),
        ("serviceCreate", Gateway(504), 1),
        ("serviceCreate", Lost(), 1),
        ("serviceCreate", NotFoundFor(0.9), 1),
        ("serviceInstanceUpdate", Gateway(503, done=False), 2),
        ("volumeCreate", Gateway(504), 1),
        ("volumeCreate", Gateway(504, done=False), 2),
        ("volumeCreate", Stale(0.7), 1),
        ("volumeCreate", TooMany(1), 2),
        ("environmentPatchCommit", Problem(), 1),
        ("environmentPatchCommit", PatchRejected("Something went wrong"), 2),
        ("serviceInstanceLimitsUpdate", Gateway(502), 1),
    ],
    ids=str,
)
@pytest.mark.trap(
    "volume-seen-late",
    "instance-found-late",
    "commit-is-async",
    "deploy-makes-another",
    "outcome-unknown",
    "volume-made-twice",
)
async def test_a_bad_day(
    railway: RailwayDouble,
    place: Place,
    operation: str,
    fault: Fault,
    sent: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("postbase_operator.railway.graphql.commits.REJECTED_AGAIN", 3.0)
    before = railway.counted()[operation]
    railway.next(operation, fault)
    async with operator(railway, place) as ours:
        db = await ours.ready(railway_database())
        check(railway, place, ours, db)
        assert ours.refusals
        assert railway.counted()[operation] - before == sent  # what was done is not asked again
        assert len(deployments(railway, place)) == 1
        if isinstance(fault, PatchRejected):  # the commit itself had said success
            assert any(fault.error in each for each in ours.refusals)
        await ours.gone(db)
