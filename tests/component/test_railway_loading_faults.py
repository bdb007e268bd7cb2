"""What goes wrong while a dump is restored on Railway: the run is made again, or nobody gets in."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from component.railway_dumps import (
    Beside,
    a_database,
    clustered,
    databases,
    dumped,
    holds,
    loaded,
    temporary_roles,
)
from component.railway_in_place import restored, told, until, wish
from component.railway_loads import LATER
from component.railway_receivers import Site
from component.railway_restores import Parts, patience, railway, site
from component.store_server import store_of
from component.tls_relay import eavesdropper
from postbase_operator.archive.run import VARIABLE

__all__ = ["patience", "railway", "site"]
pytestmark = pytest.mark.timeout(1200)


@pytest.fixture
async def beside(site: Site, tmp_path: Path) -> AsyncIterator[Beside]:
    async with clustered(site, tmp_path / "pods") as made:
        yield made


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """The next attempt."""
    monkeypatch.setattr("postbase_operator.planning.loading.back_off", lambda _: -LATER)


@pytest.mark.trap("railway-redeploys")
async def test_a_deployment_of_railways_own_in_the_middle_ends_it_and_the_next_is_whole(
    beside: Beside, site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ours, cluster = beside
    db = await a_database(ours)
    holds(ours, db)
    backup = await dumped(ours, site, db, tmp_path / "dump", monkeypatch)
    ours.sql(db, "CREATE ROLE hold")
    restore = wish(db, "back", loaded(backup.metadata.name), keepPrevious="0s")
    busy = "SELECT 1 FROM pg_stat_activity WHERE query LIKE 'CREATE INDEX%' AND state = 'active'"
    db, restore = await until(ours, db, restore, lambda each, _: bool(ours.sql(each, busy)))
    ours.sql(db, "DROP ROLE hold")  # for the next attempt: this one goes by what it has seen
    (service,) = Parts(site, db).services
    site.double.migrate_host(service.service_id, site.place.environment_id)
    db, restore = await restored(ours, db, restore)
    first, second = cluster.runs
    assert '"ServerUnavailable"' in first.word
    assert second.code == 0
    assert ours.sql(db, "SELECT count(*) FROM rows", app=True) == [(400,)]
    assert temporary_roles(ours, db) == 0
    await ours.until(db, lambda each: databases(ours, each) == {"app"})


@pytest.mark.trap("certificate-is-localhosts")
@pytest.mark.parametrize("asks", [False, True], ids=["relays", "asks"])
@pytest.mark.parametrize("misled", [VARIABLE, "PGPORT"], ids=["our-program", "pg_restore"])
async def test_who_stands_between_gets_neither_in_nor_the_dump(
    beside: Beside,
    site: Site,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    misled: str,
    asks: bool,
) -> None:
    ours, cluster = beside
    db = await a_database(ours)
    ours.sql(db, "CREATE TABLE treasure AS SELECT 1 AS n", app=True)
    backup = await dumped(ours, site, db, tmp_path / "dump", monkeypatch)
    front = ours.ring.fronts[db.metadata.uid]
    with eavesdropper(front.host, front.port, tmp_path, asks=asks) as (between, port):
        cluster.told = lambda name, value: (
            value.replace(str(front.port), str(port)) if name == misled else value
        )
        restore = wish(db, "back", loaded(backup.metadata.name))
        db, restore = await until(ours, db, restore, lambda _, each: each.is_done())
        assert not between.given
        assert b"treasure" not in between.read
        assert b"postbase_restore_owners" not in between.read
    assert told(restore)[0] == "Failed"
    assert "channel binding" in told(restore)[1]
    assert databases(ours, db) == {"app"}
    assert temporary_roles(ours, db) == 0


async def test_with_a_password_that_was_edited_it_fails_and_the_database_serves_on(
    beside: Beside, site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ours, cluster = beside
    db = await a_database(ours)
    backup = await dumped(ours, site, db, tmp_path / "dump", monkeypatch)
    cluster.told = lambda name, value: "another" if name == "PGPASSWORD" else value
    restore = wish(db, "back", loaded(backup.metadata.name))
    db, restore = await until(ours, db, restore, lambda _, each: each.is_done())
    assert told(restore)[0] == "Failed"
    assert "password authentication failed" in told(restore)[1]
    assert len(cluster.runs) == 3
    db = await ours.ready(db)
    assert databases(ours, db) == {"app"}


async def test_a_bit_that_was_flipped_is_found_before_anything_is_made(
    beside: Beside, site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ours, cluster = beside
    db = await a_database(ours)
    backup = await dumped(ours, site, db, tmp_path / "dump", monkeypatch)
    store = store_of(site.store)
    key = next(each.key for each in store.list("") if each.key.endswith(".dump.gz"))
    data = store.get(key)
    store.put(key, data[:-9] + bytes([data[-9] ^ 1]) + data[-8:], if_absent=False)
    restore = wish(db, "back", loaded(backup.metadata.name))
    db, restore = await until(ours, db, restore, lambda _, each: each.is_done())
    assert told(restore)[1].startswith("ChecksumMismatch: ")
    assert len(cluster.runs) == 1
    assert databases(ours, db) == {"app"}
