"""Physical backups under load, stored in a folder, restored alone, started: every major."""

from __future__ import annotations

import hashlib
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import pytest

from component.folder_sink import FOLDER, FolderSink
from component.receivers import until
from component.servers import MAJORS, OTHERS, Server, Servers, servers
from postbase_operator.errors import Unavailable
from postbase_operator.wal.base_backup import Options
from postbase_operator.wal.client import Replication
from postbase_operator.wal.lsn import Segment
from postbase_operator.wal.manifest import ChecksumMismatch, Manifest
from postbase_operator.wal.physical import PhysicalBackup, Plan, take
from postbase_operator.wal.pieces import MIB, Sizes
from postbase_operator.wal.shelf import digest
from postbase_operator.wal.unpack import place_segment, unpack

__all__ = ["servers"]
every = pytest.mark.parametrize("major", [*MAJORS, *OTHERS])
full = pytest.mark.parametrize("major", MAJORS)
SMALL = Sizes(full=4 * MIB, most=8 * MIB)


def back_up(
    server: Server,
    sink: FolderSink,
    progress: Callable[[int, int], None] = lambda *_: None,
) -> PhysicalBackup:
    plan = Plan(FOLDER, Options("test"), sizes=SMALL)
    return take(partial(Replication.connect, server.conninfo), sink, plan, progress)


@contextmanager
def busy(server: Server) -> Iterator[None]:
    """Transactions of two rows that must never be seen apart, as fast as they go."""
    server.sql("CREATE TABLE pairs (n bigint, body text)")
    stop = threading.Event()

    def work() -> None:
        n = 0
        while not stop.is_set():
            n += 1
            server.sql("INSERT INTO pairs SELECT %s, repeat('x', 5000) FROM generate_series(1, 2)",
                       n)  # fmt: skip

    thread = threading.Thread(target=work)
    thread.start()
    try:
        until("it writes", lambda: server.sql("SELECT 1 FROM pairs LIMIT 1"))
        yield
    finally:
        stop.set()
        thread.join()


def restore(backup: PhysicalBackup, sink: FolderSink, target: Server) -> None:
    """Into the folder of a server that has none, from the sink alone; not started yet."""
    target.data.mkdir(mode=0o700)
    manifest = Manifest.parse(b"".join(sink.read(f"{FOLDER}backup_manifest")))
    for segment in manifest.segments(backup.segment_size):
        place_segment(sink.read(f"{FOLDER}wal/{segment.name}.zst"), segment, target.data)
    pieces = [item.key for item in backup.objects if item.key.startswith("pieces/")]
    unpack([partial(sink.read, f"{FOLDER}{key}") for key in pieces], manifest, target.data)


@every
def test_a_backup_under_load_restores_alone(servers: Servers, major: int, tmp_path: Path) -> None:
    server, sink = servers.new(major), FolderSink(tmp_path)
    server.load(24)
    told: list[tuple[int, int]] = []
    with busy(server):
        backup = back_up(server, sink, lambda done, total: told.append((done, total)))
    before = server.sql("SELECT count(*), sum(hashtext(body::text)) FROM load")
    assert told[-1][0] == backup.source_bytes
    assert 0.5 < told[-1][0] / told[-1][1] < 2
    assert_objects(backup, sink)

    target = servers.bare(major)
    restore(backup, sink, target)
    target.configure()
    target.take_over()
    target.start()
    assert target.sql("SELECT count(*), sum(hashtext(body::text)) FROM load") == before
    assert target.sql("SELECT n FROM pairs GROUP BY n HAVING count(*) <> 2") == []
    assert target.sql("SELECT count(*) > 0 FROM pairs") == [(True,)]
    assert "consistent recovery state reached" in target.log
    target.sql("CREATE TABLE after AS SELECT 1")


def assert_objects(backup: PhysicalBackup, sink: FolderSink, pieces: int = 4) -> None:
    """What the result says is what lies there, and nothing else does."""
    assert {f"{FOLDER}{item.key}" for item in backup.objects} == sink.keys()
    assert sum(item.key.startswith("pieces/") for item in backup.objects) >= pieces
    first = Segment.containing(backup.start, backup.timeline, backup.segment_size)
    assert f"wal/{first.name}.zst" in {item.key for item in backup.objects}
    for item in backup.objects:
        body = b"".join(sink.read(f"{FOLDER}{item.key}"))
        assert (len(body), hashlib.sha256(body).hexdigest()) == (item.size, item.sha256)
    assert backup.size_bytes == sum(item.size for item in backup.objects)
    assert backup.checksums_verified is True
    assert len(digest(backup.objects)) == 64


