"""A physical backup's Job: a real PostgreSQL, a real S3 server, and whatever comes between."""

from __future__ import annotations

import itertools
import random
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from component.fault_proxy import Answers, FaultProxy
from component.job_runs import (
    assert_whole,
    flip,
    keys,
    killed_at,
    record_in,
    run_of,
    take_physical,
    uploads,
)
from component.receivers import until
from component.servers import Server, Servers, servers
from component.store_server import CALM, StoreServer, store_of
from postbase_operator.archive.keys import PhysicalFolder
from postbase_operator.archive.record import RunPart
from postbase_operator.archive.run import BackupRun, LastWord
from postbase_operator.jobs import desk, physical
from postbase_operator.jobs.desk import Failed, Reporter, last_word
from postbase_operator.objectstore.s3 import S3Store
from postbase_operator.objectstore.settings import StoreConfig
from postbase_operator.objectstore.store import AlreadyExists, StoreUnavailable
from postbase_operator.wal.manifest import Manifest
from postbase_operator.wal.unpack import place_segment, unpack

__all__ = ["servers"]
SEED = 20261124


@pytest.fixture(scope="module")
def server(servers: Servers) -> Server:
    made = servers.new(15)
    made.load(3)
    return made


@pytest.fixture
def run(server: Server) -> BackupRun:
    return run_of("Physical", system_id_of(server))


def system_id_of(server: Server) -> str:
    return str(server.sql("SELECT system_identifier::text FROM pg_control_system()")[0][0])


def place(run: BackupRun) -> PhysicalFolder:
    assert isinstance(run.place, PhysicalFolder)
    return run.place


