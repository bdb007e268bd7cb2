"""What tests of dumps on Railway begin with: an operator beside a cluster that runs its Jobs, a
Database, and a Logical Backup of it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from component.job_runs import record_in
from component.railway_jobs import started
from component.railway_loads import Cluster
from component.railway_operator import Operator, Ring, operator, railway_database
from component.railway_receivers import Site
from component.railway_restores import VERSION, taken
from component.store_server import store_of
from postbase_operator.api.backup import Backup
from postbase_operator.api.database import Database
from postbase_operator.kube.kinds import BACKUP

Beside = tuple[Operator, Cluster]
ROWS = "CREATE TABLE {} AS SELECT n, md5(n::text) FROM generate_series(1, 2000) n"


@asynccontextmanager
async def clustered(
    site: Site, folder: Path, ring: Ring | None = None
) -> AsyncIterator[tuple[Operator, Cluster]]:
    ring = ring or Ring()
    cluster = Cluster(site.store, ring.passwords, folder)
    try:
        async with operator(
            site.double, site.place, ring, store=site.store, cluster=cluster
        ) as ours:
            yield ours, cluster
    finally:
        await cluster.close()


async def a_database(ours: Operator, **spec: object) -> Database:
    """Of the version whose programs are at hand."""
    return await ours.ready(railway_database(postgresVersion=VERSION, **spec))


async def dumped(
    ours: Operator, site: Site, db: Database, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> Backup:
    """A Logical Backup of it, as its Job takes it."""
    store = store_of(site.store)
    pod, _ = await started(ours, db, folder)
    with monkeypatch.context() as patched:
        pod.prepare(patched)
        await asyncio.to_thread(pod.back_up, store)
    backup = taken(db, record_in(store, pod.run))
    ours.cache.put(BACKUP, backup.to_wire())
    return backup


def count(ours: Operator, db: Database, table: str) -> int:
    query = f"SELECT count(*) FROM {table}"  # noqa: S608 - of the test
    return int(ours.sql(db, query, app=True)[0][0])


def databases(ours: Operator, db: Database) -> set[str]:
    query = "SELECT datname::text FROM pg_database WHERE datname LIKE 'app%'"
    return {row[0] for row in ours.sql(db, query)}


def temporary_roles(ours: Operator, db: Database) -> int:
    query = "SELECT count(*) FROM pg_roles WHERE rolname LIKE 'postbase_restore%'"
    return int(ours.sql(db, query)[0][0])


def holds(ours: Operator, db: Database) -> None:
    """To restore: an index that is not done while there is a role `hold`."""
    slow = "CREATE OR REPLACE FUNCTION slow(int) RETURNS int IMMUTABLE LANGUAGE sql AS $$ SELECT $1"
    there = "SELECT count(pg_sleep(60)) FROM pg_roles WHERE rolname = 'hold'"
    ours.sql(db, f"{slow} $$", app=True)
    ours.sql(db, "CREATE TABLE rows AS SELECT generate_series(1, 400) AS n", app=True)
    ours.sql(db, "CREATE INDEX ON rows (slow(n))", app=True)
    ours.sql(db, f"{slow} FROM ({there}) AS s $$", app=True)


def loaded(name: str) -> dict[str, object]:
    return {"backupRef": {"name": name}}