@full
def test_a_backup_of_damaged_pages_is_kept_and_marked(
    servers: Servers, major: int, tmp_path: Path
) -> None:
    server, sink = servers.new(major), FolderSink(tmp_path)
    server.load(2)
    server.sql("CHECKPOINT")
    path = str(server.sql("SELECT pg_relation_filepath('load')")[0][0])
    server.stop()
    with (server.data / path).open("r+b") as file:
        file.seek(8192 + 4000)
        file.write(b"damage")
    server.start()
    backup = back_up(server, sink)
    assert backup.checksums_verified is False
    assert any(path in told for told in backup.damage)
    target = servers.bare(major)
    restore(backup, sink, target)
    assert b"damage" in (target.data / path).read_bytes()


@full
def test_a_store_that_fails_ends_the_backup_with_its_own_error(
    servers: Servers, major: int, tmp_path: Path
) -> None:
    server = servers.new(major)
    server.load(24)
    for part in ("pieces/000002", "backup_manifest", "wal/"):

        def fail(key: str, chunk: int, part: str = part) -> None:
            if part in key:
                raise Unavailable("S3", f"no {part}")

        sink = FolderSink(tmp_path / part.replace("/", "-"), before_each=fail)
        with pytest.raises(Unavailable, match=f"no {part}"):
            back_up(server, sink)
        left = sink.keys()
        assert not any(part in key or key.endswith(".part") for key in left)
    assert not [t for t in threading.enumerate() if t.name.startswith(("store", "log"))]
    until("no slot", lambda: not server.sql("SELECT 1 FROM pg_replication_slots"))


@full
def test_a_server_that_dies_ends_the_backup(servers: Servers, major: int, tmp_path: Path) -> None:
    server = servers.new(major)
    server.load(24)
    kill = threading.Event()

    def die(key: str, chunk: int) -> None:
        if "pieces/000002" in key and not kill.is_set():
            kill.set()
            server.kill()

    with pytest.raises(Unavailable, match="PostgreSQL"):
        back_up(server, FolderSink(tmp_path, before_each=die))
    assert not [t for t in threading.enumerate() if t.name.startswith(("store", "log"))]


@full
def test_a_store_that_stalls_costs_time_and_nothing_else(
    servers: Servers, major: int, tmp_path: Path
) -> None:
    server = servers.new(major)
    server.load(24)
    began: list[float] = []

    def stall(key: str, chunk: int) -> None:
        """Four seconds, and longer where nothing else has come by then: as long as it may take."""
        if "wal/" in key or "pieces/000001" in key:
            began.append(time.monotonic())
            while (gone := time.monotonic() - began[0]) < 4 or (sink.busiest < 2 and gone < 30):
                threading.Event().wait(0.05)

    sink = FolderSink(tmp_path, before_each=stall)
    with busy(server):
        backup = back_up(server, sink)
    assert_objects(backup, sink)
    assert sink.busiest >= 2


@full
def test_the_server_keeps_the_log_while_the_store_is_behind(
    servers: Servers, major: int, tmp_path: Path
) -> None:
    """Longer than the server waits for one that says nothing, by more than it keeps by itself."""
    server = servers.new(
        major, max_wal_size="'32MB'", min_wal_size="'32MB'", wal_sender_timeout="'15s'"
    )
    server.load(32)
    one, written, stalled = threading.Lock(), threading.Event(), threading.Event()

    def write_meanwhile(key: str, chunk: int) -> None:
        with one:
            if "pieces/" in key and not written.is_set():
                server.load(80)
                server.sql("CHECKPOINT")
                written.set()
        if "wal/" in key and not stalled.is_set():
            written.wait(60)
            stalled.wait(20)
            stalled.set()

    sink = FolderSink(tmp_path, before_each=write_meanwhile)
    backup = back_up(server, sink)
    assert_objects(backup, sink)
    assert backup.stop - backup.start > 64 * MIB


@full
def test_what_was_damaged_in_the_store_does_not_start(
    servers: Servers, major: int, tmp_path: Path
) -> None:
    server, sink = servers.new(major), FolderSink(tmp_path)
    server.load(8)
    backup = back_up(server, sink)
    victim = tmp_path / f"{FOLDER}pieces/000001.tar.zst"
    body = bytearray(victim.read_bytes())
    body[len(body) // 2] ^= 1
    victim.write_bytes(body)
    target = servers.bare(major)
    with pytest.raises(ChecksumMismatch, match="damaged"):
        restore(backup, sink, target)
    assert not (target.data / "global/pg_control").exists()
    body[len(body) // 2] ^= 1
    victim.write_bytes(body)
    manifest = Manifest.parse(b"".join(sink.read(f"{FOLDER}backup_manifest")))
    pieces = [item.key for item in backup.objects if item.key.startswith("pieces/")]
    unpack([partial(sink.read, f"{FOLDER}{key}") for key in pieces], manifest, target.data)
    assert (target.data / "global/pg_control").exists(), "the second run mends the first"
