"""Attempts to fill a volume of Railway one after the other, each planned anew: what PostgreSQL then
recovers is what the last of them was told, whatever those before have left."""

from __future__ import annotations

import asyncio
import shutil
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import NoReturn
from uuid import UUID

import psycopg
import pytest

from component.job_runs import record_in, run_of, take_physical
from component.log_archive import archive_log
from component.recoveries import task
from component.servers import MAJORS, OTHERS, Server, Servers, servers
from component.store_server import StoreServer, store_of
from component.test_recovery import TRACKED, Ledger, journal, told, write
from postbase_operator.api.ids import public_id
from postbase_operator.archive.keys import Archive
from postbase_operator.archive.run import FillRun
from postbase_operator.archive.staging import FOLDER, Staging
from postbase_operator.desired import staged
from postbase_operator.jobs.desk import Failed
from postbase_operator.jobs.stage import Stage
from postbase_operator.jobs.supply import Supply
from postbase_operator.objectstore.archive_log import StoredLog, load
from postbase_operator.objectstore.s3 import S3Store
from postbase_operator.objectstore.store import Reason, StoreUnavailable
from postbase_operator.planning.recovery import Target, plan_recovery
from postbase_operator.postgres.recovered import Recovered
from postbase_operator.postgres.recovered import recovered as asked
from postbase_operator.wal import control

__all__ = ["servers"]
pytestmark = pytest.mark.timeout(300)
MAJOR = 15


@dataclass
class Source:
    """A database that goes on living, and its archive."""

    server: Server
    store: S3Store
    archive: Archive
    backups: int = 0

    def backed_up(self) -> None:
        self.backups += 1
        run = run_of("Physical", self.archive.incarnation.partition("-")[0])
        run = run.model_copy(update={"id": public_id("Backup", str(UUID(int=self.backups)))})
        take_physical(run, self.store, self.server.conninfo)
        assert record_in(self.store, run).database_uid == self.archive.database_uid

    def writes(self, start: int) -> Ledger:
        write(self.server, 20, start=start)
        archive_log(self.store, self.archive, self.server)
        return told(self.server)

    def planned(self, moment: datetime | None = None) -> FillRun:
        archived, log = load(self.store, self.archive), StoredLog(self.store)
        plan = plan_recovery(archived, log, Target(time=moment), datetime.now(UTC))
        return FillRun(object_key=plan.base.place.object_key, recovery=task(plan))


@pytest.fixture
def source(servers: Servers, s3_server: StoreServer) -> Source:
    server = servers.new(MAJOR, **TRACKED)
    server.sql("CREATE TABLE journal (n bigint PRIMARY KEY, body text)")
    (system_id,) = server.sql("SELECT system_identifier::text FROM pg_control_system()")[0]
    uid = run_of("Physical", system_id).database_uid
    made = Source(server, store_of(s3_server.config), Archive(uid, f"{system_id}-1"))
    made.backed_up()
    return made


def attempt(source: Source, to: Server, run: FillRun) -> None:
    settings = staged.recovery(run.recovery, {})
    Stage(Staging(run, 1, settings, "A", "C", "K", {}), source.store, to.folder).make()


def started(to: Server) -> None:
    """It lets in the test in place of the operator."""
    (to.folder / "pgdata").rename(to.data)
    to.configure()
    (to.data / "pg_hba.conf").write_text("local all all trust\n")
    to.take_over()
    to.start()


def recovered(to: Server) -> set[int]:
    """What PostgreSQL makes of it."""
    started(to)
    found = journal(to)
    to.stop()
    to.data.rename(to.folder / "pgdata")
    return found


