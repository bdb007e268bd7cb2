"""Recovery out of an archive, by real servers and a real store: the right rows, or none at all."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psycopg
import pytest

from component.fault_proxy import Answers, FaultProxy
from component.job_runs import ID, UID, record_in, run_of, take_physical
from component.log_archive import archive_log
from component.prefetch_process import RUN, STORE
from component.receivers import until
from component.recoveries import Attempt, begun, failed, recovered, started, task
from component.servers import MAJORS, Server, Servers, servers
from component.store_server import StoreServer, store_of
from postbase_operator.archive.keys import Archive
from postbase_operator.archive.lsn import Lsn
from postbase_operator.objectstore.archive_log import StoredLog, load
from postbase_operator.objectstore.s3 import S3Store
from postbase_operator.objectstore.settings import StoreConfig
from postbase_operator.planning.recovery import Target, plan_recovery
from postbase_operator.planning.recovery_way import Recovery, Refused

__all__ = ["servers"]
pytestmark = pytest.mark.timeout(300)
TRACKED = {
    "track_commit_timestamp": "on",
    "wal_keep_size": "1GB",
    "max_wal_senders": "10",
    "wal_level": "replica",
}
LARGER = {"max_connections": "150", "max_worker_processes": "16", "max_locks_per_transaction": "96"}
"""What the spec asked for when the backup was made, and asks for no more."""
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
    config: StoreConfig

    @property
    def bucket(self) -> str:
        return self.config.bucket

    def plan(self, target: Target, *, clock: timedelta = timedelta()) -> Recovery:
        """`clock`: how wrong that of whoever plans is."""
        archived, now = load(self.store, self.archive), datetime.now(UTC) + clock
        return plan_recovery(archived, StoredLog(self.store), target, now)


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


def backed_up(server: Server, store: S3Store, backup_id: str = ID) -> tuple[Archive, str]:
    (system_id,) = server.sql("SELECT system_identifier::text FROM pg_control_system()")[0]
    run = run_of("Physical", system_id).model_copy(update={"id": backup_id})
    take_physical(run, store, server.conninfo)
    return Archive(UID, f"{system_id}-1"), str(record_in(store, run).place)


@pytest.fixture(scope="module", params=MAJORS)
def story(
    request: pytest.FixtureRequest, servers: Servers, s3_server: StoreServer
) -> Iterator[Story]:
    server = servers.new(request.param, **TRACKED, **LARGER)
    server.sql("CREATE TABLE journal (n bigint PRIMARY KEY, body text)")
    server.sql("ALTER TABLE journal ALTER body SET STORAGE EXTERNAL")
    write(server, 10)
    config = s3_server.config
    store = store_of(config)
    archive, key = backed_up(server, store)
    write(server, 300, start=100)
    end = archive_log(store, archive, server)
    yield Story(server, store, archive, key, told(server), end, config)
    server.kill()


def journal(server: Server) -> set[int]:
    return {row[0] for row in server.sql("SELECT n FROM journal")}


@pytest.mark.timeout(600)
def test_any_moment_gives_what_was_committed_by_then(story: Story, servers: Servers) -> None:
    chance = random.Random(SEED)  # noqa: S311 - no secret
    times = sorted(story.ledger.rows.values())
    first = max(time for n, time in story.ledger.rows.items() if n < 100)
    first = max(first, load(story.store, story.archive).bases[0].completed_at)
    for _ in range(20 if story.server.major == MAJORS[0] else 5):
        moment = first + (times[-1] - first) * chance.random()
        plan = story.plan(Target(time=moment))
        assert plan.stop_at == moment
        later = [at for n, at in story.ledger.rows.items() if n >= 100]  # than the backup
        assert plan.last_commit == max((t for t in later if t <= moment), default=None)
        server, word = recovered(
            servers, story.server.major, story.store, story.key, task(plan), **TRACKED
        )
        assert journal(server) == story.ledger.at(moment)
        if plan.last_commit is not None:
            assert datetime.fromisoformat(word.last_commit) == plan.last_commit
        server.kill()


def outcome(story: Story, servers: Servers, plan: Recovery) -> tuple[Server, str]:
    server, word = recovered(
        servers, story.server.major, story.store, story.key, task(plan), **TRACKED
    )
    return server, word.last_commit


def test_the_end_of_the_log_and_any_moment_after_the_last_commit_lose_nothing(
    story: Story, servers: Servers
) -> None:
    """A target time would make PostgreSQL refuse: no commit follows that ends the recovery."""
    last = max(story.ledger.rows.values())
    span = story.plan(Target()).span
    assert last < span.until
    for target in (Target(), Target(time=last), Target(time=last + (span.until - last) / 2)):
        plan = story.plan(target)
        assert (plan.stop_at, plan.end, plan.last_commit) == (None, story.end, last)
    server, said = outcome(story, servers, plan)
    assert journal(server) == set(story.ledger.rows)
    assert datetime.fromisoformat(said) == last
    server.kill()


def test_log_that_no_receiver_has_seen_is_kept_from_the_first_client_on(
    story: Story, servers: Servers
) -> None:
    """It may come minutes later: two checkpoints would take away what was written before."""
    small = {"max_wal_size": "'32MB'", "min_wal_size": "'32MB'", "wal_keep_size": "0"}
    server, _ = recovered(
        servers,
        story.server.major,
        story.store,
        story.key,
        task(story.plan(Target())),
        **TRACKED | small,
    )
    ((kept, begin),) = server.sql(
        "SELECT restart_lsn::text, pg_current_wal_lsn()::text FROM pg_replication_slots"
        " WHERE slot_name = 'postbase_walrx' AND NOT active"
    )
    assert Lsn.parse(kept) <= Lsn.parse(begin)
    for _ in range(3):
        server.load(24, table="before_the_receiver")
        server.sql("DROP TABLE before_the_receiver")
        server.sql("CHECKPOINT")
    name = server.sql("SELECT pg_walfile_name(%s::pg_lsn)", kept)
    assert name[0] in server.sql("SELECT name FROM pg_ls_waldir()")
    server.kill()


@pytest.mark.parametrize("clock", [timedelta(hours=-2), timedelta(hours=2)])
def test_the_clock_of_whoever_plans_may_be_wrong(story: Story, clock: timedelta) -> None:
    times = sorted(story.ledger.rows.values())
    for target in (Target(), Target(time=times[-20]), Target(time=times[-1])):
        assert story.plan(target, clock=clock) == story.plan(target)


def test_settings_that_were_larger_than_they_are_to_be_hold_nothing_up(
    story: Story, servers: Servers
) -> None:
    assert story.server.sql("SHOW max_connections") == [("150",)]
    server, _ = outcome(story, servers, story.plan(Target()))
    assert server.sql("SHOW max_connections") != [("150",)]
    assert journal(server) == set(story.ledger.rows)
    server.kill()


def test_a_target_time_that_nothing_follows_ends_all_the_same(
    story: Story, servers: Servers
) -> None:
    """As a plan would have it that was wrong by a commit whose time is out of order."""
    plan = replace(story.plan(Target()), stop_at=max(story.ledger.rows.values()))
    server, _ = outcome(story, servers, plan)
    assert journal(server) == set(story.ledger.rows)
    server.kill()


def test_a_position_cuts_the_log_in_the_middle_of_a_record(story: Story, servers: Servers) -> None:
    base = story.plan(Target()).base
    start = Lsn.parse(str(base.stop_lsn))
    middle = Lsn(start + (story.end - start) * 2 // 3 | 5)
    plan = story.plan(Target(lsn=middle))
    assert (plan.end, plan.stop_at) == (middle, None)
    server, said = outcome(story, servers, plan)
    assert plan.last_commit is not None
    assert journal(server) == story.ledger.at(plan.last_commit)
    assert len(journal(server)) < len(story.ledger.rows)
    assert datetime.fromisoformat(said) == plan.last_commit
    server.kill()


@pytest.mark.parametrize(
    ("moment", "reason"),
    [
        (timedelta(hours=-1), "TargetBeforeWindow"),
        (timedelta(hours=1), "TargetAfterWindow"),
    ],
)
def test_what_lies_outside_is_refused_with_the_window_in_the_message(
    story: Story, moment: timedelta, reason: str
) -> None:
    with pytest.raises(Refused) as caught:
        story.plan(Target(time=datetime.now(UTC) + moment))
    assert caught.value.reason.value == reason
    span = story.plan(Target()).span
    for end in (span.begin, span.until):
        assert end.isoformat(timespec="milliseconds")[:-6] in str(caught.value)


def damage(story: Story, server: StoreServer, key: str) -> tuple[Path, bytes]:
    path = server.folder / "objects" / story.bucket / key
    return path, path.read_bytes()


def a_segment(story: Story) -> str:
    """One in the middle of what is replayed."""
    index = load(story.store, story.archive).index
    return str(sorted(index.segments.items(), key=lambda each: each[0].number)[-2][1])


@pytest.mark.parametrize("what", ["missing", "flipped"])
def test_an_object_that_is_missing_or_flipped_ends_it_instead_of_promoting_early(
    story: Story, servers: Servers, s3_server: StoreServer, what: str
) -> None:
    plan = story.plan(Target())
    path, held = damage(story, s3_server, a_segment(story))
    if what == "missing":
        path.unlink()
    else:
        path.write_bytes(held[:-100] + bytes([held[-100] ^ 1]) + held[-99:])
    try:
        attempt = begun(servers, story.server.major, story.store, story.key, task(plan))
        attempt.sidecar()
        word, output = failed(attempt)
    finally:
        path.write_bytes(held)
    assert word.reason == {"missing": "WalGap", "flipped": "ChecksumMismatch"}[what]
    assert "archive recovery complete" not in output


def test_a_store_that_goes_away_is_waited_for(
    story: Story, servers: Servers, s3_proxy: FaultProxy
) -> None:
    plan = story.plan(Target())
    through = store_of(replace(story.config, endpoint=s3_proxy.endpoint))
    attempt = begun(servers, story.server.major, story.store, story.key, task(plan))
    attempt.store = through
    s3_proxy.next("GET .*/wal/0", Answers(503, "SlowDown"), times=12)
    attempt.sidecar()
    process = attempt.recover()
    output, _ = process.communicate(timeout=200)
    assert process.returncode == 0, output[-3000:]
    attempt.end()
    started(attempt, **TRACKED)
    assert journal(attempt.server) == set(story.ledger.rows)
    attempt.server.kill()


def sidecar_process(story: Story, attempt: Attempt) -> subprocess.Popen[bytes]:
    told = {RUN: attempt.run.to_bytes().decode(), STORE: json.dumps(asdict(story.config))}
    return subprocess.Popen(
        [sys.executable, "-m", "component.prefetch_process", str(attempt.folder)],
        env=os.environ | told,
    )


def test_a_sidecar_that_is_killed_in_the_middle_begins_anew_and_nothing_is_lost(
    story: Story, servers: Servers
) -> None:
    """At a file of PostgreSQL's asking, again and again: all that it has is in the folder."""
    attempt = begun(servers, story.server.major, story.store, story.key, task(story.plan(Target())))
    attempt.environment["POSTBASE_TRACK_COMMIT_TIMESTAMP"] = "on"
    process = attempt.recover()
    asks = attempt.folder / "ask"
    until("it asks", lambda: process.poll() is not None or any(asks.iterdir()))
    for seconds in (0.1, 0.7, 1.3):  # while it begins, or in the midst of its first files
        sidecar = sidecar_process(story, attempt)
        time.sleep(seconds)
        sidecar.kill()
        sidecar.wait()
    sidecar = sidecar_process(story, attempt)
    output, _ = process.communicate(timeout=120)
    attempt.end()
    sidecar.wait(30)
    assert process.returncode == 0, output[-3000:]
    started(attempt, **TRACKED)
    assert journal(attempt.server) == set(story.ledger.rows)
    attempt.server.kill()


