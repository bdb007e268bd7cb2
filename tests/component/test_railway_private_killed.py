"""An operator that is killed after any request that changes something, while it makes a private
Database, or closes its way in: in the end there is one of each, and no proxy.

After a request that only reads Railway is as it was before it: that death is the one before."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from component.railway_operator import (
    Killed,
    Operator,
    Ring,
    changed,
    instances,
    new_place,
    operator,
    proxies,
    railway_database,
    volumes,
)
from component.railway_private import (
    caretakers,
    hurry,
    inside,
    own,
    private_database,
    proxies_ever,
)
from postbase_operator.api.database import Database
from postbase_operator.railway.graphql.reads import Place
from railway.double import RailwayDouble
from railway.faults import (
    Fault,
    Gateway,
    Lost,
    NotFoundFor,
    PatchRejected,
    Problem,
    Stale,
    TooMany,
)
from railway.settings import Settings

READS = ("Read", "Environment", "Recent", "Regions", "Deployment", "ListServices")
PROVISION = [
    "CreateService",
    "UpdateServiceInstance",
    "CreateVolume",
    "RenameVolume",
    "SetLimits",
    "Deploy",
    "CreateService",
    "CommitPatch",
    "SetVariables",
]


@pytest.fixture(scope="module")
def railway() -> Iterator[RailwayDouble]:
    with RailwayDouble(Settings(rate_limited=False)) as double:
        yield double


@pytest.fixture(autouse=True)
def _hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the double is late by is far from what counts as not there, on a slow machine too."""
    hurry(monkeypatch)
    monkeypatch.setattr("component.railway_operator.SETTLES", 5.0)


def is_change(name: str) -> bool:
    return not name.startswith(READS)


def changes(ours: Operator) -> list[str]:
    return [name for name in ours.client.asked if is_change(name)]


def check(railway: RailwayDouble, place: Place, ours: Operator, db: Database) -> None:
    assert len(instances(railway, place)) == 2
    (volume,) = volumes(railway, place)
    service, (beside,) = own(railway, place), caretakers(railway, place)
    assert volume.service_id == service.service_id
    assert proxies(railway, place) == []
    assert inside(ours, place, db, "SELECT 1") == [(1,)]
    assert service.variables["POSTBASE_SYSTEM_ID"] == db.status.system_id
    for each in (service, beside):
        where = (each.service_id, place.environment_id)
        assert len(railway.world.state.deployments_of(*where)) == 1


async def provision(railway: RailwayDouble, place: Place, dies_after: int) -> list[str]:
    """With one death after so many changes; those of the process that died, or did not."""
    ring, asked, db = Ring(), [], private_database()
    try:
        async with operator(railway, place, ring, dies_after) as ours:
            ours.client.counts = is_change
            try:
                db = await ours.ready(db)
                check(railway, place, ours, db)
            finally:
                asked = changes(ours)
            await ours.gone(db)
            return asked
    except Killed:
        pass
    async with operator(railway, place, ring) as heir:
        db = await heir.ready(private_database())
        check(railway, place, heir, db)
        await heir.gone(db)
    return asked


@pytest.mark.timeout(600)
async def test_killed_after_each_change_of_a_provision(railway: RailwayDouble) -> None:
    whole = await provision(railway, new_place(railway), 0)
    assert sorted(whole) == sorted(PROVISION)
    for number in range(1, len(whole) + 1):
        place = new_place(railway)
        asked = await provision(railway, place, number)
        assert len(asked) == number
        assert proxies_ever(railway, place) == 0
        assert instances(railway, place) == []


