"""Restores of restores, on one archive; and a log that is followed until its server has stopped."""

from __future__ import annotations

import signal
from datetime import UTC, datetime

import pytest

from component.log_archive import archive_log
from component.receivers import position
from component.recoveries import UID as RESTORE
from component.recoveries import begun, recovered, started, task
from component.servers import MAJORS, Servers, servers
from component.store_server import StoreServer, store_of
from component.test_recovery import TRACKED, backed_up, journal, told, write
from postbase_operator.api.ids import public_id
from postbase_operator.archive.keys import HistoryKey, RecoveryEndKey
from postbase_operator.archive.record import BackupRecord, CatalogueEntry
from postbase_operator.archive.run import LogEnd, Recovered, RecoveryProgress, RecoveryTask
from postbase_operator.jobs.catalogue import told as catalogue_told
from postbase_operator.objectstore import catalogue
from postbase_operator.objectstore.archive_log import StoredLog, load
from postbase_operator.planning.recovery import Target, plan_recovery, way_from

__all__ = ["servers"]
pytestmark = pytest.mark.timeout(300)


@pytest.mark.parametrize("major", MAJORS)
def test_several_in_a_row_each_on_a_timeline_of_its_own(
    servers: Servers, s3_server: StoreServer, major: int
) -> None:
    """Each goes back into what the one before it has left, from the first backup on."""
    store = store_of(s3_server.config)
    server = servers.new(major, **TRACKED)
    server.sql("CREATE TABLE journal (n bigint PRIMARY KEY, body text)")
    archive, key = backed_up(server, store)
    left: tuple[datetime, set[int]] | None = None
    for number in range(1, 4):
        write(server, 40, start=number * 1000)
        ledger = told(server)
        mine = sorted(time for n, time in ledger.rows.items() if n >= number * 1000)
        moment = mine[20] + (mine[21] - mine[20]) / 2
        between = mine[30] + (mine[31] - mine[30]) / 2
        left = left or (between, ledger.at(between))
        archive_log(store, archive, server)
        server.kill()
        archived = load(store, archive)
        plan = plan_recovery(archived, StoredLog(store), Target(time=moment), datetime.now(UTC))
        assert plan.timelines == tuple(range(1, number + 1))
        assert plan.last_commit == mine[20]
        wanted = task(plan, keeps_archive=True)
        server, word = recovered(servers, major, store, key, wanted, **TRACKED)
        assert word.timeline == number + 1
        assert store.get(str(HistoryKey(archive, number + 1)))
        assert journal(server) == ledger.at(moment)
    # And back to a moment of the first timeline, past the higher numbers that are taken.
    write(server, 5, start=9000)
    archive_log(store, archive, server)
    first = min(told(server).rows.values())
    server.kill()
    archived = load(store, archive)
    moment = max(first, archived.bases[0].completed_at)
    plan = plan_recovery(archived, StoredLog(store), Target(time=moment), datetime.now(UTC))
    assert plan.timelines == (1,)
    server, word = recovered(servers, major, store, key, task(plan, keeps_archive=True), **TRACKED)
    assert word.timeline == 5
    assert journal(server) == {n for n, at in ledger.rows.items() if at <= moment}
    archive_log(store, archive, server)
    server.kill()
    # And to what the first of them had left behind, which none of the others has.
    assert left is not None
    target, archived = Target(time=left[0], timeline=1), load(store, archive)
    plan = plan_recovery(archived, StoredLog(store), target, datetime.now(UTC))
    assert plan.timelines == (1,)
    server, word = recovered(servers, major, store, key, task(plan, keeps_archive=True), **TRACKED)
    assert word.timeline == 6
    assert journal(server) == left[1]
    server.kill()


def alone(base: BackupRecord) -> RecoveryTask:
    """As a PitrRestore of a Backup in place has it."""
    return RecoveryTask(
        restore=RESTORE,
        timeline=base.timeline or 1,
        end=base.stop_lsn,
        alone=True,
        keeps_archive=True,
    )


@pytest.mark.parametrize("major", MAJORS)
def test_a_backup_as_it_is_takes_a_timeline_that_nobody_has(
    servers: Servers, s3_server: StoreServer, major: int
) -> None:
    """Two such restores once took the same one, and the receiver refused the second."""
    store = store_of(s3_server.config)
    server = servers.new(major, **TRACKED)
    server.sql("CREATE TABLE journal (n bigint PRIMARY KEY, body text)")
    write(server, 5)
    archive, key = backed_up(server, store)
    write(server, 5, start=100)
    archive_log(store, archive, server)
    server.kill()
    (base,) = load(store, archive).bases
    for number in (2, 3):
        server, word = recovered(servers, major, store, key, alone(base), **TRACKED)
        assert word.timeline == number
        assert journal(server) == set(range(5))
        assert store.get(str(HistoryKey(archive, number)))
        write(server, 5, start=number * 1000)
        archive_log(store, archive, server)
        if number == 2:
            server.kill()
    # What it is a backup of may be a timeline that the archive knows nothing of, but its number.
    _, key = backed_up(server, store, f"bkp_{'c' * 26}")
    rows = journal(server)
    server.kill()
    store.delete(str(HistoryKey(archive, 3)))
    later = next(each for each in load(store, archive).bases if each.timeline == 3)
    server, word = recovered(servers, major, store, key, alone(later), **TRACKED)
    assert (word.timeline, journal(server)) == (4, rows)
    server.kill()


