"""A logical backup's Job: its two containers, the pipes between them, and a real S3 server."""

from __future__ import annotations

import gzip
import os
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest

from component.fault_proxy import Answers, FaultProxy
from component.job_runs import (
    Pod,
    assert_whole,
    end,
    flip,
    keys,
    killed_at,
    pod,
    programs,
    run_of,
    take_logical,
    uploads,
)
from component.servers import Servers, servers
from component.store_server import StoreServer, store_of
from postbase_operator.archive.keys import LogicalStem
from postbase_operator.jobs import logical
from postbase_operator.jobs.desk import Failed, last_word
from postbase_operator.jobs.fifo import read_pipe, write_pipe
from postbase_operator.objectstore.s3 import S3Store
from postbase_operator.objectstore.settings import StoreConfig
from postbase_operator.objectstore.store import ObjectStore, StoreUnavailable

__all__ = ["servers"]
RUN = run_of("Logical")
PLACE = cast(LogicalStem, RUN.place)
DUMP = b"PGDMP" + os.urandom(1 << 20) + bytes(1 << 20)


@pytest.fixture
def its_pod(tmp_path: Path) -> Pod:
    return pod(tmp_path / "pod", DUMP)


def take(its: Pod, store: S3Store) -> None:
    with its.dumping():
        take_logical(RUN, store, str(its.run))


def failure(its: Pod, store: S3Store) -> Failed:
    with pytest.raises(Failed) as caught:
        take(its, store)
    assert str(PLACE.record) not in keys(store)
    return caught.value


def test_a_real_database_is_dumped_and_the_dump_restored(
    servers: Servers, s3_store: S3Store, tmp_path: Path
) -> None:
    server = servers.new(15)
    server.sql("CREATE ROLE app LOGIN PASSWORD 'hunter2'")
    server.sql("CREATE TABLE t AS SELECT n, md5(n::text) FROM generate_series(1, 20000) n")
    server.sql("SELECT lo_from_bytea(4711, 'a large object')")
    take(pod(tmp_path / "pod", server=server), s3_store)
    made = assert_whole(s3_store, RUN)
    assert made.source_bytes > 500_000
    globals_ = s3_store.get(f"{PLACE}.globals.sql").decode()
    assert "CREATE ROLE app" in globals_
    assert "SCRAM" not in globals_
    assert "PASSWORD" not in globals_

    server.sql("CREATE DATABASE again")
    file = tmp_path / "dump"
    file.write_bytes(gzip.decompress(s3_store.get(f"{PLACE}.dump.gz")))
    into = (f"--host={server.folder}", "--username=postgres", "--dbname=again")
    subprocess.run([programs() / "pg_restore", *into, file], check=True)
    rows = "SELECT count(*), sum(hashtext(md5)) FROM t"
    assert server.sql(rows, dbname="again") == server.sql(rows)
    assert server.sql("SELECT lo_get(4711)", dbname="again") == [(b"a large object",)]


def test_it_is_what_pg_dump_wrote_with_its_record_last(
    its_pod: Pod, s3_proxy: FaultProxy, s3_config: StoreConfig
) -> None:
    store = store_of(s3_config, endpoint=s3_proxy.endpoint)
    take(its_pod, store)
    puts = [line for line in s3_proxy.seen if line.startswith("PUT") and "progress" not in line]
    assert puts[-1].endswith(f"/{PLACE.record}"), "something was written after the record"
    made = assert_whole(store, RUN)
    assert gzip.decompress(store.get(f"{PLACE}.dump.gz")) == DUMP
    assert (made.source_bytes, made.objects[1].raw_size) == (len(DUMP), len(DUMP))
    assert (made.id, made.spec_hash, made.backup_name) == (RUN.id, RUN.spec_hash, RUN.backup_name)
    assert store.get(f"{PLACE}.globals.sql") == b"CREATE ROLE app;\n"


HALF = "head -c 1500000 {dump}; exit 1"
KILLED = "head -c 1500000 {dump}; kill -9 $$"