def test_it_is_made_whole_with_its_record_last_and_restores_alone(
    server: Server,
    servers: Servers,
    run: BackupRun,
    s3_proxy: FaultProxy,
    s3_config: StoreConfig,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(desk, "TOLD_EVERY", 0.0)
    store = store_of(s3_config, CALM, endpoint=s3_proxy.endpoint)
    take_physical(run, store, server.conninfo)
    writes = [line.split("?")[0] for line in s3_proxy.seen if not line.startswith(("GET", "HEAD"))]
    record, progress = f"/{place(run).record}", f"/{place(run).progress}"
    puts = [line for line in writes if line.startswith("PUT") and not line.endswith(progress)]
    assert puts[-1].endswith(record), "something was written after the record"
    assert sum(line.endswith(record) for line in puts) == 1
    assert any(line.endswith(progress) for line in writes), "nobody was told how far it was"
    made = assert_whole(store, run)
    assert (made.id, made.spec_hash, made.backup_name) == (run.id, run.spec_hash, run.backup_name)
    assert (made.system_id, made.checksums_verified, made.timeline) == (
        run.server.system_id,
        True,
        1,
    )

    target = servers.bare(15)
    target.data.mkdir(mode=0o700)
    folder = str(run.place)
    manifest = Manifest.parse(store.get(f"{folder}backup_manifest"))
    for segment in manifest.segments(run.server.wal_segment_size):
        place_segment(store.get_stream(f"{folder}wal/{segment.name}.zst"), segment, target.data)
    pieces = [each.key for each in made.objects if each.key.startswith("pieces/")]
    opened = [partial(store.get_stream, f"{folder}{key}") for key in pieces]
    unpack(opened, manifest, target.data)
    target.configure()
    target.take_over()
    target.start()
    rows = "SELECT count(*), sum(hashtext(body::text)) FROM load"
    assert target.sql(rows) == server.sql(rows)


@pytest.mark.timeout(120)
@pytest.mark.parametrize("after", [False, True], ids=["refused", "done"])
def test_killed_at_any_request_and_run_again_it_is_one_backup(
    server: Server,
    run: BackupRun,
    s3_proxy: FaultProxy,
    s3_server: StoreServer,
    after: bool,
) -> None:
    """Every other one in each of the two ways: a second and a half goes by with each."""
    killed = 0
    for number in itertools.count(2 if after else 1, 2):
        config = s3_server.config
        through = replace(config, endpoint=s3_proxy.endpoint)
        store = store_of(config)
        if not killed_at(s3_proxy, run, through, server.conninfo, number, after=after):
            break
        killed += 1
        if str(run.place.record) in keys(store):
            made = record_in(store, run)
            take_physical(run, store, server.conninfo)
            assert assert_whole(store, run) == made, "a backup that was there was made anew"
        else:
            take_physical(run, store, server.conninfo)
            made = assert_whole(store, run)
        reporter = Reporter(store, place(run).progress)
        physical.verify(store, place(run), made.objects, reporter)
        reporter.close()
        assert uploads(config) == []
    assert killed > 4, "fewer requests than it must take: nothing was tested"
    until("no slot", lambda: not server.sql("SELECT 1 FROM pg_replication_slots"))


def test_what_is_complete_is_not_made_again(
    server: Server, run: BackupRun, s3_store: S3Store
) -> None:
    take_physical(run, s3_store, server.conninfo)
    made = assert_whole(s3_store, run)
    s3_store.put(str(place(run).progress), b"{}")  # as a kill after the record leaves it
    take_physical(run, s3_store, "host=/nowhere")
    assert assert_whole(s3_store, run) == made


def test_a_run_of_another_server_leaves_no_backup(server: Server, s3_store: S3Store) -> None:
    run = run_of("Physical")
    with pytest.raises(Failed, match="is of system") as caught:
        take_physical(run, s3_store, server.conninfo)
    assert last_word(caught.value).reason == "WrongServer"
    assert str(run.place.record) not in keys(s3_store)


def test_a_flipped_bit_anywhere_is_found(
    server: Server,
    run: BackupRun,
    s3_store: S3Store,
    s3_config: StoreConfig,
    s3_server: StoreServer,
) -> None:
    take_physical(run, s3_store, server.conninfo)
    made = assert_whole(s3_store, run)
    chance = random.Random(SEED)  # noqa: S311 - no secret
    reporter = Reporter(s3_store, place(run).progress)
    reporter.tell(RunPart.VERIFYING, 0, 1)
    kinds = {each.key.split("/")[0] for each in made.objects}
    assert kinds == {"pieces", "backup_manifest", "wal"}
    for number in range(40):
        kind = sorted(kinds)[number % len(kinds)]
        each = chance.choice([e for e in made.objects if e.key.startswith(kind)])
        key, at = f"{run.place}{each.key}", chance.randrange(each.size)
        flip(s3_server, s3_config, key, at)
        with pytest.raises(Failed, match="is not what was written") as caught:
            physical.verify(s3_store, place(run), (each,), reporter)
        assert last_word(caught.value).reason == "ChecksumMismatch"
        flip(s3_server, s3_config, key, at)
    physical.verify(s3_store, place(run), made.objects, reporter)


def test_damage_on_the_way_ends_it_without_a_record_and_the_next_attempt_begins_anew(
    server: Server,
    run: BackupRun,
    s3_config: StoreConfig,
    s3_server: StoreServer,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    store = store_of(s3_config)
    whole = physical.verify

    def damaged(*arguments: object) -> None:
        flip(s3_server, s3_config, f"{run.place}pieces/000000.tar.zst", 100)
        whole(*arguments)  # type: ignore[arg-type]  # as they were given

    monkeypatch.setattr(physical, "verify", damaged)
    with pytest.raises(Failed, match="pieces/000000"):
        take_physical(run, store, server.conninfo)
    assert str(run.place.record) not in keys(store)
    assert keys(store), "there is nothing that the next attempt has to clear"
    monkeypatch.setattr(physical, "verify", whole)
    take_physical(run, store, server.conninfo)
    assert_whole(store, run)


def test_a_store_that_is_busy_for_a_moment_costs_nothing_and_one_that_stays_so_all(
    server: Server, run: BackupRun, s3_proxy: FaultProxy, s3_config: StoreConfig
) -> None:
    store = store_of(s3_config, endpoint=s3_proxy.endpoint)
    s3_proxy.next("PUT .*pieces", Answers(503, "SlowDown"), times=2)
    s3_proxy.next("PUT .*backup.json", Answers(503, "SlowDown"), times=2)
    take_physical(run, store, server.conninfo)
    made = assert_whole(store, run)
    for key in keys(store):
        store.delete(key)
    s3_proxy.next("PUT .*wal", Answers(503, "SlowDown"), times=100)
    with pytest.raises(StoreUnavailable) as caught:
        take_physical(run, store, server.conninfo)
    assert last_word(caught.value).reason == "StoreUnavailable"
    assert str(run.place.record) not in keys(store)
    until("no slot", lambda: not server.sql("SELECT 1 FROM pg_replication_slots"))
    assert made.completed_at > made.started_at


def test_what_another_installation_has_written_there_is_a_conflict(
    server: Server, run: BackupRun, s3_store: S3Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As two that share a folder of a bucket would: no attempt helps, and none of theirs goes."""
    key = f"{run.place}backup_manifest"
    monkeypatch.setattr(physical, "clear", lambda *_: s3_store.put(key, b"theirs"))
    with pytest.raises(AlreadyExists) as caught:
        take_physical(run, s3_store, server.conninfo)
    assert last_word(caught.value).reason == "Conflict"
    assert s3_store.get(key) == b"theirs"
    assert str(run.place.record) not in keys(s3_store)


def test_a_last_word_is_left_where_the_kubelet_looks_for_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(desk, "LAST_WORD", tmp_path / "log")

    def fail() -> None:
        raise Failed("DumpFailed", "pg_dump ended with 1")

    assert desk.run(fail) == 1
    word = LastWord.from_bytes((tmp_path / "log").read_bytes())
    assert (word.reason, word.message) == ("DumpFailed", "pg_dump ended with 1")
    (tmp_path / "log").unlink()
    assert desk.run(lambda: None) == 0
    assert not (tmp_path / "log").exists()
