"""Backup Jobs on bad days of store and schema: nothing half counts, and the next is whole."""

from __future__ import annotations

import gzip
import itertools
import json
import os
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import cast

import psycopg
import pytest

from component.job_runs import Pod, assert_whole, keys, pod, run_of, take_logical, uploads
from component.load_runs import Restore, settle
from component.load_runs import dump as dumped
from component.servers import Servers, servers
from component.store_server import StoreServer, store_of, store_server
from postbase_operator.archive.keys import LogicalStem
from postbase_operator.archive.run import BackupRun
from postbase_operator.errors import PostbaseError
from postbase_operator.jobs.desk import last_word
from postbase_operator.objectstore.s3 import S3Store
from postbase_operator.objectstore.settings import STORE_JSON, Mounted, StoreConfig

__all__ = ["servers"]
RUN = run_of("Logical")
PLACE = cast(LogicalStem, RUN.place)
DUMP = b"PGDMP" + os.urandom(24 << 20)
HALF = 12 << 20


def halting(folder: Path) -> Pod:
    """A pod whose pg_dump stops in its middle, until the file `on` is there."""
    its = pod(folder, DUMP)
    whole = folder / "dump"
    its.program(
        "pg_dump",
        f"head -c {HALF} {whole}; : >{folder}/half\n"
        f"while [ ! -e {folder}/on ]; do sleep 0.05; done\n"
        f"tail -c +{HALF + 1} {whole}",
    )
    return its


@contextmanager
def in_the_middle(its: Pod, doing: Callable[[], None]) -> Iterator[None]:
    """Does this once half of the dump is on its way, and lets the rest follow."""
    failed: list[Exception] = []

    def work() -> None:
        try:
            while not (its.folder / "half").exists():
                time.sleep(0.02)
            doing()
        except Exception as error:
            failed.append(error)
            raise
        finally:
            (its.folder / "on").touch()

    thread = threading.Thread(target=work)
    thread.start()
    with its.dumping():
        yield
    thread.join(30)
    assert not failed


def is_whole(store: S3Store) -> None:
    assert_whole(store, RUN)
    assert gzip.decompress(store.get(f"{PLACE}.dump.gz")) == DUMP


def fails(its: Pod, store: S3Store) -> str:
    with pytest.raises(PostbaseError) as caught:
        take_logical(RUN, store, str(its.run))
    return last_word(caught.value).reason


@pytest.fixture
def stopping() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


@pytest.mark.timeout(120)
def test_a_store_that_is_killed_and_is_back_costs_nothing(
    tmp_path: Path, stopping: ExitStack
) -> None:
    first = ExitStack()
    server = first.enter_context(store_server(tmp_path / "s3"))
    config = server.config
    store = S3Store(lambda: config)
    its = halting(tmp_path / "pod")

    def kill_and_start() -> None:
        first.close()
        stopping.enter_context(store_server(tmp_path / "s3", port=server.port))

    with in_the_middle(its, kill_and_start):
        take_logical(RUN, store, str(its.run))
    is_whole(store)


@pytest.mark.timeout(120)
def test_one_that_stays_away_ends_the_attempt_and_the_next_is_whole(
    tmp_path: Path, stopping: ExitStack
) -> None:
    first = ExitStack()
    server = first.enter_context(store_server(tmp_path / "s3"))
    config = server.config
    its = halting(tmp_path / "pod")
    with in_the_middle(its, first.close):
        assert fails(its, store_of(config)) == "StoreUnavailable"
    stopping.enter_context(store_server(tmp_path / "s3", port=server.port))
    store = store_of(config)
    assert str(PLACE.record) not in keys(store)
    again = pod(tmp_path / "second", DUMP)
    with again.dumping():
        take_logical(RUN, store, str(again.run))
    is_whole(store)


@pytest.mark.timeout(120)
def test_credentials_that_are_rotated_in_the_middle_are_taken_up(
    tmp_path: Path, stopping: ExitStack
) -> None:
    """The former ones are refused from then on."""
    first = ExitStack()
    server = first.enter_context(store_server(tmp_path / "s3"))
    config, folder = server.config, tmp_path / "mounted"
    folder.mkdir()
    mount(folder, config, config.secret_access_key)
    its = halting(tmp_path / "pod")

    def rotate() -> None:
        first.close()
        other = "another-secret/that+is=long"
        stopping.enter_context(store_server(tmp_path / "s3", port=server.port, secret=other))
        mount(folder, config, other)

    store = S3Store(Mounted(folder))
    with in_the_middle(its, rotate):
        take_logical(RUN, store, str(its.run))
    is_whole(store)


