"""An operator that is killed after any of its requests while a Database on Railway begins with an
archive: in the end there is one service, one volume and one proxy, with all of the data."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from component.railway_operator import Killed, Operator, Ring, new_place, operator
from component.railway_receivers import Site
from component.railway_restores import (
    Parts,
    archiving,
    backed_up,
    copy_of,
    latest_of,
    written,
)
from postbase_operator.api.database import Database
from postbase_operator.objectstore.settings import StoreConfig
from railway.clock import VirtualClock
from railway.double import RailwayDouble
from railway.faults import Fault, Gateway, Lost, PatchRejected, Problem
from railway.settings import Settings

pytestmark = pytest.mark.timeout(2400)


@pytest.fixture(scope="module")
def railway() -> Iterator[RailwayDouble]:
    with RailwayDouble(Settings(rate_limited=False), VirtualClock()) as double:
        yield double


@pytest.fixture(autouse=True)
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("component.railway_operator.PATIENCE", 600.0)
    monkeypatch.setattr("component.railway_receivers.WITHIN", 600.0)


@pytest.fixture
def site(railway: RailwayDouble, s3_config: StoreConfig) -> Site:
    return Site(railway, new_place(railway), s3_config)


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


def changes(asked: list[str]) -> list[int]:
    """The places of requests that change something, from 1."""
    looks = ("Read", "Environment", "Recent", "Deployment", "List", "Regions")
    return [n for n, name in enumerate(asked, 1) if not name.startswith(looks)]


@pytest.mark.trap("outcome-unknown", "volume-made-twice")
async def test_killed_after_each_request(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After each that changes something: what comes between are looks, which leave nothing."""
    ring = Ring()
    source = await archive(site, ring, tmp_path / "pod", monkeypatch)
    copy = copy_of(bootstrap=latest_of(source), deletionPolicy="Delete")
    async with operator(site.double, site.place, ring, store=site.store) as ours:
        copy = await ours.ready(copy)
        check(site, ours, copy)
        asked = list(ours.client.asked)
        await ours.gone(copy)
    told = [asked[n - 1] for n in changes(asked)]
    assert told[:3] == ["CreateService", "UpdateServiceInstance", "CreateVolume"], told
    assert told[3:] == ["CommitPatch"] * 3, told
    for number in changes(asked):
        copy = copy_of(bootstrap=latest_of(source), deletionPolicy="Delete")
        try:
            async with operator(site.double, site.place, ring, number, site.store) as mortal:
                await mortal.ready(copy)
        except Killed:
            pass
        async with operator(site.double, site.place, ring, store=site.store) as heir:
            copy = await heir.ready(copy)
            check(site, heir, copy)
            await heir.gone(copy)
    assert not Parts(site, copy).services


@pytest.mark.parametrize(
    ("operation", "fault"),
    [
        ("serviceCreate", Gateway(504)),
        ("volumeCreate", Lost()),
        ("environmentPatchCommit", Problem()),
        ("environmentPatchCommit", PatchRejected("Something went wrong")),
        ("variableCollectionUpsert", Gateway(503, done=False)),
        ("serviceInstanceDeployV2", Gateway(504)),
    ],
    ids=str,
)
@pytest.mark.trap("commit-is-async", "outcome-unknown")
async def test_a_bad_day(
    site: Site,
    operation: str,
    fault: Fault,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("postbase_operator.railway.commits.REJECTED_AGAIN", 3.0)
    ring = Ring()
    source = await archive(site, ring, tmp_path / "pod", monkeypatch)
    async with operator(site.double, site.place, ring, store=site.store) as ours:
        site.double.next(operation, fault)
        copy = await ours.ready(copy_of(bootstrap=latest_of(source)))
        check(site, ours, copy)
