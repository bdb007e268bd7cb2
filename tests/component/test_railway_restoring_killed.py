"""An operator that is killed after any of its requests while a Database on Railway begins with an
archive: in the end there is one service, one volume and one proxy, with all of the data."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from component.railway_operator import Killed, Operator, Ring, operator
from component.railway_receivers import Site
from component.railway_restores import (
    Parts,
    archiving,
    backed_up,
    copy_of,
    latest_of,
    site,
    written,
)
from postbase_operator.api.database import Database
from railway.clock import VirtualClock
from railway.double import RailwayDouble
from railway.faults import Fault, Gateway, Lost, PatchRejected, Problem
from railway.settings import Settings

__all__ = ["site"]
pytestmark = pytest.mark.timeout(2400)


@pytest.fixture(scope="module")
def railway() -> Iterator[RailwayDouble]:
    with RailwayDouble(Settings(rate_limited=False), VirtualClock()) as double:
        yield double


@pytest.fixture(autouse=True)
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("component.railway_operator.PATIENCE", 600.0)
    monkeypatch.setattr("component.railway_receivers.WITHIN", 600.0)
    # Each of some sixty that are killed waits for it.
    monkeypatch.setattr("component.railway_operator.SETTLES", 1.0)


async def archive(
    site: Site, ring: Ring, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> Database:
    async with operator(site.double, site.place, ring, store=site.store) as ours:
        source = await archiving(ours)
        await backed_up(ours, site, source, folder, monkeypatch)
        await written(ours, site, source, "t")
    return source


def check(site: Site, ours: Operator, copy: Database) -> None:
    parts = Parts(site, copy)
    assert len(parts.services) == len(parts.volumes) == len(parts.proxies) == 1
    assert ours.sql(copy, "SELECT count(*) FROM t", app=True) == [(2000,)]


def changes(name: str) -> bool:
    """Whether the request of this document changes something; all others are looks."""
    return not name.startswith(("Read", "Environment", "Recent", "Deployment", "List", "Regions"))


@pytest.mark.trap("outcome-unknown", "volume-made-twice")
async def test_killed_after_each_request(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After each that changes something: what comes between are looks, which leave nothing."""
    ring = Ring()
    source = await archive(site, ring, tmp_path / "pod", monkeypatch)
    wanted = copy_of(bootstrap=latest_of(source), deletionPolicy="Delete")
    async with operator(site.double, site.place, ring, store=site.store) as ours:
        copy = await ours.ready(wanted)
        check(site, ours, copy)
        told = list(filter(changes, ours.client.asked))
        await ours.gone(copy)
    made = ["CreateService", "UpdateServiceInstance", "CreateVolume"]
    assert told[:6] == [*made, "CommitPatch", "CommitPatch", "CommitPatch"]
    for number in range(1, len(told) + 1):
        with suppress(Killed):
            async with operator(site.double, site.place, ring, number, site.store) as mortal:
                mortal.client.counts = changes
                await mortal.ready(wanted)
        async with operator(site.double, site.place, ring, store=site.store) as heir:
            copy = await heir.ready(wanted)
            check(site, heir, copy)
            await heir.gone(copy)
    assert not Parts(site, wanted).services


@pytest.mark.trap("commit-is-async", "outcome-unknown")
async def test_a_bad_day(site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One fault at each of the requests, and in the end all is there, once."""
    monkeypatch.setattr("postbase_operator.railway.graphql.commits.REJECTED_AGAIN", 3.0)
    ring = Ring()
    source = await archive(site, ring, tmp_path / "pod", monkeypatch)
    wanted = copy_of(bootstrap=latest_of(source), deletionPolicy="Delete")
    for operation, fault in FAULTS:
        async with operator(site.double, site.place, ring, store=site.store) as ours:
            site.double.next(operation, fault)
            copy = await ours.ready(wanted)
            check(site, ours, copy)
            await ours.gone(copy)


FAULTS: tuple[tuple[str, Fault], ...] = (
    ("serviceCreate", Gateway(504)),
    ("volumeCreate", Lost()),
    ("environmentPatchCommit", Problem()),
    ("environmentPatchCommit", PatchRejected("Something went wrong")),
    ("deploymentLogs", Gateway(503, done=False)),
)
