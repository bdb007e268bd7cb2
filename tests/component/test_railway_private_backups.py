"""Backups of private Databases on Railway: by the receiver's service, without Job and proxy."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from component.fault_proxy import Answers, FaultProxy, Hangs, Slow
from component.job_runs import keys
from component.railway_operator import Killed, Operator, new_place, proxies
from component.railway_private_runs import ROWS, Private, private, reason, restored, said
from component.railway_receivers import Site, eventually, process, reached
from component.servers import Servers, servers
from component.store_server import store_of
from postbase_operator.api.backup import Backup
from postbase_operator.api.runs import RunPhase
from postbase_operator.archive.backup_order import KEYS, ORDER, SAID, order_in
from postbase_operator.archive.record import BackupRecord
from postbase_operator.objectstore.s3 import S3Store
from postbase_operator.objectstore.settings import StoreConfig
from postbase_operator.wal.lsn import Lsn
from railway.boxes import Process
from railway.double import RailwayDouble

__all__ = ["servers"]
pytestmark = pytest.mark.timeout(600)


@pytest.fixture(scope="module")
def railway() -> Iterator[RailwayDouble]:
    with RailwayDouble() as double:
        yield double


@pytest.fixture
def site(railway: RailwayDouble, s3_config: StoreConfig, s3_proxy: FaultProxy) -> Site:
    """Its store is reached through a proxy, so that a backup can be held in the middle."""
    return Site(railway, new_place(railway), replace(s3_config, endpoint=s3_proxy.endpoint))


@pytest.fixture
async def ours(site: Site) -> AsyncIterator[Operator]:
    async with process(site) as made:
        yield made


@pytest.fixture
def store(s3_config: StoreConfig) -> S3Store:
    return store_of(s3_config)


@pytest.fixture(autouse=True)
def often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("postbase_operator.railway.backups.backup_runs.SAID_EVERY", 0.2)


def record_of(store: S3Store, made: Private, backup: Backup) -> BackupRecord:
    return BackupRecord.from_bytes(store.get(str(made.folder(backup).record)))


async def test_it_is_taken_without_a_way_in_and_restores_to_the_same_rows(
    ours: Operator, site: Site, store: S3Store, servers: Servers
) -> None:
    made = await private(ours, site)
    deployed = len(site.deployments())
    done = await made.completed(made.backup())
    assert proxies(site.double, site.place) == []
    assert KEYS in site.service().sealed
    assert ORDER not in site.service().sealed
    assert len(site.deployments()) == deployed + 1  # the order, and nothing more
    record = record_of(store, made, done)
    assert (record.id, record.backup_name) == (done.id, "by-hand-1")
    assert (record.system_id, record.checksums_verified) == (made.db.status.system_id, True)
    assert done.status.object_key == record.place.object_key
    assert done.status.size_bytes == record.size_bytes
    assert str(made.folder(done).progress) not in keys(store)
    target = servers.bare(15)
    restored(store, record, target)
    assert target.sql(ROWS, dbname="app") == made.rows


async def test_killed_in_the_middle_it_fails_and_a_second_attempt_is_whole(
    ours: Operator, site: Site, store: S3Store, s3_proxy: FaultProxy
) -> None:
    made = await private(ours, site)
    s3_proxy.next("PUT .*pieces", Hangs())
    backup = await made.begun(store, made.backup())
    assert backup.status.attempts == 1
    site.double.kill_container(site.service().service_id, site.place.environment_id)
    backup = await made.until(backup, lambda each: reason(each) == "Retrying")
    assert "Interrupted" in said(backup)
    assert str(made.folder(backup).record) not in keys(store)
    made.later = timedelta(minutes=2)  # the pause before the next one
    done = await made.completed(backup)
    assert done.status.attempts == 2
    record_of(store, made, done)
    order = order_in(site.service().variables)
    assert order is not None
    assert order.attempt == 2


@pytest.mark.trap("railway-redeploys")
async def test_deployed_in_the_middle_nobody_takes_the_same_attempt_twice(
    ours: Operator, site: Site, store: S3Store, s3_proxy: FaultProxy
) -> None:
    made = await private(ours, site)
    s3_proxy.next("PUT .*pieces", Hangs())
    backup = await made.begun(store, made.backup())
    made.restart()
    site.double.migrate_host(site.service().service_id, site.place.environment_id)
    backup = await made.until(backup, lambda each: reason(each) == "Retrying")
    assert "Interrupted" in said(backup)
    made.later = timedelta(minutes=2)
    made.restart()
    done = await made.completed(backup)
    assert done.status.attempts == 2


async def test_deleted_in_the_middle_its_order_goes_and_nothing_of_it_runs_or_lies_there(
    ours: Operator, site: Site, store: S3Store, s3_proxy: FaultProxy
) -> None:
    made = await private(ours, site)
    s3_proxy.next("PUT .*pieces", Hangs())
    backup = await made.begun(store, made.backup())
    folder = made.folder(backup)
    body = backup.to_wire()
    body["metadata"]["deletionTimestamp"] = datetime.now(UTC).isoformat()
    going = Backup.model_validate(body)
    before = len(site.deployments())
    await made.until(going, lambda _: made.api.released)
    assert [each for each in keys(store) if each.startswith(folder.prefix)] == []
    assert ORDER not in site.service().variables
    assert len(site.deployments()) == before + 1
    await eventually("it runs on", lambda: not told(site))


def told(site: Site) -> list[Process]:
    """Containers of the service that run and have an order."""
    boxes = [site.double.world.boxes.get(each.id) for each in site.deployments()]
    return [each for each in boxes if isinstance(each, Process) and ORDER in each.spec.variables]


@pytest.mark.trap("commit-is-async")
async def test_an_operator_that_is_killed_after_any_request_has_it_taken_once(
    ours: Operator, site: Site, store: S3Store
) -> None:
    made = await private(ours, site)
    for number in range(1, 9):
        backup = made.backup(number)
        before = len(site.deployments())
        async with process(site, ours.ring) as other:
            made.restart(other)
            other.client.dies_after = number
            try:
                backup = await made.completed(backup)
            except Killed:
                survived = False
            else:
                survived = True
        async with process(site, ours.ring) as another:
            made.restart(another)
            done = await made.completed(backup)
        assert done.status.attempts == 1, made.said
        assert len(site.deployments()) == before + 1, (number, made.said)
        record_of(store, made, done)
        if survived:
            break
    assert number > 4, "nothing was tested"


async def test_one_that_fails_for_good_leaves_no_order_that_another_process_would_take(
    ours: Operator, site: Site, s3_proxy: FaultProxy, store: S3Store
) -> None:
    made = await private(ours, site)
    s3_proxy.next("PUT .*pieces", Answers(403, "AccessDenied"), times=1000)
    backup = await made.until(made.backup(), lambda each: each.is_done())
    assert backup.status.phase is RunPhase.FAILED
    assert reason(backup) == "Denied"
    await made.until(backup, lambda _: ORDER not in site.service().variables)
    assert KEYS not in site.service().variables
    assert str(made.folder(backup).record) not in keys(store)


async def test_two_are_taken_one_after_the_other(ours: Operator, site: Site) -> None:
    made = await private(ours, site)
    first, second = made.backup(1), made.backup(2)
    first, _ = await made.look(first)
    second, _ = await made.look(second)
    assert "Waits for Backup 'by-hand-1' of the same Database" in said(second)
    first = await made.until(first, lambda each: each.is_done())
    second = await made.completed(second)
    assert first.status.phase is RunPhase.COMPLETED
    assert second.status.object_key != first.status.object_key


async def test_the_log_is_archived_without_a_gap_around_it(
    ours: Operator, site: Site, store: S3Store
) -> None:
    made = await private(ours, site)
    owner = site.owner()
    done = await made.completed(made.backup())
    record = record_of(store, made, done)
    assert record.stop_lsn is not None
    await reached(site, owner, Lsn.parse(record.stop_lsn))


async def test_a_logical_one_is_refused_with_what_to_do(ours: Operator, site: Site) -> None:
    made = await private(ours, site)
    backup, done = await made.look(made.backup(method="Logical"))
    assert not done
    assert "set Physical" in said(backup)
    assert ORDER not in site.service().variables


async def test_what_it_says_is_two_lines_and_it_is_read_seldom(
    ours: Operator, site: Site, s3_proxy: FaultProxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    pace = 3.0
    monkeypatch.setattr("postbase_operator.railway.backups.backup_runs.SAID_EVERY", pace)
    made = await private(ours, site)
    s3_proxy.next("PUT .*pieces", Slow(2 * pace), times=2)
    before, began = len(ours.client.asked), time.monotonic()
    done = await made.completed(made.backup())
    asked = Counter(ours.client.asked[before:])
    took = time.monotonic() - began
    assert asked["DeploymentLogs"] <= 2 + took / pace, asked
    assert asked["CommitPatch"] == 1
    lines = [line for line in site.log().splitlines() if SAID in line]
    assert len(lines) == 2
    before = len(ours.client.asked)
    for _ in range(5):
        await made.look(done)
    assert "DeploymentLogs" not in ours.client.asked[before:]