@pytest.mark.parametrize("major", MAJORS)
def test_a_log_is_followed_until_its_server_has_stopped(
    servers: Servers, s3_server: StoreServer, major: int
) -> None:
    store = store_of(s3_server.config)
    server = servers.new(major, **TRACKED)
    server.sql("CREATE TABLE journal (n bigint PRIMARY KEY, body text)")
    archive, key = backed_up(server, store)
    write(server, 60)
    archive_log(store, archive, server)
    archived = load(store, archive)
    plan = plan_recovery(archived, StoredLog(store), Target(), datetime.now(UTC))
    wanted = task(plan, keeps_archive=True).model_copy(update={"end": None})
    attempt = begun(servers, major, store, key, wanted)
    attempt.environment["POSTBASE_TRACK_COMMIT_TIMESTAMP"] = "on"
    attempt.sidecar()
    process = attempt.recover()
    progress = f"{archive}restores/{RESTORE}/progress.json"
    deadline = datetime.now(UTC).timestamp() + 60
    while datetime.now(UTC).timestamp() < deadline:
        there = {each.key for each in store.list(progress)}
        if there and RecoveryProgress.from_bytes(store.get(progress)).waits:
            break
        process.poll()
        assert process.returncode is None
    else:
        pytest.fail("it never said that it waits for more")
    write(server, 30, start=500)  # what a plan of before could not know
    rows = set(told(server).rows)
    server.stop(signal.SIGINT)
    server.start()  # to read the files of what was stopped: a restart adds to them
    control = server.sql("SELECT checkpoint_lsn::text FROM pg_control_checkpoint()")
    archive_log(store, archive, server, chunked=2)
    server.kill()
    archived = load(store, archive)
    way = way_from(archived, StoredLog(store), archived.bases[0].id)
    assert way is not None
    last = StoredLog(store).records(way.files[-1])
    assert any(each.is_shutdown for each in last), control
    end = next(each for each in reversed(last) if each.is_shutdown).end
    note = LogEnd(end=str(end))
    store.put(str(RecoveryEndKey(archive, RESTORE)), note.to_bytes())
    output, _ = process.communicate(timeout=120)
    assert process.returncode == 0, output[-4000:]
    word = Recovered.from_bytes(attempt.word.read_bytes())
    assert word.timeline == 2
    attempt.end()
    started(attempt, **TRACKED)
    assert journal(attempt.server) == rows
    assert not list(store.list(f"{archive}restores/")), "what told of it is left behind"
    attempt.server.kill()


def test_a_dropped_database_is_brought_back_by_the_position_before_it(
    servers: Servers, s3_server: StoreServer
) -> None:
    """The time just before its commit is too late: its files are gone already."""
    store = store_of(s3_server.config)
    server = servers.new(MAJORS[0], **TRACKED)
    archive, key = backed_up(server, store)
    server.sql("CREATE DATABASE shop")
    server.sql("CREATE TABLE t AS SELECT 1 AS n", dbname="shop")
    before = position(server)
    server.sql("DROP DATABASE shop")
    archive_log(store, archive, server)
    server.kill()
    archived = load(store, archive)
    plan = plan_recovery(archived, StoredLog(store), Target(lsn=before), datetime.now(UTC))
    restored, _ = recovered(servers, MAJORS[0], store, key, task(plan), **TRACKED)
    assert restored.sql("SELECT n FROM t", dbname="shop") == [(1,)]
    restored.kill()


def test_what_is_gone_is_found_by_name_and_printed_to_be_pasted(
    servers: Servers, s3_server: StoreServer
) -> None:
    store = store_of(s3_server.config)
    server = servers.new(MAJORS[0], **TRACKED)
    server.sql("CREATE TABLE journal (n bigint PRIMARY KEY, body text)")
    archive, _ = backed_up(server, store)
    write(server, 5)
    archive_log(store, archive, server)
    last = max(told(server).rows.values())
    server.kill()
    for name, uid, made in (
        ("shop-main", archive.database_uid, datetime(2026, 1, 2, tzinfo=UTC)),
        ("shop-main", "9c1e4f5c-0000-4000-8000-00000000000e", datetime(2026, 1, 1, tzinfo=UTC)),
    ):
        entry = CatalogueEntry(
            cluster="default",
            namespace="team",
            name=name,
            database_uid=uid,
            project=public_id("Project", RESTORE),
            created_at=made,
        )
        store.put(str(entry.key), entry.to_bytes())
    assert catalogue.youngest(store, "default", "team", "shop-main") == archive.database_uid
    but = catalogue.youngest(store, "default", "team", "shop-main", archive.database_uid)
    assert but == "9c1e4f5c-0000-4000-8000-00000000000e"
    assert catalogue.newest_archive(store, archive.database_uid) == archive
    texts = list(catalogue_told(store, "team"))
    found = next(each for each in texts if archive.database_uid in each)
    assert f"from: {{databaseUID: {archive.database_uid}}}" in found
    assert last.strftime("%Y-%m-%dT%H:%M:%SZ") in found
    assert any("nothing can be restored" in each for each in texts)
    assert list(catalogue_told(store, "elsewhere")) == []