def test_a_plan_with_another_backup_begins_with_that(
    source: Source, servers: Servers, monkeypatch: pytest.MonkeyPatch
) -> None:
    to = servers.bare(MAJOR)
    source.writes(0)
    first = source.planned()
    with monkeypatch.context() as away:
        away.setattr(Supply, "answer", unavailable)
        with pytest.raises(StoreUnavailable):
            attempt(source, to, first)
    assert (to.folder / "pgdata").exists()
    source.backed_up()
    ledger = source.writes(100)
    second = source.planned()
    assert first.object_key != second.object_key
    attempt(source, to, second)
    assert recovered(to) == set(ledger.rows)


def unavailable(*_: object) -> NoReturn:
    raise StoreUnavailable(Reason.UNREACHABLE, "away")


def test_what_was_promoted_is_recovered_anew(source: Source, servers: Servers) -> None:
    to = servers.bare(MAJOR)
    early = source.writes(0)
    attempt(source, to, source.planned())
    assert recovered(to) == set(early.rows)
    ledger = source.writes(100)
    attempt(source, to, source.planned())
    assert recovered(to) == set(ledger.rows)


def test_a_backup_that_is_whole_and_untouched_is_not_fetched_again(
    source: Source, servers: Servers
) -> None:
    to = servers.bare(MAJOR)
    source.writes(0)
    attempt(source, to, source.planned())
    before = (to.folder / "pgdata/PG_VERSION").stat().st_ino
    ledger = source.writes(100)
    attempt(source, to, source.planned())
    assert (to.folder / "pgdata/PG_VERSION").stat().st_ino == before
    assert recovered(to) == set(ledger.rows)


def test_what_may_have_served_is_not_touched(source: Source, servers: Servers) -> None:
    """The deployment of an attempt, that somebody starts anew by hand on Railway."""
    to = servers.bare(MAJOR)
    (to.folder / "pgdata").mkdir()
    (to.folder / "pgdata/PG_VERSION").write_text("15\n")
    source.writes(0)
    with pytest.raises(Failed, match="fit to serve") as caught:
        attempt(source, to, source.planned())
    assert caught.value.reason == "VolumeInUse"
    assert (to.folder / "pgdata/PG_VERSION").exists()


def test_postgresql_knows_after_its_promotion_how_far_it_came(
    source: Source, servers: Servers
) -> None:
    """Until it is started again; a port that is open to strangers has no part in it."""
    to = servers.bare(MAJOR)
    ledger = source.writes(0)
    run = source.planned()
    assert run.recovery is not None
    attempt(source, to, run)
    started(to)
    seen = asyncio.run(ask(to))
    assert seen is not None
    assert seen.last_commit == run.recovery.last_commit == max(ledger.rows.values())
    assert not seen.is_settled
    to.sql("INSERT INTO journal VALUES (-1, '')")
    assert asyncio.run(ask(to)) == seen
    shutil.rmtree(to.data / FOLDER)  # as `settle` does in the end
    to.stop()
    to.start()
    seen = asyncio.run(ask(to))
    assert seen is not None
    assert (seen.last_commit, seen.is_settled) == (None, True)


def test_prepared_transactions_of_the_log_are_replayed(source: Source, servers: Servers) -> None:
    """Though the spec allows none."""
    server, to = source.server, servers.bare(MAJOR)
    server.stop()
    server.configure(max_prepared_transactions="3")
    server.start()
    source.backed_up()
    server.sql("BEGIN; INSERT INTO journal VALUES (-1, ''); PREPARE TRANSACTION 'held'")
    server.sql("COMMIT PREPARED 'held'")
    ledger = source.writes(0)
    attempt(source, to, source.planned())
    assert recovered(to) == set(ledger.rows)
    assert -1 in ledger.rows


@pytest.mark.parametrize("major", [*MAJORS, *OTHERS])
def test_the_control_file_of_each_major_is_read(servers: Servers, major: int) -> None:
    server = servers.new(major, max_prepared_transactions="7")
    assert control.max_prepared_transactions((server.data / control.FILE).read_bytes()) == 7
    server.stop()


async def ask(server: Server) -> Recovered | None:
    async with await psycopg.AsyncConnection.connect(server.conninfo) as connection:
        return await asked(connection)
