"""An operator that is killed after any of its requests while it switches archiving on or off: in
the end there is one receiver, or none, and nothing else of it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from component.railway_operator import (
    Killed,
    Operator,
    Ring,
    changed,
    operator,
    proxies,
    railway_database,
    volumes,
)
from component.railway_receivers import OFF, ON, Site, slots, streams
from postbase_operator.api.database import Database
from railway.clock import VirtualClock
from railway.double import RailwayDouble
from railway.faults import Fault, Gateway, Lost, NotFoundFor, PatchRejected, Problem
from railway.settings import Settings


@pytest.fixture(scope="module")
def railway() -> Iterator[RailwayDouble]:
    with RailwayDouble(Settings(rate_limited=False), VirtualClock()) as double:
        yield double


def check(site: Site) -> None:
    assert len(site.services()) == 1
    assert len(volumes(site.double, site.place)) == len(proxies(site.double, site.place)) == 1


async def switched(
    site: Site, ring: Ring, db: Database, *, on: bool, dies_after: int = 0
) -> tuple[Database, list[str]]:
    """By a process that dies after so many requests, and by its heir; what the first has asked for.
    The Database keeps the status that was written last."""
    db, asked = changed(db, pitr=ON if on else OFF), []
    try:
        async with operator(site.double, site.place, ring, dies_after, site.store) as ours:
            asked = ours.client.asked
            return await until_done(site, ours, db, on=on), asked
    except Killed:
        pass
    async with operator(site.double, site.place, ring, store=site.store) as heir:
        return await until_done(site, heir, db, on=on), asked


async def until_done(site: Site, ours: Operator, db: Database, *, on: bool) -> Database:
    if on:
        return await ours.until(db, streams)
    return await ours.until(db, lambda _: not site.services() and not slots(ours, db))


@pytest.mark.timeout(900)
@pytest.mark.trap("outcome-unknown")
async def test_killed_after_each_request(site: Site) -> None:
    """Up to the last that changes anything; after it there are only looks."""
    ring = Ring()
    async with operator(site.double, site.place, ring, store=site.store) as ours:
        db = await ours.ready(railway_database())
    db, asked_on = await switched(site, ring, db, on=True)
    db, asked_off = await switched(site, ring, db, on=False)
    last = {True: changes(asked_on)[-1], False: changes(asked_off)[-1]}
    assert [asked_on[n - 1] for n in changes(asked_on)] == ["CreateService", "CommitPatch"]
    assert [asked_off[n - 1] for n in changes(asked_off)] == ["DeleteService"]
    for number in range(1, max(last.values()) + 1):
        before = site.double.counted()["serviceCreate"]
        db, _ = await switched(site, ring, db, on=True, dies_after=number)
        check(site)
        assert site.double.counted()["serviceCreate"] - before == 1, number
        db, _ = await switched(site, ring, db, on=False, dies_after=number)
        assert len(volumes(site.double, site.place)) == 1


def changes(asked: list[str]) -> list[int]:
    """The places of requests that change something, from 1."""
    looks = ("Read", "Environment", "Recent", "Deployment", "List")
    return [n for n, name in enumerate(asked, 1) if not name.startswith(looks)]


@pytest.mark.parametrize(
    ("operation", "fault", "sent"),
    [
        ("serviceCreate", Gateway(504), 1),
        ("serviceCreate", Lost(), 1),
        ("serviceCreate", NotFoundFor(0.9), 1),
        ("serviceCreate", Gateway(503, done=False), 2),
        ("environmentPatchCommit", Problem(), 1),
        ("environmentPatchCommit", PatchRejected("Something went wrong"), 2),
        ("serviceDelete", Gateway(504), 1),
        ("serviceDelete", Gateway(503, done=False), 2),
    ],
    ids=str,
)
@pytest.mark.trap("instance-found-late", "commit-is-async", "outcome-unknown")
async def test_a_bad_day(
    site: Site, operation: str, fault: Fault, sent: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("postbase_operator.railway.graphql.commits.REJECTED_AGAIN", 3.0)
    async with operator(site.double, site.place, store=site.store) as ours:
        db = await ours.ready(railway_database())
        before = site.double.counted()[operation]
        site.double.next(operation, fault)
        db = await ours.until(changed(db, pitr=ON), streams)
        check(site)
        assert len(site.deployments()) == 1
        db = changed(db, pitr=OFF)
        db = await ours.until(db, lambda _: not site.services() and not slots(ours, db))
        assert site.double.counted()[operation] - before == sent
        await ours.gone(db)