async def test_a_deployment_that_does_not_show_yet_is_not_made_twice(
    railway: RailwayDouble, place: Place
) -> None:
    """Killed right after it was asked for: another one would stop initdb in the middle."""
    ring, before = Ring(), railway.counted()["serviceInstanceDeployV2"]
    railway.next("serviceInstanceDeployV2", Stale(0.8))
    async with operator(railway, place, ring, dies_after=1) as ours:
        ours.client.counts = lambda name: name == "Deploy"
        with pytest.raises(Killed):
            await ours.ready(private_database())
    async with operator(railway, place, ring) as heir:
        db = await heir.ready(private_database())
        check(railway, place, heir, db)
        assert railway.counted()["serviceInstanceDeployV2"] - before == 1
        await heir.gone(db)


@pytest.mark.parametrize(
    ("operation", "fault", "sent"),
    [
        ("serviceInstanceDeployV2", Gateway(504), 1),
        ("serviceInstanceDeployV2", Gateway(504, done=False), 2),
        ("serviceCreate", Lost(), 2),
        ("serviceCreate", NotFoundFor(0.9), 2),
        ("environmentPatchCommit", Problem(), 1),
        ("environmentPatchCommit", PatchRejected("Something went wrong"), 2),
        ("deploymentLogs", Gateway(502), None),
        ("deploymentLogs", TooMany(1), None),
    ],
    ids=str,
)
async def test_a_bad_day(
    railway: RailwayDouble,
    place: Place,
    operation: str,
    fault: Fault,
    sent: int | None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """`sent`: how often it is asked for; None: as often as it takes."""
    monkeypatch.setattr("postbase_operator.railway.graphql.commits.REJECTED_AGAIN", 3.0)
    monkeypatch.setattr("postbase_operator.railway.wal.archiving.REJECTED_RESTS", 3.0)
    before = railway.counted()[operation]
    railway.next(operation, fault)
    async with operator(railway, place) as ours:
        db = await ours.ready(private_database())
        check(railway, place, ours, db)
        assert sent is None or railway.counted()[operation] - before == sent
        assert proxies_ever(railway, place) == 0
        await ours.gone(db)


async def switched(
    railway: RailwayDouble, place: Place, ring: Ring, db: Database, expose: str, dies_after: int
) -> tuple[Database, list[str]]:
    """By a process that dies after so many changes, and by its heir."""
    db, asked = changed(db, expose=expose), []
    try:
        async with operator(railway, place, ring, dies_after) as ours:
            ours.client.counts = is_change
            try:
                return await until_done(railway, place, ours, db), changes(ours)
            finally:
                asked = changes(ours)
    except Killed:
        pass
    async with operator(railway, place, ring) as heir:
        return await until_done(railway, place, heir, db), asked


async def until_done(
    railway: RailwayDouble, place: Place, ours: Operator, db: Database
) -> Database:
    private = db.spec.expose.value == "Private"
    db = await ours.ready(db)
    if private:
        assert proxies(railway, place) == []
        assert inside(ours, place, db, "SELECT n FROM t") == [(7,)]
    else:
        db = await ours.until(db, lambda _: not caretakers(railway, place))
        assert ours.sql(db, "SELECT n FROM t", app=True) == [(7,)]
        assert len(proxies(railway, place)) == 1
    assert len(volumes(railway, place)) == 1
    return db


@pytest.mark.timeout(600)
async def test_switched_both_ways_and_killed_after_each_change(
    railway: RailwayDouble, place: Place
) -> None:
    ring = Ring()
    async with operator(railway, place, ring) as ours:
        db = await ours.ready(railway_database())
        ours.sql(db, "CREATE TABLE t AS SELECT 7 AS n", app=True)
    db, closing = await switched(railway, place, ring, db, "Private", 0)
    assert closing == ["CreateService", "CommitPatch", "DeleteTcpProxy"]
    db, opening = await switched(railway, place, ring, db, "ClusterIP", 0)
    assert opening == ["CommitPatch", "DeleteService"]
    for number in range(1, len(closing) + 1):
        db, _ = await switched(railway, place, ring, db, "Private", number)
        db, _ = await switched(railway, place, ring, db, "LoadBalancer", min(number, 2))