def test_a_recovery_that_is_killed_in_the_middle_is_followed_by_one_that_is_whole(
    story: Story, servers: Servers, s3_proxy: FaultProxy
) -> None:
    """Shell and server at once, as with a pod: the next attempt begins with an empty folder."""
    plan = story.plan(Target())
    # Without the log's end the first one cannot come to its own before it is killed.
    s3_proxy.next("GET .*/tail/", Answers(503, "SlowDown"), times=1 << 30)
    for kills in (True, False):
        attempt = begun(servers, story.server.major, story.store, story.key, task(plan))
        if kills:
            attempt.store = store_of(replace(story.config, endpoint=s3_proxy.endpoint))
        attempt.environment["POSTBASE_TRACK_COMMIT_TIMESTAMP"] = "on"
        sidecar = attempt.sidecar()
        process = attempt.recover()
        while kills and process.poll() is None:
            said = attempt.server.folder / "tmp" / "recovery.log"
            if said.exists() and "restored log file" in said.read_text():
                os.killpg(process.pid, signal.SIGKILL)
            time.sleep(0.01)
        output, _ = process.communicate(timeout=120)
        s3_proxy._rules.clear()
        attempt.end()
        sidecar.join(60)
        assert not sidecar.is_alive(), "what it was fetching is there, and it does not end"
        assert process.returncode == (-signal.SIGKILL if kills else 0), output[-3000:]
        assert bool(attempt.word.read_bytes()) is not kills
    started(attempt, **TRACKED)
    assert journal(attempt.server) == set(story.ledger.rows)
    attempt.server.kill()


def test_the_number_of_a_process_that_a_killed_attempt_left_holds_nobody_up(
    story: Story, servers: Servers
) -> None:
    """In another pod another process bears it: PostgreSQL would take that one for a server."""
    attempt = begun(servers, story.server.major, story.store, story.key, task(story.plan(Target())))
    other = subprocess.Popen(["sleep", "300"], **attempt.server.unprivileged())
    try:
        data = attempt.server.folder / "volume" / "pgdata"
        left = f"{other.pid}\n{data}\n1795950011\n5432\n/tmp\n\n  5432001    131072\nready   \n"
        (data / "postmaster.pid").write_text(left)
        attempt.sidecar()
        process = attempt.recover()
        output, _ = process.communicate(timeout=120)
    finally:
        other.kill()
        other.wait()
    attempt.end()
    assert process.returncode == 0, output[-3000:]
