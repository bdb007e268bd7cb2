"""A receiver on Railway is started anew by request: once a value, and the log has no gap."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from datetime import datetime

import pytest

from component.railway_caller import Caller
from component.railway_operator import Killed, Operator, Ring, changed, said
from component.railway_receivers import (
    OFF,
    ON,
    ROWS,
    Site,
    archiving,
    assert_same,
    position,
    process,
    reached,
    streams,
)
from postbase_operator.api.database import Database
from postbase_operator.planning.receiver_restart import REQUEST, VERB
from postbase_operator.railway.services import MARKER, receiver_name
from railway.double import RailwayDouble
from railway.faults import Gateway, Refuses

RESTART = "deploymentRestart"


@pytest.fixture(scope="module")
def railway() -> Iterator[RailwayDouble]:
    with RailwayDouble() as double:
        yield double


@pytest.fixture(autouse=True)
def counted_anew(railway: RailwayDouble, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was asked for may show for as long as a receiver takes to leave."""
    monkeypatch.setattr("component.railway_operator.SETTLES", 20.0)
    railway.calls.clear()


@pytest.fixture
async def ours(site: Site) -> AsyncIterator[Operator]:
    async with process(site) as made:
        yield made


def asked(db: Database, value: str) -> Database:
    metadata = db.metadata.model_copy(update={"annotations": {REQUEST: value}})
    return db.model_copy(update={"metadata": metadata})


def is_served(db: Database) -> bool:
    return db.status.requests.get(VERB) == db.metadata.annotations[REQUEST]


def began(db: Database) -> datetime:
    assert db.status.pitr is not None
    assert db.status.pitr.receiver is not None
    assert db.status.pitr.receiver.started_at is not None
    return db.status.pitr.receiver.started_at


def restarts(site: Site) -> int:
    return site.double.counted()[RESTART]


async def dies(site: Site, ring: Ring, db: Database, after: int) -> None:
    async with process(site, ring) as mortal:
        mortal.client.dies_after = after
        await mortal.until(db, is_served)


async def test_it_is_another_process_of_the_same_deployment_and_no_byte_is_lost(
    ours: Operator, site: Site
) -> None:
    db = await archiving(ours)
    before, server = began(db), ours.sql(db, "SELECT pg_postmaster_start_time()")
    ours.sql(db, ROWS.format("t"), app=True)
    db = await ours.until(asked(db, "one"), is_served)
    db = await ours.until(db, lambda each: streams(each) and began(each) > before)
    for _ in range(5):
        db, _ = await ours.look(db)
    assert (restarts(site), len(site.deployments())) == (1, 1)
    ours.sql(db, "SELECT pg_switch_wal()")
    ours.sql(db, "CREATE TABLE u AS SELECT 1 AS n", app=True)
    owner, end = site.owner(), position(ours, db)
    await reached(site, owner, end)
    assert assert_same(site, owner, end) >= 1
    assert ours.sql(db, "SELECT pg_postmaster_start_time()") == server

    db = await ours.until(asked(db, "two"), is_served)
    assert restarts(site) == 2


async def test_killed_after_each_request_it_is_done_and_noted(site: Site) -> None:
    ring = Ring()
    async with process(site, ring) as first:
        db = await archiving(first)
    for after in range(1, 4):
        before, done = began(db), restarts(site)
        db = asked(db, f"at {after}")
        with pytest.raises(Killed):
            await dies(site, ring, db, after)
        async with process(site, ring) as heir:
            db = await heir.until(db, is_served)
            db = await heir.until(db, lambda each: streams(each) and began(each) > before)  # noqa: B023
        assert 1 <= restarts(site) - done <= 2
    assert len(site.services()) == 1


async def test_what_railway_has_not_done_is_not_noted_and_asked_for_again(
    ours: Operator, site: Site
) -> None:
    db = await archiving(ours)
    site.double.next(RESTART, Gateway(503, done=False))
    db, _ = await ours.look(asked(db, "one"))
    assert not is_served(db)
    db = await ours.until(db, is_served)
    assert restarts(site) == 2


async def test_what_railway_does_not_restart_for_us_is_deployed(ours: Operator, site: Site) -> None:
    db = await archiving(ours)
    before = began(db)
    site.double.next(RESTART, Refuses("Not Authorized"), times=1000)
    db = await ours.until(asked(db, "one"), is_served)
    db = await ours.until(db, lambda each: streams(each) and began(each) > before)
    assert len(site.deployments()) == 2


async def test_where_none_runs_the_request_is_noted_and_nothing_is_done(
    ours: Operator, site: Site
) -> None:
    db = await archiving(ours)
    db = await ours.until(changed(db, pitr=OFF), lambda _: not site.services())
    db = await ours.until(asked(db, "one"), is_served)
    call, name = Caller(site.double, site.double.token()), receiver_name(db, "c")
    where = {"projectId": site.place.project_id, "environmentId": site.place.environment_id}
    call("CreateService", input=where | {"name": name, "variables": {MARKER: "theirs"}})
    db = await ours.until(changed(asked(db, "two"), pitr=ON), is_served)
    assert restarts(site) == 0
    assert said(db, "Stalled")[0] == ""