@pytest.mark.parametrize(("text", "status"), [(HALF, "1"), (KILLED, "137")])
def test_half_a_dump_never_becomes_an_object(
    its_pod: Pod, s3_store: S3Store, s3_config: StoreConfig, text: str, status: str
) -> None:
    its_pod.program("pg_dump", text.format(dump=its_pod.folder / "dump"))
    error = failure(its_pod, s3_store)
    assert (error.reason, f"pg_dump ended with {status}" in str(error)) == ("DumpFailed", True)
    assert f"{PLACE}.dump.gz" not in keys(s3_store)
    assert uploads(s3_config) == []


def test_a_container_that_is_killed_in_its_dump_and_starts_again_says_so(
    its_pod: Pod, s3_store: S3Store
) -> None:
    its_pod.program("pg_dump", f"head -c 1500000 {its_pod.folder / 'dump'}; exec sleep 60")
    with its_pod.dumping() as first:

        def kill() -> None:
            while not (its_pod.run / "globals.status").exists():
                time.sleep(0.02)
            end(first)

        stored = threading.Thread(target=kill)
        again: list[object] = []

        def restart() -> None:
            stored.join()
            with its_pod.dumping() as second:
                again.append(second)
                over.wait(20)

        over = threading.Event()
        kubelet = threading.Thread(target=restart)
        stored.start()
        kubelet.start()
        with pytest.raises(Failed, match="pg_dump ended with interrupted"):
            take_logical(RUN, s3_store, str(its_pod.run))
        over.set()
        kubelet.join()
    assert again
    assert {f"{PLACE}.dump.gz", str(PLACE.record)}.isdisjoint(keys(s3_store))


def test_a_container_that_never_comes_back_is_not_waited_for(
    its_pod: Pod, s3_store: S3Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logical, "SAID_WITHIN", 0.5)
    its_pod.program("pg_dump", "kill -9 0")
    assert "nobody says how it ended" in str(failure(its_pod, s3_store))


def test_roles_that_cannot_be_read_end_it(its_pod: Pod, s3_store: S3Store) -> None:
    its_pod.program("pg_dumpall", "echo half; exit 3")
    assert "pg_dumpall ended with 3" in str(failure(its_pod, s3_store))
    assert keys(s3_store) == set()


def test_a_dump_that_pg_restore_cannot_list_is_none_and_the_next_attempt_clears_it(
    its_pod: Pod, s3_store: S3Store, tmp_path: Path
) -> None:
    its_pod.program("pg_restore", "cat >/dev/null; exit 1")
    error = failure(its_pod, s3_store)
    assert "pg_restore --list ended with 1" in str(error)
    assert f"{PLACE}.dump.gz" in keys(s3_store)
    other = pod(tmp_path / "second", DUMP + b"and more")
    take(other, s3_store)
    assert_whole(s3_store, RUN)
    assert gzip.decompress(s3_store.get(f"{PLACE}.dump.gz")) == DUMP + b"and more"


def test_one_that_lists_without_reading_to_the_end_is_enough(
    its_pod: Pod, s3_store: S3Store
) -> None:
    its_pod.program("pg_restore", "head -c 10 >/dev/null")
    take(its_pod, s3_store)
    assert_whole(s3_store, RUN)


class Damaging:
    """A store in which a bit of the dump flips once it is there."""

    def __init__(self, store: S3Store, server: StoreServer, config: StoreConfig, at: int) -> None:
        self._store = store
        self._flip: Callable[[str], None] = lambda key: flip(server, config, key, at)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    def get_stream(self, key: str) -> Iterator[bytes]:
        self._flip(key)
        return self._store.get_stream(key)


class Lengthening(Damaging):
    """A store in which a byte comes to the end of the dump: gzip's own sum does not see it."""

    def get_stream(self, key: str) -> Iterator[bytes]:
        yield from self._store.get_stream(key)
        yield b"x"


def test_a_byte_too_many_is_found_before_there_is_a_backup(
    its_pod: Pod, s3_store: S3Store, s3_server: StoreServer, s3_config: StoreConfig
) -> None:
    longer = Lengthening(s3_store, s3_server, s3_config, 0)
    with its_pod.dumping(), pytest.raises(Failed) as caught:
        logical.LogicalBackup(RUN, cast(ObjectStore, longer), its_pod.run).make()
    assert caught.value.reason == "ChecksumMismatch"
    assert str(PLACE.record) not in keys(s3_store)


