"""Recovery out of an archive, by real servers and a real store: the right rows, or none at all."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import psycopg
import pytest

from component.job_runs import UID, record_in, run_of, take_physical
from component.log_archive import archive_log
from component.recoveries import recovered, task
from component.servers import MAJORS, Server, Servers, servers
from component.store_server import StoreServer, store_of
from postbase_operator.archive.keys import Archive
from postbase_operator.archive.lsn import Lsn
from postbase_operator.objectstore.archive_log import StoredLog, load
from postbase_operator.objectstore.s3 import S3Store
from postbase_operator.planning.recovery import Recovery, Target, plan_recovery
from postbase_operator.planning.recovery_way import Refused

__all__ = ["servers"]
pytestmark = pytest.mark.timeout(300)
TRACKED = {
    "track_commit_timestamp": "on",
    "wal_keep_size": "1GB",
    "max_wal_senders": "10",
    "wal_level": "replica",
}
SEED = 20261128


@dataclass
class Ledger:
    """What a client was told, by the commit times that the server noted."""

    rows: dict[int, datetime]

    def at(self, moment: datetime) -> set[int]:
        return {n for n, time in self.rows.items() if time <= moment}


@dataclass
class Story:
    """A server that was backed up, and went on writing; and all that of it in a store."""

    server: Server
    store: S3Store
    archive: Archive
    key: str
    ledger: Ledger
    end: Lsn

    def plan(self, target: Target) -> Recovery:
        archived = load(self.store, self.archive)
        return plan_recovery(archived, StoredLog(self.store), target, datetime.now(UTC))


def told(server: Server) -> Ledger:
    rows = server.sql("SELECT n, pg_xact_commit_timestamp(xmin) FROM journal")
    return Ledger(dict(rows))


def write(server: Server, count: int, start: int = 0) -> None:
    """Rows, each in a transaction of its own, a few of them large, with pauses between."""
    chance = random.Random(start)  # noqa: S311 - no secret
    with psycopg.connect(server.conninfo, dbname="postgres", autocommit=True) as connection:
        for n in range(start, start + count):
            body = "x" * chance.choice([10, 10, 400_000])
            connection.execute("INSERT INTO journal VALUES (%s, %s)", [n, body])


def backed_up(server: Server, store: S3Store) -> tuple[Archive, str]:
    (system_id,) = server.sql("SELECT system_identifier::text FROM pg_control_system()")[0]
    run = run_of("Physical", system_id)
    take_physical(run, store, server.conninfo)
    return Archive(UID, f"{system_id}-1"), str(record_in(store, run).place)


@pytest.fixture(scope="module", params=MAJORS)
def story(
    request: pytest.FixtureRequest, servers: Servers, s3_server: StoreServer
) -> Iterator[Story]:
    server = servers.new(request.param, **TRACKED)
    server.sql("CREATE TABLE journal (n bigint PRIMARY KEY, body text)")
    server.sql("ALTER TABLE journal ALTER body SET STORAGE EXTERNAL")
    write(server, 10)
    store = store_of(s3_server.config)
    archive, key = backed_up(server, store)
    write(server, 300, start=100)
    end = archive_log(store, archive, server)
    yield Story(server, store, archive, key, told(server), end)
    server.stop()


def journal(server: Server) -> set[int]:
    return {row[0] for row in server.sql("SELECT n FROM journal")}


def test_any_moment_gives_what_was_committed_by_then(story: Story, servers: Servers) -> None:
    chance = random.Random(SEED)  # noqa: S311 - no secret
    times = sorted(story.ledger.rows.values())
    first = max(time for n, time in story.ledger.rows.items() if n < 100)
    first = max(first, load(story.store, story.archive).bases[0].completed_at)
    for _ in range(5):
        moment = first + (times[-1] - first) * chance.random()
        plan = story.plan(Target(time=moment))
        assert plan.stop_at == moment
        assert plan.last_commit == max((t for t in times if t <= moment), default=plan.last_commit)
        server, word = recovered(
            servers, story.server.major, story.store, story.key, task(plan), **TRACKED
        )
        assert journal(server) == story.ledger.at(moment)
        assert datetime.fromisoformat(word.last_commit) == plan.last_commit
        server.kill()
