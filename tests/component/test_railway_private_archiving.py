"""Archiving of a private Database on Railway: receiver and Caretaker are one process, and how the
archive does is told by the server through the Caretaker."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from dataclasses import replace

import pytest

from component.railway_operator import Operator, changed, is_ready, said
from component.railway_private import caretakers, hurry, inside, private_database, proxies_ever
from component.railway_receivers import (
    OFF,
    ON,
    ROWS,
    Site,
    archiving,
    assert_same,
    process,
    reached,
    streams,
)
from postbase_operator.api.database import Database
from postbase_operator.archive.receiver_environment import PASSWORD, STORE
from postbase_operator.archive.server_wish import WISH
from postbase_operator.railway.receiver_service import REVISION
from postbase_operator.wal.lsn import Lsn
from railway.double import RailwayDouble

SLOTS = "SELECT slot_name::text, active FROM pg_replication_slots"


@pytest.fixture(scope="module")
def railway() -> Iterator[RailwayDouble]:
    with RailwayDouble() as double:
        yield double


@pytest.fixture(autouse=True)
def _hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    hurry(monkeypatch)


@pytest.fixture
async def ours(site: Site) -> AsyncIterator[Operator]:
    async with process(site) as made:
        yield made


async def test_what_is_written_is_in_the_bucket_and_no_proxy_was_ever_made(
    ours: Operator, site: Site
) -> None:
    db = await archiving(ours, expose="Private")
    assert is_ready(db)
    inside(ours, site.place, db, ROWS.format("t"))
    inside(ours, site.place, db, ROWS.format("u"))
    ((text,),) = inside(ours, site.place, db, "SELECT pg_current_wal_flush_lsn()::text")
    owner, end = site.owner(), Lsn.parse(text)
    await reached(site, owner, end)
    assert_same(site, owner, end)
    assert site.service().sealed == {WISH, PASSWORD, STORE["AWS_SECRET_ACCESS_KEY"]}
    assert db.status.pitr is not None
    assert db.status.pitr.receiver is not None
    assert str(db.status.pitr.receiver.state) == "Running"
    assert proxies_ever(site.double, site.place) == 0


async def test_switched_off_the_slot_goes_and_the_caretaker_stays(
    ours: Operator, site: Site
) -> None:
    db = await archiving(ours, expose="Private")
    began = inside(ours, site.place, db, "SELECT pg_postmaster_start_time()")
    assert inside(ours, site.place, db, SLOTS) == [("postbase_walrx", True)]

    def off(each: Database) -> bool:
        return is_ready(each) and not inside(ours, site.place, each, SLOTS)

    db = await ours.until(changed(db, pitr=OFF), off)
    (beside,) = caretakers(site.double, site.place)
    assert not beside.variables.keys() & {PASSWORD, *STORE.values()}  # it has no keys any more
    assert said(db, "Archiving")[0] == ""
    assert inside(ours, site.place, db, "SELECT pg_postmaster_start_time()") == began
    await ours.until(changed(db, pitr=ON), streams)
    await ours.gone(db)
    assert site.services() == []


async def test_switched_off_before_it_was_seen_to_be_on_it_goes_off(
    ours: Operator, site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was read before the commit was applied passed for what was wanted once more."""
    db = await ours.ready(private_database(pitr=OFF, bootstrap={"empty": {}}))
    before, commits = revision(site), ours.client.asked.count("CommitPatch")
    monkeypatch.setattr(site.double.settings.delays, "patch", 1.5)
    on = changed(db, pitr=ON)
    on = await ours.until(on, lambda _: ours.client.asked.count("CommitPatch") > commits)
    on, _ = await ours.look(on)
    assert revision(site) == before, "it was applied before it was looked at once more"
    off = changed(on, pitr=OFF)
    off = await ours.until(off, lambda _: revision(site) != before)
    off = await ours.until(off, lambda each: is_ready(each) and revision(site) == before)
    await ours.gone(off)


def revision(site: Site) -> str:
    """Of what the service was told, as Railway has it."""
    return site.service().variables[REVISION]


async def test_a_store_that_it_cannot_open_keeps_nobody_from_the_database(site: Site) -> None:
    """The Caretaker is there, whatever is the matter with the archive."""
    site.store = replace(site.store, access_key_id="", secret_access_key="")
    async with process(site) as keyless:
        db = await keyless.ready(private_database(pitr=ON, bootstrap={"empty": {}}))
        db = await keyless.until(db, lambda each: said(each, "Archiving")[0] == "False")
        db = await keyless.ready(changed(db, parameters={"work_mem": "6MB"}))
        assert inside(keyless, site.place, db, "SHOW work_mem") == [("6MB",)]
