"""Databases on Railway that are restored out of dumps: the Job's real processes go through the
double's proxy into its real PostgreSQL, and the databases change names there."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

import psycopg
import pytest

from component.job_runs import record_in
from component.load_runs import dump, settle
from component.railway_dumps import (
    ROWS,
    Beside,
    a_database,
    clustered,
    count,
    databases,
    dumped,
    holds,
    loaded,
    temporary_roles,
)
from component.railway_in_place import restored, step, told, until, wish
from component.railway_operator import said
from component.railway_receivers import Site, streams
from component.railway_restores import COPY, ON, Parts, copy_of, patience, railway, site, taken
from component.servers import Servers, servers
from component.store_server import store_of
from postbase_operator.api.database import Database
from postbase_operator.archive import copies
from postbase_operator.kube.kinds import BACKUP
from postbase_operator.kube.refusals import QuotaExceeded

__all__ = ["patience", "railway", "servers", "site"]
pytestmark = pytest.mark.timeout(1200)


@pytest.fixture
async def beside(site: Site, tmp_path: Path) -> AsyncIterator[Beside]:
    async with clustered(site, tmp_path / "pods") as made:
        yield made


async def test_in_place_the_rows_come_back_and_the_undo_brings_back_what_was(
    beside: Beside, site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ours, cluster = beside
    db = await a_database(ours)
    ours.sql(db, ROWS.format("t"), app=True)
    backup = await dumped(ours, site, db, tmp_path / "dump", monkeypatch)
    ours.sql(db, "DELETE FROM t; CREATE TABLE later AS SELECT 1 AS n", app=True)
    front, services = ours.ring.fronts[db.metadata.uid], len(Parts(site, db).services)
    first = wish(db, "back", loaded(backup.metadata.name), keepPrevious="1h")

    db, first = await restored(ours, db, first)
    assert count(ours, db, "t") == 2000
    with pytest.raises(psycopg.errors.UndefinedTable):
        count(ours, db, "later")
    assert ours.sql(db, "SELECT tableowner FROM pg_tables WHERE tablename = 't'", app=True) == [
        ("app",)
    ]
    kept = first.status.previous_database
    assert kept is not None
    assert databases(ours, db) == {"app", kept.name}
    assert kept.kept_until is not None
    assert temporary_roles(ours, db) == 0
    # The same service at the same address; one run, and no password where others can see it.
    assert ours.ring.fronts[db.metadata.uid] == front
    assert len(Parts(site, db).services) == services
    (run,) = cluster.runs
    password = ours.ring.passwords[db.metadata.uid]
    assert password not in str(run.job) + " ".join(run.argv) + run.log
    assert run.container("load")["image"].endswith("/postgres-ssl:15")
    with pytest.raises(psycopg.OperationalError, match="not currently accepting connections"):
        psycopg.connect(
            host=front.host,
            port=front.port,
            user="postgres",
            password=password,
            dbname=kept.name,
        )

    second = wish(db, "undo", {"previous": {}}, keepPrevious="0s")
    db, second = await restored(ours, db, second)
    assert count(ours, db, "t") == 0
    assert count(ours, db, "later") == 1
    db = await ours.until(db, lambda each: databases(ours, each) == {"app"})
    assert len(cluster.runs) == 1


async def test_a_new_database_begins_with_the_dump_of_another(
    beside: Beside, site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By a PitrRestore, that shows it to the cluster first; until it is whole nobody gets in."""
    ours, cluster = beside
    source = await a_database(ours)
    ours.sql(source, ROWS.format("t"), app=True)
    backup = await dumped(ours, site, source, tmp_path / "dump", monkeypatch)
    new = {"newDatabase": {"name": "shop-copy"}}
    restore = wish(source, "copy", loaded(backup.metadata.name), target=new)
    source, restore = await until(ours, source, restore, lambda *_: bool(ours.schedule.databases))
    assert {each["kind"] for each in cluster.shown} == {"Job", "Pod"}
    (made,) = ours.schedule.databases
    body = made.to_wire()
    now = datetime.now(UTC).isoformat()
    body["metadata"] |= {"uid": COPY, "generation": 1, "creationTimestamp": now}
    copy = await ours.until(Database.model_validate(body), lambda _: bool(cluster.runs))
    assert said(copy)[0] != "True"
    assert "app" not in databases(ours, copy)
    copy = await ours.ready(copy)
    assert count(ours, copy, "t") == 2000
    assert databases(ours, copy) == {"app"}
    assert temporary_roles(ours, copy) == 0
    assert count(ours, source, "t") == 2000
    assert len(Parts(site, copy).services) == 1
    assert len(cluster.runs) == 1


async def test_a_backup_that_was_made_on_kubernetes(
    beside: Beside, site: Site, servers: Servers, tmp_path: Path
) -> None:
    ours, _ = beside
    server, store = servers.new(15), store_of(site.store)
    settle(server)
    server.sql("CREATE DATABASE app OWNER app")
    server.sql("CREATE ROLE reader LOGIN PASSWORD 'a word'")
    server.sql("CREATE TABLE t AS SELECT generate_series(1, 3) AS n", dbname="app")
    server.sql("ALTER TABLE t OWNER TO app", dbname="app")
    server.sql("GRANT SELECT ON t TO reader", dbname="app")
    run = await asyncio.to_thread(dump, server, store, tmp_path / "dump")
    backup = taken(copy_of("shop-main"), record_in(store, run))
    ours.cache.put(BACKUP, backup.to_wire())
    begins = copy_of(bootstrap=loaded(backup.metadata.name), pitr=ON)
    copy = await ours.until(await ours.ready(begins), streams)
    assert count(ours, copy, "t") == 3
    roles = "SELECT rolcanlogin, rolpassword FROM pg_authid WHERE rolname = 'reader'"
    assert ours.sql(copy, roles) == [(True, None)]
    assert ours.sql(copy, "SELECT rolname FROM pg_roles WHERE rolname = 'postbase_admin'") == []


async def test_what_the_cluster_refuses_is_told_before_anything_is_made(
    beside: Beside, site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ours, cluster = beside
    db = await a_database(ours)
    backup = await dumped(ours, site, db, tmp_path / "dump", monkeypatch)
    cluster.refusal = QuotaExceeded("kubernetes", "exceeded quota: jobs")
    restore = wish(db, "back", loaded(backup.metadata.name))
    db, restore = await step(ours, db, restore)
    assert told(restore)[0] == "Failed"
    assert told(restore)[1].startswith("QuotaExceeded: ")
    assert "exceeded quota: jobs" in told(restore)[1]
    assert cluster.runs == []


async def test_one_that_is_deleted_in_the_middle_leaves_nothing(
    beside: Beside, site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ours, cluster = beside
    db = await a_database(ours)
    ours.sql(db, ROWS.format("t"), app=True)
    holds(ours, db)
    backup = await dumped(ours, site, db, tmp_path / "dump", monkeypatch)
    ours.sql(db, "CREATE ROLE hold")
    restore = wish(db, "back", loaded(backup.metadata.name))
    filling = copies.restoring(restore.metadata.uid)
    db, restore = await until(ours, db, restore, lambda each, _: filling in databases(ours, each))
    ours.restores = ()  # nobody wants it any more
    db = await ours.until(db, lambda each: databases(ours, each) == {"app"})
    assert temporary_roles(ours, db) == 0
    await cluster.close()  # its Job was ended, too
    assert [key for key in cluster.held if key[0] == "Job"] == []
    db = await ours.ready(db)
    assert databases(ours, db) == {"app"}