def mount(folder: Path, config: StoreConfig, secret: str) -> None:
    """As the kubelet does: all files at once."""
    where = {"bucket": config.bucket, "endpoint": config.endpoint, "pathStyle": True}
    content = {
        STORE_JSON: json.dumps(where),
        "AWS_ACCESS_KEY_ID": config.access_key_id,
        "AWS_SECRET_ACCESS_KEY": secret,
    }
    new = folder / f"at-{time.monotonic_ns()}"
    new.mkdir()
    for name, text in content.items():
        (new / name).write_text(text)
        if not (folder / name).is_symlink():
            (folder / name).symlink_to(f"..data/{name}")
    (folder / "..new").symlink_to(new.name)
    (folder / "..new").rename(folder / "..data")


@pytest.fixture
def full(tmp_path: Path) -> Iterator[tuple[StoreServer, Callable[[str], None]]]:
    """A store on a file system of 16 MiB, and what makes that larger."""
    if os.geteuid() != 0:
        pytest.skip("a file system of its own is mounted by root alone")
    folder = tmp_path / "s3"
    objects = folder / "objects"
    objects.mkdir(parents=True)

    def mounted(*words: str) -> None:
        subprocess.run(["mount", "-t", "tmpfs", *words, "none", str(objects)], check=True)

    mounted("-o", "size=16m")
    try:
        with store_server(folder) as server:
            yield server, lambda size: mounted("-o", f"remount,size={size}")
    finally:
        subprocess.run(["umount", "--lazy", str(objects)], check=True)


@pytest.mark.timeout(120)
def test_a_full_bucket_ends_it_and_with_room_the_next_is_whole(
    full: tuple[StoreServer, Callable[[str], None]], tmp_path: Path
) -> None:
    server, grow = full
    config = server.config
    store = store_of(config)
    its = pod(tmp_path / "pod", DUMP)
    with its.dumping():
        reason = fails(its, store)
    assert reason in ("StoreUnavailable", "StoreFull"), reason
    assert not {f"{PLACE}.dump.gz", str(PLACE.record)} & keys(store)
    assert uploads(config) == []
    grow("128m")
    again = pod(tmp_path / "second", DUMP)
    with again.dumping():
        take_logical(RUN, store, str(again.run))
    is_whole(store)


# Each table has a name of its own: pg_dump locks by name, and of one that is made anew within the
# moment between its snapshot and its lock it writes what no server reads (docs/backups.md).
CHURN = (
    "CREATE TABLE made_{0} (n int, v text)",
    "ALTER TABLE made_{0} ADD m int DEFAULT 3",
    "CREATE INDEX ON made_{0} (n)",
    "ALTER TABLE made_{0} DROP v",
    "DROP TABLE made_{0}",
    "CREATE OR REPLACE VIEW seen AS SELECT n FROM kept",
    "DROP VIEW seen",
    "CREATE SCHEMA s",
    "DROP SCHEMA s",
)


@pytest.mark.timeout(240)
def test_a_schema_that_changes_meanwhile_costs_an_attempt_at_most(
    servers: Servers, s3_store: S3Store, tmp_path: Path
) -> None:
    """Whatever comes of a dump is a moment as it was: it is restored, or there is none of it."""
    server = servers.new(15)
    settle(server)
    server.sql("CREATE DATABASE app OWNER app")
    server.sql("CREATE TABLE kept AS SELECT n FROM generate_series(1, 50000) n", dbname="app")
    server.sql("ALTER TABLE kept OWNER TO app", dbname="app")
    over, changes = threading.Event(), [0]

    def churn() -> None:
        with psycopg.connect(server.conninfo, dbname="app", autocommit=True) as connection:
            connection.execute("SET lock_timeout = '100ms'")
            connection.execute("SET ROLE app")
            for turn in itertools.count():
                if over.is_set():
                    break
                for statement in CHURN:
                    try:
                        connection.execute(statement.format(turn).encode())
                        changes[0] += 1
                    except psycopg.Error:
                        pass  # held by the dump, or what it is about is not there

    thread = threading.Thread(target=churn)
    server.sql("GRANT CREATE ON SCHEMA public TO app", dbname="app")
    server.sql("GRANT CREATE ON DATABASE app TO app")
    thread.start()
    complete: list[BackupRun] = []
    refused: list[str] = []
    try:
        for number in range(40):
            if number >= 8 and complete:
                break
            try:
                complete.append(dumped(server, s3_store, tmp_path / f"dump-{number}"))
            except PostbaseError as error:
                refused.append(last_word(error).reason)
    finally:
        over.set()
        thread.join(30)
    assert changes[0] > 20
    assert complete, "none of forty"
    assert set(refused) <= {"DumpFailed"}
    restore = Restore(server, s3_store, complete[-1], tmp_path / "restore")
    restore.load()
    assert restore.sql("SELECT count(*), sum(n) FROM kept") == [(50000, 1250025000)]
