"""Backups of Databases on Railway: real Jobs' processes through the double's proxy, a real S3."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, cast

import psycopg
import pytest

from component.job_runs import assert_whole, keys
from component.load_runs import Restore, settle
from component.railway_jobs import started
from component.railway_operator import (
    Operator,
    changed,
    instances,
    railway_database,
)
from component.servers import Servers, servers
from component.tls_relay import eavesdropper
from postbase_operator.api.database import Database
from postbase_operator.api.project import ProjectDefaults
from postbase_operator.archive.keys import LogicalStem
from postbase_operator.desired import meta
from postbase_operator.errors import NotReady
from postbase_operator.jobs.desk import Failed
from postbase_operator.objectstore.s3 import S3Store
from postbase_operator.planning import plan as steps
from postbase_operator.planning.database_backups import REQUEST, Backups
from postbase_operator.planning.final_backup import final, final_name
from postbase_operator.railway.graphql.reads import Place
from railway.double import RailwayDouble

__all__ = ["servers"]


@pytest.fixture(scope="module")
def railway() -> Iterator[RailwayDouble]:
    with RailwayDouble() as double:
        yield double


async def a_database(ours: Operator, **spec: object) -> Database:
    """Of the version whose pg_dump is at hand."""
    return await ours.ready(railway_database(postgresVersion="15", **spec))


async def test_a_job_dumps_it_through_its_proxy_and_a_job_in_the_cluster_restores_the_dump(
    ours: Operator,
    servers: Servers,
    s3_store: S3Store,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    db = await a_database(ours)
    made = "CREATE TABLE t AS SELECT n, md5(n::text) FROM generate_series(1, 20000) n"
    ours.sql(db, made, app=True)
    rows = "SELECT count(*), sum(hashtext(md5)) FROM t"
    expected = ours.sql(db, rows, app=True)

    pod, api = await started(ours, db, tmp_path / "pod")
    front, run = ours.ring.fronts[db.metadata.uid], pod.run
    assert (run.host, run.port) == (front.host, front.port)
    assert run.server.system_id == db.status.system_id
    assert run.server.source_bytes > 1_000_000
    assert pod.container("dump")["image"].endswith("/postgres-ssl:15")
    assert ("Secret", meta.names_of(db).store) in api.held
    assert pod.password not in str(api.held)
    pod.prepare(monkeypatch)
    pod.back_up(s3_store)

    assert assert_whole(s3_store, run).source_bytes > 500_000
    stem = cast(LogicalStem, run.place)
    globals_ = s3_store.get(f"{stem}.globals.sql").decode()
    assert "CREATE ROLE app_a" in globals_
    assert "PASSWORD" not in globals_
    restored = Restore(servers.new(15), s3_store, run, tmp_path / "restore")
    settle(restored.server)
    restored.load()
    assert restored.sql(rows) == expected
    owner = "SELECT tableowner::text FROM pg_tables WHERE tablename = 't'"
    assert restored.sql(owner) == [("app",)]


async def test_with_a_password_that_was_edited_there_is_no_backup(
    ours: Operator, s3_store: S3Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    db = await a_database(ours)
    pod, _ = await started(ours, db, tmp_path / "pod")
    pod.password = "another"
    pod.prepare(monkeypatch)
    with pytest.raises(Failed, match="pg_dumpall ended with 1"):
        pod.back_up(s3_store)
    assert keys(s3_store) == set()


@pytest.mark.trap("certificate-is-localhosts")
@pytest.mark.parametrize("asks", [False, True], ids=["relays", "asks"])
async def test_who_stands_between_gets_no_dump(
    ours: Operator, s3_store: S3Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, asks: bool
) -> None:
    db = await a_database(ours)
    front = ours.ring.fronts[db.metadata.uid]
    pod, _ = await started(ours, db, tmp_path / "pod")
    with eavesdropper(front.host, front.port, tmp_path, asks=asks) as (between, port):
        pod.changes = {"PGPORT": str(port)}
        pod.prepare(monkeypatch)
        with pytest.raises(Failed, match="pg_dumpall ended with 1"):
            pod.back_up(s3_store)
        assert b"pg_roles" not in between.read
        assert not between.given
    assert keys(s3_store) == set()


def until_it_waits(ours: Operator, db: Database) -> None:
    """For a lock."""
    ends = time.monotonic() + 60
    while ours.sql(db, "SELECT count(*) FROM pg_locks WHERE NOT granted") == [(0,)]:
        assert time.monotonic() < ends
        time.sleep(0.1)


@pytest.mark.trap("railway-redeploys")
async def test_a_deployment_of_railways_own_in_the_middle_ends_it_and_the_next_is_whole(
    railway: RailwayDouble,
    place: Place,
    ours: Operator,
    s3_store: S3Store,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    db = await a_database(ours)
    ours.sql(db, "CREATE TABLE t AS SELECT 1 AS n", app=True)
    pod, _ = await started(ours, db, tmp_path / "first")
    pod.prepare(monkeypatch)
    front, password = ours.ring.fronts[db.metadata.uid], ours.ring.passwords[db.metadata.uid]
    who: dict[str, Any] = {
        "user": "postgres",
        "password": password,
        "dbname": "app",
        "sslmode": "require",
    }
    with closing(psycopg.connect(host=front.host, port=front.port, **who)) as locking:
        locking.execute("LOCK TABLE public.t")  # holds up pg_dump
        running = asyncio.create_task(asyncio.to_thread(pod.back_up, s3_store))
        await asyncio.to_thread(until_it_waits, ours, db)
        (service,) = instances(railway, place)
        railway.migrate_host(service.service_id, place.environment_id)
        with pytest.raises(Failed, match="pg_dump ended with 1"):
            await running
    assert [key for key in keys(s3_store) if key.endswith(".dump.gz")] == []
    assert str(pod.run.place.record) not in keys(s3_store)

    db = await ours.ready(db)
    again, _ = await started(ours, db, tmp_path / "second")
    again.prepare(monkeypatch)
    again.back_up(s3_store)
    assert_whole(s3_store, again.run)


async def test_backups_come_by_schedule_and_by_request(ours: Operator) -> None:
    ours.backups = Backups(has_store=True)
    body = railway_database(postgresVersion="15", backup={"schedule": "0 * * * *"}).to_wire()
    body["metadata"]["creationTimestamp"] = (datetime.now(UTC) - timedelta(hours=3)).isoformat()
    db = await ours.ready(Database.model_validate(body))
    await ours.look(db)
    made = ours.schedule.made[0]
    assert (made.spec.database_ref.name, made.spec.method.value) == (db.metadata.name, "Logical")
    assert made.origin.value == "schedule"
    body = changed(db, backup={"suspend": True}).to_wire()
    body["metadata"]["annotations"] = {REQUEST: "before the migration"}
    await ours.look(Database.model_validate(body))
    assert ours.schedule.made[-1].spec.description == f"{REQUEST}: before the migration"


async def test_the_last_one_is_taken_while_it_is_deleted(ours: Operator, tmp_path: Path) -> None:
    db = await a_database(ours, deletionPolicy="FinalBackup")
    body = db.to_wire()
    body["metadata"]["deletionTimestamp"] = datetime.now(UTC).isoformat()
    going = Database.model_validate(body)
    found = final(going, (), ProjectDefaults(), datetime.now(UTC))
    assert found.waits
    await ours.platform.carry_out(going, found.todo)
    assert [each.metadata.name for each in ours.schedule.made] == [final_name(db)]
    pod, _ = await started(ours, going, tmp_path / "pod")
    assert pod.run.server.system_id == db.status.system_id


async def test_without_a_way_in_nothing_is_started(ours: Operator, tmp_path: Path) -> None:
    db = railway_database(postgresVersion="15")
    with pytest.raises(NotReady, match="TCP proxy"):
        await started(ours, db, tmp_path / "pod")
    assert ours.schedule.made == []


async def test_those_that_are_over_end(ours: Operator) -> None:
    db = railway_database()
    await ours.platform.carry_out(db, [steps.ExpireBackup("old", True)])
    assert ours.schedule.ended == ["old"]
