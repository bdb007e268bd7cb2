"""Archiving of Databases on Railway: a real PostgreSQL, our real receiver's process as a service of
its own, a real S3 server."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from pathlib import Path

import psycopg
import pytest

from component.job_runs import record_in
from component.railway_caller import Caller
from component.railway_jobs import started
from component.railway_operator import (
    Operator,
    Ring,
    changed,
    operator,
    proxies,
    railway_database,
    said,
    volumes,
)
from component.railway_receivers import (
    OFF,
    ON,
    ROWS,
    Site,
    archiving,
    assert_same,
    eventually,
    position,
    process,
    reached,
    slots,
    streams,
)
from component.railway_restores import taken
from component.store_server import store_of
from postbase_operator.api.database import Database
from postbase_operator.archive.lsn import segments
from postbase_operator.archive.receiver_environment import PASSWORD, SEALED, STORE
from postbase_operator.archive.run import VARIABLE
from postbase_operator.jobs import desk, physical
from postbase_operator.kube.kinds import BACKUP
from postbase_operator.planning.database_backups import Backups
from postbase_operator.railway.services import MARKER, receiver_name
from railway.double import RailwayDouble

SLOT = "postbase_walrx"


@pytest.fixture(scope="module")
def railway() -> Iterator[RailwayDouble]:
    with RailwayDouble() as double:
        yield double


@pytest.fixture
async def ours(site: Site) -> AsyncIterator[Operator]:
    async with process(site) as made:
        yield made


@pytest.mark.trap("receiver-needs-a-volume", "replication-not-in-all", "sealed-is-not-shown")
async def test_what_is_written_is_in_the_bucket_byte_for_byte(ours: Operator, site: Site) -> None:
    db = await archiving(ours)
    assert len(volumes(site.double, site.place)) == len(proxies(site.double, site.place)) == 1
    ours.sql(db, ROWS.format("t"), app=True)
    ours.sql(db, "INSERT INTO t VALUES (0, 'the needle in the log')", app=True)
    ours.sql(db, "SELECT pg_switch_wal()")
    ours.sql(db, "CREATE TABLE u AS SELECT 1 AS n", app=True)
    end, owner = position(ours, db), site.owner()
    await reached(site, owner, end)
    assert assert_same(site, owner, end) >= 1
    (run,) = site.index(owner).runs(1)
    held = b"".join(site.bytes_of(owner, each) for each in segments(run.start, run.end, 1))
    assert b"the needle in the log" in held
    assert run.end >= end

    service = site.service()
    assert service.variables[MARKER].endswith(db.metadata.uid)
    assert service.sealed == {PASSWORD, STORE["AWS_SECRET_ACCESS_KEY"]} <= SEALED
    assert len(site.deployments()) == 1
    assert service.limits == {"containers": {"cpu": 1.0, "memoryBytes": 500_000_000}}
    assert db.status.railway is not None
    assert db.status.railway.receiver_service_id == service.service_id
    assert db.status.archive is not None
    assert db.status.archive.bucket == site.store.bucket


async def test_the_status_tells_it_as_of_any_database_and_idle_it_asks_for_nothing(
    ours: Operator, site: Site
) -> None:
    db = await archiving(ours)
    pitr = db.status.pitr
    assert pitr is not None
    assert pitr.receiver is not None
    assert (str(pitr.archiving), str(pitr.receiver.state)) == ("Streaming", "Running")
    assert pitr.receiver.started_at is not None
    before = len(ours.client.asked)
    for _ in range(5):
        db, _ = await ours.look(db)
    assert streams(db)
    assert set(ours.client.asked[before:]) <= {"EnvironmentState"}
    (made, *_) = ours.schedule.made
    assert made.spec.method.value == "Physical"  # nothing can be restored before the first
    assert made.origin.value == "pitr"


async def test_switched_off_the_service_and_the_slot_go_and_postgresql_runs_on(
    ours: Operator, site: Site
) -> None:
    db = await archiving(ours)
    began = ours.sql(db, "SELECT pg_postmaster_start_time()")
    assert slots(ours, db) == [(SLOT, True)]
    end, owner = position(ours, db), site.owner()
    await reached(site, owner, end)
    db = changed(db, pitr=OFF)
    db = await ours.until(db, lambda _: not site.services() and not slots(ours, db))
    db, _ = await ours.look(db)
    assert db.status.pitr is not None
    assert str(db.status.pitr.archiving) == "Off"
    assert said(db, "Archiving")[0] == ""
    assert db.status.railway is not None
    assert db.status.railway.receiver_service_id is None
    assert ours.sql(db, "SELECT pg_postmaster_start_time()") == began
    assert site.index(owner).runs(1)  # what was archived stays
    db = await ours.until(changed(db, pitr=ON), streams)
    assert len(site.services()) == 1


@pytest.mark.parametrize("policy", ["Retain", "Delete"])
async def test_it_goes_with_its_database(ours: Operator, site: Site, policy: str) -> None:
    db = await archiving(ours, deletionPolicy=policy)
    await ours.gone(db)
    assert site.services() == []
    assert proxies(site.double, site.place) == []
    assert len(volumes(site.double, site.place)) == (1 if policy == "Retain" else 0)


async def test_killed_it_starts_again_and_leaves_no_gap(ours: Operator, site: Site) -> None:
    db = await archiving(ours)
    owner = site.owner()
    for number in range(3):
        ours.sql(db, ROWS.format(f"t{number}"), app=True)
        site.double.kill_container(site.service().service_id, site.place.environment_id)
        ours.sql(db, "SELECT pg_switch_wal()")
        ours.sql(db, f"CREATE TABLE u{number} AS SELECT 1 AS n", app=True)
        await reached(site, owner, position(ours, db))
    assert assert_same(site, owner, position(ours, db)) >= 3
    db = await ours.until(db, streams)
    assert len(site.deployments()) == 1  # Railway's restart, no deployment of ours


@pytest.mark.trap("railway-redeploys", "redeploy-hides-image")
async def test_a_new_image_and_railways_own_deployments_leave_no_gap(site: Site) -> None:
    ring = Ring()
    async with process(site, ring) as ours:
        db = await archiving(ours)
        ours.sql(db, ROWS.format("t"), app=True)
        site.double.migrate_host(site.service().service_id, site.place.environment_id)
        await eventually("two deployments", lambda: len(site.deployments()) == 2)
        db = await ours.until(db, streams)
    image = f"{site.double.settings.operator_image}:2"
    async with operator(site.double, site.place, ring, store=site.store, image=image) as heir:
        db = await heir.until(db, lambda _: site.deployments()[0].image == image)
        db = await heir.until(db, streams)
        heir.sql(db, "SELECT pg_switch_wal()")
        heir.sql(db, "CREATE TABLE u AS SELECT 1 AS n", app=True)
        owner, end = site.owner(), position(heir, db)
        await reached(site, owner, end)
        assert assert_same(site, owner, end) >= 1
        assert site.deployments()[0].image == image
        assert len(site.deployments()) == 3
        assert len(site.services()) == 1


async def test_another_password_of_its_role_reaches_both_ends(ours: Operator, site: Site) -> None:
    db = await archiving(ours)
    uid = db.metadata.uid
    rights = "SELECT rolsuper, rolreplication, rolcreaterole FROM pg_roles WHERE rolname = %s"
    assert ours.sql(db, rights.replace("%s", f"'{SLOT}'")) == [(False, True, False)]
    front, old = ours.ring.fronts[uid], ours.ring.replications[uid]
    ours.ring.replications[uid] = "another" * 6
    db = await ours.until(db, lambda _: len(site.deployments()) == 2)
    db = await ours.until(db, streams)
    assert site.service().variables[PASSWORD] == "another" * 6
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        psycopg.connect(
            host=front.host, port=front.port, user=SLOT, password=old, dbname="postgres"
        )


@pytest.mark.trap("private-network-only")
async def test_what_keeps_it_from_archiving_is_told_in_its_own_words(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("postbase_operator.railway.wal.hearing.SAID_EVERY", 0.5)
    ring = Ring()
    async with process(site, ring) as ours:
        db = await archiving(ours)
    right = site.store
    site.store = replace(right, secret_access_key="wrong")
    async with process(site, ring) as ours:
        db = await ours.until(db, lambda each: said(each, "Archiving")[1] == "StoreDenied")
        assert said(db, "Archiving")[0] == "False"
        assert said(db, "Degraded")[1] == "StoreDenied"
        assert right.secret_access_key not in db.model_dump_json() + site.log()
        assert ring.replications[db.metadata.uid] not in db.model_dump_json() + site.log()
    site.store = right
    async with process(site, ring) as ours:
        db = await ours.until(db, streams)
        assert said(db, "Degraded")[0] == ""


async def test_a_strangers_service_of_its_name_is_not_touched_and_holds_up_nothing_else(
    ours: Operator, site: Site
) -> None:
    db = railway_database(postgresVersion="15", pitr=ON)
    call, name = Caller(site.double, site.double.token()), receiver_name(db, "c")
    where = {"projectId": site.place.project_id, "environmentId": site.place.environment_id}
    call("CreateService", input=where | {"name": name, "variables": {MARKER: "theirs"}})
    db = await ours.ready(db)
    db = await ours.until(db, lambda each: said(each, "Archiving")[0] == "False")
    assert "belongs to theirs" in said(db, "Archiving")[2]
    await ours.gone(db)
    assert site.service().variables == {MARKER: "theirs"}


async def test_zero_commits_wait_for_the_archive(ours: Operator, site: Site) -> None:
    db = await archiving(ours, pitr=ON | {"rpo": "Zero"})
    waits = "SELECT sync_state::text FROM pg_stat_replication"
    db = await ours.until(db, lambda _: ours.sql(db, waits) == [("sync",)])
    owner, before = site.owner(), position(ours, db)
    ours.sql(db, "CREATE TABLE t AS SELECT 7 AS n", app=True)
    (run,) = await asyncio.to_thread(lambda: site.index(owner).runs(1))
    assert run.end > before  # there by the time that the client hears of it
    db = await ours.until(changed(db, pitr=OFF), lambda _: not site.services())
    assert ours.sql(db, "SHOW synchronous_standby_names") == [("",)]
    ours.sql(db, "INSERT INTO t VALUES (8)", app=True)


async def test_paused_nothing_runs_and_resumed_it_goes_on(ours: Operator, site: Site) -> None:
    db = await archiving(ours)
    ours.sql(db, ROWS.format("t"), app=True)

    def rests(_: Database) -> bool:
        where = (site.service().service_id, site.place.environment_id)
        return site.double.world.running(*where) is None

    db = await ours.until(changed(db, paused=True), rests)
    db = await ours.ready(changed(db, paused=False))
    db = await ours.until(db, streams)
    owner, end = site.owner(), position(ours, db)
    await reached(site, owner, end)


async def test_a_base_backup_through_the_proxy_opens_the_window(
    ours: Operator, site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    db = await archiving(ours)
    ours.sql(db, ROWS.format("t"), app=True)
    pod, api = await started(ours, db, tmp_path / "pod", "Physical")
    password = ours.ring.replications[db.metadata.uid]
    assert password not in str(api.held)
    store = store_of(site.store)
    monkeypatch.setenv(VARIABLE, pod.run.to_bytes().decode())
    monkeypatch.setenv("PGPASSWORD", password)
    monkeypatch.setattr(desk, "store", lambda: store)
    await asyncio.to_thread(physical.back_up)
    record = record_in(store, pod.run)
    assert record.checksums_verified

    backup = taken(db, record)
    ours.backups = Backups(all=[backup], has_store=True)
    ours.cache.put(BACKUP, backup.to_wire())  # as the watch shows it: the archive is listed anew
    await reached(site, site.owner(), position(ours, db))
    db = await ours.until(db, lambda each: has_window(each))
    pitr = db.status.pitr
    assert pitr is not None
    assert pitr.recovery_window is not None
    assert pitr.recovery_window.from_ == record.completed_at
    made = len(ours.schedule.made)
    await ours.look(db)
    assert len(ours.schedule.made) == made  # no further one is due


def has_window(db: Database) -> bool:
    return db.status.pitr is not None and db.status.pitr.recovery_window is not None
