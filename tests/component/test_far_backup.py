"""A backup that is taken beside its server: nobody takes the same attempt twice."""

from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from functools import partial

import pytest

from component.job_runs import assert_whole, keys, run_of
from component.servers import Server, Servers, servers
from postbase_operator.archive.backup_order import ORDER, BackupOrder, BackupWord
from postbase_operator.archive.keys import PhysicalFolder
from postbase_operator.archive.receiver_environment import one_line
from postbase_operator.archive.record import BackupRecord, Progress
from postbase_operator.archive.run import BackupRun
from postbase_operator.jobs import far_backup, far_backups, physical
from postbase_operator.jobs.desk import Failed, last_word
from postbase_operator.objectstore.s3 import S3Store
from postbase_operator.objectstore.store import ObjectStore
from postbase_operator.wal.client import Replication

__all__ = ["servers"]


@pytest.fixture(scope="module")
def server(servers: Servers) -> Server:
    made = servers.new(15)
    made.load(3)
    return made


@pytest.fixture
def run(server: Server) -> BackupRun:
    system = server.sql("SELECT system_identifier::text FROM pg_control_system()")[0][0]
    return run_of("Physical", str(system))


def order(run: BackupRun, attempt: int = 1) -> BackupOrder:
    now = datetime.now(UTC)
    until = now + timedelta(hours=1)
    return BackupOrder(attempt=attempt, made_at=now, until=until, run=run)


def place(run: BackupRun) -> PhysicalFolder:
    assert isinstance(run.place, PhysicalFolder)
    return run.place


def make(server: Server, asked: BackupOrder, store: S3Store) -> None:
    far_backup.make(asked, store, partial(Replication.connect, server.conninfo))


def test_it_is_whole_and_found_whole_by_whoever_comes_after(
    server: Server, run: BackupRun, s3_store: S3Store
) -> None:
    make(server, order(run), s3_store)
    made = assert_whole(s3_store, run)
    for attempt in (1, 2):
        make(server, order(run, attempt), s3_store)
        assert assert_whole(s3_store, run) == made


def test_what_another_process_has_begun_is_left_alone_and_the_next_attempt_clears_it(
    server: Server, run: BackupRun, s3_store: S3Store
) -> None:
    far_backup.claim(order(run), s3_store, place(run), "another")
    s3_store.put(f"{place(run)}pieces/000000.tar.zst", b"half of it")
    held = keys(s3_store)
    with pytest.raises(Failed, match="ended in the middle") as caught:
        make(server, order(run), s3_store)
    assert last_word(caught.value).reason == "Interrupted"
    assert keys(s3_store) == held
    make(server, order(run, 2), s3_store)
    assert_whole(s3_store, run)


def test_one_that_ends_while_another_process_comes_stays_whole(
    server: Server, run: BackupRun, s3_store: S3Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The record is not there yet at the other's first look, and the claim is gone at its next."""
    asked, claimed, made = order(run), far_backup._claimed, list[BackupRecord]()

    def ends_first(store: ObjectStore, key: str) -> int | None:
        monkeypatch.setattr(far_backup, "_claimed", claimed)
        make(server, asked, s3_store)
        made.append(assert_whole(s3_store, run))
        return claimed(store, key)

    monkeypatch.setattr(far_backup, "_claimed", ends_first)
    make(server, asked, s3_store)
    assert [assert_whole(s3_store, run)] == made  # and not another one in its place
    assert str(place(run).progress) not in keys(s3_store)


def test_of_many_at_once_one_takes_it(run: BackupRun, s3_store: S3Store) -> None:
    def claim(taker: int) -> bool:
        try:
            far_backup.claim(order(run), s3_store, place(run), str(taker))
        except Failed:
            return False
        return True

    with ThreadPoolExecutor(8) as pool:
        taken = list(pool.map(claim, range(8)))
    assert taken.count(True) == 1
    told = Progress.from_bytes(s3_store.get(str(place(run).progress)))
    assert (told.attempt, told.taker) == (1, str(taken.index(True)))


def test_its_progress_goes_on_saying_whose_it_is(
    server: Server, run: BackupRun, s3_store: S3Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise Failed("ChecksumMismatch", "as if")

    monkeypatch.setattr("postbase_operator.jobs.desk.TOLD_EVERY", 0.0)
    monkeypatch.setattr(physical, "verify", fail)
    with pytest.raises(Failed, match="as if"):
        make(server, order(run), s3_store)
    told = Progress.from_bytes(s3_store.get(str(place(run).progress)))
    assert told.attempt == 1
    assert told.bytes_done > 0


def test_its_process_ends_with_its_parent(run: BackupRun) -> None:
    """It would wait for its server, which is nowhere, and its store."""
    child = subprocess.Popen(
        [sys.executable, "-c", "import time, threading\n"
         "from postbase_operator.jobs import far_backup\n"
         "threading.Thread(target=far_backup._end_with_parent).start()\n"
         "print('there', flush=True)\n"
         "time.sleep(60)"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )  # fmt: skip
    assert child.stdin is not None
    assert child.stdout is not None
    assert child.stdout.readline() == b"there\n"
    child.stdin.close()
    assert child.wait(30) == 1
    child.stdout.close()


def test_keys_that_are_missing_are_a_last_word(run: BackupRun) -> None:
    environ = {ORDER: one_line(order(run)), "PYTHONPATH": ":".join(sys.path)}
    with subprocess.Popen(
        [sys.executable, "-m", far_backups.PROGRAM],
        env=environ,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as child:
        assert child.wait(60) == 0
        assert child.stdout is not None
        word = BackupWord.from_bytes(child.stdout.read())
    assert word.ended
    assert "the keys of a backup" in word.message