@pytest.mark.parametrize("at", [0, 12, 1000, 500_000, -4])
def test_a_bit_that_flips_in_the_store_is_found_before_there_is_a_backup(
    its_pod: Pod, s3_store: S3Store, s3_server: StoreServer, s3_config: StoreConfig, at: int
) -> None:
    size = len(gzip.compress(DUMP, 1))
    damaged = Damaging(s3_store, s3_server, s3_config, at if at >= 0 else size // 2)
    with its_pod.dumping(), pytest.raises(Failed) as caught:
        logical.LogicalBackup(RUN, cast(ObjectStore, damaged), its_pod.run).make()
    assert caught.value.reason in ("ChecksumMismatch", "DumpFailed")
    assert str(PLACE.record) not in keys(s3_store)


def test_a_store_that_is_busy_for_a_moment_costs_nothing_and_one_that_stays_so_all(
    its_pod: Pod, s3_proxy: FaultProxy, s3_config: StoreConfig, tmp_path: Path
) -> None:
    store = store_of(s3_config, endpoint=s3_proxy.endpoint)
    s3_proxy.next("PUT .*dump.gz", Answers(503, "SlowDown"), times=2)
    take(its_pod, store)
    assert_whole(store, RUN)
    logical.clear(store, PLACE.prefix)
    s3_proxy.next("PUT .*dump.gz", Answers(503, "SlowDown"), times=100)
    with pytest.raises(StoreUnavailable) as caught:
        take(pod(tmp_path / "second", DUMP), store)
    assert last_word(caught.value).reason == "StoreUnavailable"
    assert keys(store) == {f"{PLACE}.globals.sql", str(PLACE.progress)}


def test_what_is_complete_is_not_made_again(its_pod: Pod, s3_store: S3Store) -> None:
    take(its_pod, s3_store)
    made = assert_whole(s3_store, RUN)
    s3_store.put(str(PLACE.progress), b"{}")  # as a kill after the record leaves it
    take_logical(RUN, s3_store, "/nowhere")
    assert assert_whole(s3_store, RUN) == made


@pytest.mark.timeout(120)
@pytest.mark.parametrize("after", [False, True], ids=["refused", "done"])
def test_killed_at_any_request_and_run_again_it_is_one_backup(
    tmp_path: Path, s3_proxy: FaultProxy, s3_server: StoreServer, after: bool
) -> None:
    number = 0
    while True:
        number += 1
        config = s3_server.config
        through = replace(config, endpoint=s3_proxy.endpoint)
        store, first = store_of(config), pod(tmp_path / f"first-{number}", DUMP)
        with first.dumping():
            if not killed_at(s3_proxy, RUN, through, str(first.run), number, after=after):
                break
        complete = str(PLACE.record) in keys(store)
        before = store.get(str(PLACE.record)) if complete else b""
        take(pod(tmp_path / f"second-{number}", DUMP), store)
        assert_whole(store, RUN)
        assert gzip.decompress(store.get(f"{PLACE}.dump.gz")) == DUMP
        assert not complete or store.get(str(PLACE.record)) == before
    assert number > 6, "fewer requests than it must take: nothing was tested"


# -- pipes ---------------------------------------------------------------------------------------


@pytest.fixture
def pipe(tmp_path: Path) -> Path:
    os.mkfifo(tmp_path / "pipe")
    return tmp_path / "pipe"


def test_what_is_written_just_before_the_end_is_told_is_read(pipe: Path) -> None:
    """It once fell between the look into the pipe and the question whether there is more."""
    told: list[bool] = []

    def over() -> bool:
        if not told:
            told.append(True)
            descriptor = os.open(pipe, os.O_WRONLY | os.O_NONBLOCK)
            os.write(descriptor, b"CREATE ROLE app;")
            os.close(descriptor)
        return True

    assert b"".join(read_pipe(pipe, over)) == b"CREATE ROLE app;"


def test_a_writer_that_never_comes_is_not_waited_for(pipe: Path) -> None:
    assert list(read_pipe(pipe, lambda: True)) == []
    taken: list[bytes] = []

    def chunks() -> Iterator[bytes]:
        for each in (b"a", b"b"):
            taken.append(each)
            yield each

    write_pipe(pipe, chunks(), lambda: True)
    assert taken == [b"a", b"b"], "what is read back must be read to its end"
