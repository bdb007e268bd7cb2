"""Settings that PostgreSQL does not start with, on Railway: there is a way back."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta

import pytest

from component.patience import Patience
from component.railway_operator import (
    Killed,
    Operator,
    Ring,
    changed,
    deployments,
    instances,
    is_ready,
    new_place,
    operator,
    railway_database,
    said,
    volumes,
)
from postbase_operator.api.database import Database
from postbase_operator.planning.restart import REQUEST
from postbase_operator.railway.graphql.reads import Place
from railway.double import RailwayDouble
from railway.settings import Settings

TOO_MUCH = {"shared_buffers": "4TB", "max_connections": "50"}
"""No machine of the tests has it; PostgreSQL takes it from ALTER SYSTEM nevertheless."""
MOST = 12
"""Changes of a way back; more would be a defect of its own."""


@pytest.fixture(scope="module")
def railway() -> Iterator[RailwayDouble]:
    with RailwayDouble(Settings(rate_limited=False)) as double:
        yield double


def is_refused(db: Database) -> bool:
    return said(db, "Stalled")[:2] == ("True", "ParametersRejected")


def start_command(railway: RailwayDouble, place: Place) -> str | None:
    (service,) = instances(railway, place)
    return service.start_command


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each deployment lasts as long as the drain of the one before."""
    monkeypatch.setattr("postbase_operator.railway.services.DRAINING_SECONDS", 1)
    monkeypatch.setattr("component.railway_operator.SETTLES", 1.0)
    monkeypatch.setattr("postbase_operator.railway.lifecycle.safe_start.READ_EVERY", 1.0)


@pytest.mark.parametrize("version", ["15", "18"])
async def test_it_serves_on_is_told_and_takes_what_is_corrected(
    railway: RailwayDouble, version: str
) -> None:
    place = new_place(railway)
    async with operator(railway, place) as ours:
        db = await ours.ready(railway_database(postgresVersion=version))
        ours.sql(db, "CREATE TABLE t AS SELECT 7 AS n", app=True)
        db = await ours.until(changed(db, parameters=TOO_MUCH), is_refused)
        assert "shared_buffers" in said(db, "Stalled")[2]
        await serves_as_it_is(ours, db, railway, place)
        db = await asked_again(ours, db, railway, place)
        await serves_as_it_is(ours, db, railway, place)
        db = changed(db, parameters={"max_connections": "60"})
        db = await ours.until(db, lambda each: is_ready(each) and not waits(each))
        assert ours.sql(db, "SHOW shared_buffers") == [("64MB",)]
        assert ours.sql(db, "SHOW max_connections") == [("60",)]
        assert ours.sql(db, "SELECT n FROM t", app=True) == [(7,)]
        assert not start_command(railway, place)
        assert len(volumes(railway, place)) == 1
        await ours.gone(db)


def waits(db: Database) -> bool:
    return said(db, "RestartPending")[0] == "True"


async def serves_as_it_is(
    ours: Operator, db: Database, railway: RailwayDouble, place: Place
) -> None:
    """It is neither deployed nor told otherwise at the next looks."""
    before = len(deployments(railway, place))
    for _ in range(5):
        db, _ = await ours.look(db)
        assert is_refused(db)
    assert len(deployments(railway, place)) == before
    assert ours.sql(db, "SELECT n FROM t", app=True) == [(7,)]
    assert ours.sql(db, "SHOW shared_buffers") == [("128MB",)]


async def asked_again(
    ours: Operator, db: Database, railway: RailwayDouble, place: Place
) -> Database:
    """They are as before: so it is as before afterwards, and was tried in between."""
    before = len(deployments(railway, place))
    body = db.to_wire()
    body["metadata"]["annotations"] = {REQUEST: "again"}
    db = Database.model_validate(body)
    db = await ours.until(db, lambda _: not start_command(railway, place))
    db = await ours.until(db, lambda _: bool(start_command(railway, place)))
    db = await ours.until(db, is_refused)
    assert db.status.requests["restart"] == "again"
    assert len(deployments(railway, place)) == before + 2
    return db


async def test_what_is_down_for_another_reason_is_left_as_it_is(railway: RailwayDouble) -> None:
    """Settings wait for a restart, and the container fails before PostgreSQL has said a word."""
    place = new_place(railway)
    async with operator(railway, place) as ours:
        db = await ours.ready(railway_database(restartPolicy="Never"))
        db = await ours.until(
            changed(db, parameters={"max_connections": "50"}),
            waits,
        )
        (service,) = instances(railway, place)
        railway.crash_next(service.service_id, 10**6)
        railway.migrate_host(service.service_id, place.environment_id)
        db = await ours.until(db, lambda each: said(each)[1] == "ServerUnreachable")
        waiting = Patience(4.0, 0.2)
        while not waiting.is_over():
            db, _ = await ours.look(db)
            assert not start_command(railway, place)
        railway.world.crashes.clear()
        db = await ours.ready(db)
        assert ours.sql(db, "SHOW max_connections") == [("50",)]
        await ours.gone(db)


class Memory:
    """The status as the cluster keeps it, whoever dies."""

    def __init__(self, db: Database) -> None:
        self.db = db

    async def until(self, ours: Operator, done: Callable[[Database], bool]) -> None:
        waiting = Patience(90.0, 0.1)
        while not done(self.db):
            self.db, _ = await ours.look(self.db)
            assert not waiting.is_over(), (said(self.db), ours.refusals[-3:])


async def way_back(railway: RailwayDouble, dies_after: int) -> list[str]:
    """With one death after so many changes at Railway; those that the process had made."""
    place, ring = new_place(railway), Ring()
    async with operator(railway, place, ring) as ours:
        db = await ours.ready(railway_database())
    held = Memory(changed(db, parameters=TOO_MUCH))
    try:
        async with operator(railway, place, ring, dies_after) as ours:
            ours.client.counts = is_change
            await held.until(ours, is_refused)
            made = [name for name in ours.client.asked if is_change(name)]
    except Killed:
        made = [name for name in ours.client.asked if is_change(name)]
    async with operator(railway, place, ring) as heir:
        await held.until(heir, is_refused)
        held.db = changed(held.db, parameters={})
        await held.until(heir, lambda db: is_ready(db) and not waits(db))
        assert heir.sql(held.db, "SHOW max_connections") == [("100",)]
        assert not start_command(railway, place)
        await heir.gone(held.db)
    return made


def is_change(name: str) -> bool:
    return name in ("UpdateServiceInstance", "Deploy", "SetVariables", "SetLimits", "CommitPatch")


@pytest.mark.timeout(600)
async def test_killed_after_each_change(
    railway: RailwayDouble, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between the command and its deployment it is deployed once more, minutes later."""
    again = "postbase_operator.railway.lifecycle.safe_start.AGAIN"
    monkeypatch.setattr(again, timedelta(seconds=6))
    whole = await way_back(railway, 0)
    assert whole[-2:] == ["UpdateServiceInstance", "Deploy"], whole
    for number in range(1, MOST):
        made = await way_back(railway, number)
        if len(made) < number:
            break
    else:
        pytest.fail(f"more than {MOST} changes: {whole}")
