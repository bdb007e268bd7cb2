"""The archive beside what PostgreSQL's own programs make of the same log."""

from __future__ import annotations

import re
import shutil
import subprocess
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import pytest

from component.receivers import (
    Running,
    archived,
    check_list,
    hot_store,
    index_of,
    local,
    object_of,
    position,
    receiving,
    until,
)
from component.servers import Server, Servers, servers
from postbase_operator.archive.wal_index import WalIndex
from postbase_operator.gateway import downloads
from postbase_operator.objectstore.hot import HotS3Store
from postbase_operator.objectstore.settings import StoreConfig
from postbase_operator.objectstore.store import Stored
from postbase_operator.wal import records, timeline
from postbase_operator.wal.lsn import Lsn, Segment
from postbase_operator.wal.streaming import Streaming

__all__ = ["servers"]
pytestmark = pytest.mark.timeout(300)
PROGRAMS = Path("/usr/lib/postgresql/15/bin")
"""Of the distribution: the pinned packages have the server alone."""
SWITCHES = 20
SMALL_SEGMENT = 1 << 20


def program(name: str) -> str:
    found = shutil.which(name) or shutil.which(name, path=str(PROGRAMS))
    if found is None:
        pytest.skip(f"{name} is not on this machine: install postgresql-15")
    return found


class Reference:
    """PostgreSQL's own receiver beside ours. It waits five seconds for a server that has gone: so
    it is begun anew after each of its ends."""

    def __init__(self, server: Server, folder: Path) -> None:
        self.folder = folder
        command = [str(program("pg_receivewal")), "-h", str(server.folder), "-U", "postgres"]
        self._command: list[str | Path] = [
            *command,
            "-S",
            "reference",
            "-D",
            folder,
            "--synchronous",
            "--no-loop",
        ]
        server.sql("SELECT pg_create_physical_replication_slot('reference', true)")
        self._server = server
        self._begin()

    def _begin(self) -> None:
        """Until it reads: one that comes to a standby would follow it and not end with it."""
        self._running = subprocess.Popen(self._command)
        query = "SELECT 1 FROM pg_replication_slots WHERE slot_name = 'reference' AND active"
        until("pg_receivewal reads", lambda: self._server.sql(query))

    def again(self) -> None:
        self._running.wait(30)
        self._begin()

    def __enter__(self) -> Reference:
        return self

    def __exit__(self, *_: object) -> None:
        self._running.terminate()
        self._running.wait(60)

    def whole(self) -> list[Segment]:
        names = (path.name for path in self.folder.iterdir())
        return sorted(Segment.parse(name, SMALL_SEGMENT) for name in names if len(name) == 24)


def switch_timeline(server: Server) -> None:
    """A standby of itself for a moment, then promoted."""
    server.stop()
    (server.data / "standby.signal").touch()
    server.own(server.data / "standby.signal")
    server.start()
    server.promote()


def test_segments_are_those_of_pg_receivewal_over_timeline_switches(
    servers: Servers, s3_config: StoreConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(downloads, "SEGMENT_SIZE", SMALL_SEGMENT)
    monkeypatch.setattr(downloads, "SEGMENTS_PER_LOG", (1 << 32) // SMALL_SEGMENT)
    server, store = servers.bare(15), hot_store(s3_config)
    server.initdb(f"--wal-segsize={SMALL_SEGMENT >> 20}")
    server.configure(wal_keep_size="'1GB'")
    server.start()
    with receiving(server, store) as running, Reference(server, tmp_path) as theirs:
        for number in range(SWITCHES):
            server.load(2, table=f"load_{number}")
            switch_timeline(server)
            theirs.again()
        server.load(2, table="last")
        end = running.caught_up()
        current = SWITCHES + 1
        until("theirs", lambda: list(tmp_path.glob(f"{current:08X}*.partial")))
        whole = theirs.whole()
        of_all = partial(index_of, store, running.owner, SMALL_SEGMENT)
        until("merged", lambda: set(whole) <= set(of_all().segments))
        check_list(running, store, SMALL_SEGMENT)
    assert {segment.timeline for segment in whole} >= set(range(1, SWITCHES + 1))
    for segment in whole:
        ours = archived(store, running.owner, segment)
        assert ours == (tmp_path / segment.name).read_bytes(), segment.name
        assert ours == local(server, segment)
    index = of_all()
    assert index.timelines == tuple(range(1, SWITCHES + 2))
    assert set(index.histories) == set(range(2, SWITCHES + 2))
    followed(server, store, index, end)


class Holds:
    """A store that takes nothing into a folder before `opened` is set."""

    def __init__(self, store: HotS3Store, folder: str) -> None:
        self._store, self._folder = store, folder
        self.asked: list[str] = []
        self.opened = threading.Event()
        self.get, self.list, self.delete = store.get, store.list, store.delete

    def put(self, key: str, body: bytes, *, if_absent: bool = True) -> Stored:
        if self._folder in key:
            self.asked.append(key)
            self.opened.wait()
        return self._store.put(key, body, if_absent=if_absent)


@pytest.mark.parametrize("anew", [False, True], ids=["goes on", "another process"])
def test_what_a_run_that_is_broken_off_has_sent_is_counted_once(
    servers: Servers, s3_config: StoreConfig, monkeypatch: pytest.MonkeyPatch, *, anew: bool
) -> None:
    """At the beginning of a timeline: no object of it tells how much there was."""
    server, store = servers.new(15, wal_keep_size="'1GB'"), hot_store(s3_config)
    server.load(1)
    server.sql("SELECT pg_switch_wal()")
    with receiving(server, store) as running:
        running.caught_up()
        check_list(running, store)
    switch_timeline(server)
    server.load(1)
    server.sql("SELECT pg_switch_wal()")
    monkeypatch.setattr(Streaming, "_window", 60.0)  # only what is whole is sent
    held = Holds(store, "/wal/00000002/")
    with receiving(server, held) as running:
        until("it is sent", lambda: held.asked)
        server.sql("SELECT pg_terminate_backend(active_pid) FROM pg_replication_slots")
        until("it is sent again", lambda: held.asked[1:])
        monkeypatch.setattr(Streaming, "_window", 0.02)
        if not anew:
            held.opened.set()
            counts_on(running, store)
    if anew:
        with receiving(server, store) as running:
            counts_on(running, store)
    held.opened.set()


def counts_on(running: Running, store: HotS3Store) -> None:
    running.caught_up()
    check_list(running, store)
    assert running.report.segments_archived == 2


def followed(server: Server, store: HotS3Store, index: WalIndex, end: Lsn) -> None:
    """From the first byte to the last along the line of timelines, without a hole."""
    last = index.timelines[-1]
    content = store.get(str(index.histories[last]))
    assert content == (server.data / "pg_wal" / f"{last:08X}.history").read_bytes()
    line = timeline.Lineage(last, timeline.parse(content))
    at = index.runs(1)[0].start
    for each in line.timelines:
        run = index.run_holding(each, at)
        assert run is not None, f"a hole on timeline {each} at {at}"
        until_here = line.end_of(each) or end
        assert run.end >= until_here
        at = Lsn(until_here - until_here % SMALL_SEGMENT)


@pytest.mark.parametrize("size", [1 << 24, 1 << 20], ids=["16MB", "1MB"])
def test_commits_are_those_of_pg_waldump(servers: Servers, size: int) -> None:
    server = servers.bare(15)
    server.initdb(f"--wal-segsize={size >> 20}")
    server.configure(max_prepared_transactions="5")
    server.start()
    server.sql("SELECT pg_create_physical_replication_slot('keep', true)")
    server.sql("CREATE TABLE t (n int, b text)")
    for n in range(300):
        server.sql("INSERT INTO t SELECT g, repeat('x', %s) FROM generate_series(1, %s) g",
                   n * 7 % 900, n % 9)  # fmt: skip
    server.load(4)
    # What somebody stores may look like the log itself, and is none.
    first = sorted((server.data / "pg_wal").glob("0" * 7 + "?" * 17))[0].name
    server.sql(f"INSERT INTO t SELECT 0, encode(pg_read_binary_file('pg_wal/{first}', 0, 900000),"
               "'escape')")  # fmt: skip
    server.sql("CREATE TABLE copies (b bytea)")
    server.sql("ALTER TABLE copies ALTER b SET STORAGE EXTERNAL")
    server.sql(f"INSERT INTO copies SELECT pg_read_binary_file('pg_wal/{first}', 0, 900000)")
    server.sql("INSERT INTO t VALUES (1)")
    end = position(server)
    names = sorted(path.name for path in (server.data / "pg_wal").glob("0" * 7 + "?" * 17))
    for name in names:
        segment = Segment.parse(name, size)
        if segment.start >= end:
            continue
        held(local(server, segment), segment, min(end, segment.end), server.data / "pg_wal")


def held(data: bytes, segment: Segment, end: Lsn, folder: Path) -> None:
    """In pieces of some sizes, what is found is what pg_waldump lists there."""
    wanted = dumped(folder, segment, end)
    for step in (segment.size, 300_008, 70_000):
        for start in range(segment.start, end, step):
            stop = min(start + step, end)
            begin = max(segment.start, start - (64 << 10))
            found = records.find(
                data[start - segment.start : stop - segment.start],
                Lsn(start),
                data[begin - segment.start : start - segment.start],
                segment.size,
            )
            here = {(at, when) for at, when, _ in wanted if begin <= at < stop}
            inside = [at for at, _, ends in wanted if start <= at and ends <= stop]
            if found is None:
                assert not inside, "one was overlooked"
            else:
                assert (found.first.start, found.first.at) in here
                assert (found.last.start, found.last.at) in here
                assert all(found.first.start <= at <= found.last.start for at in inside)


def dumped(folder: Path, segment: Segment, end: Lsn) -> list[tuple[Lsn, datetime, int]]:
    """Start, time, and a position by which it has surely ended."""
    command = [program("pg_waldump"), "--rmgr=Transaction", "-p", str(folder)]
    done = subprocess.run(
        [*command, "-s", str(segment.start), "-e", str(end)],
        capture_output=True,
        text=True,
        check=False,
    )
    line = re.compile(
        r"len \(rec/tot\): +\d+/ +(\d+), .*lsn: (\S+), .*"
        r"desc: (?:COMMIT|ABORT)\S* .*?(\d{4}-\d\d-\d\d [\d:.]+) "
    )
    found: list[tuple[Lsn, datetime, int]] = []
    for match in map(line.search, done.stdout.splitlines()):
        if match:
            start, length = Lsn.parse(match[2]), int(match[1])
            moment = datetime.fromisoformat(match[3]).replace(tzinfo=UTC)
            found.append((start, moment, start + length + 40 * (length // 8000 + 2)))
    return found


SMALL = "DO $$ BEGIN FOR i IN 1..3000 LOOP INSERT INTO t VALUES (i); COMMIT; END LOOP; END $$"
LIKE_HEADERS = "INSERT INTO bulk SELECT n, repeat(md5(n::text), 8) FROM generate_series(1, 40000) n"


@pytest.mark.parametrize("load", [SMALL, LIKE_HEADERS], ids=["small", "texts"])
def test_to_find_two_commits_takes_little(
    servers: Servers, monkeypatch: pytest.MonkeyPatch, load: str
) -> None:
    """It once took half a second a chunk: each of thousands was made sure of, page by page; or a
    text that looked like the header of a large record had megabytes read."""
    server = servers.new(15)
    server.sql("CREATE TABLE t (n int)")
    server.sql("CREATE TABLE bulk (n bigint, b text)")
    server.sql("SELECT pg_switch_wal()")
    server.sql(load)
    server.sql("INSERT INTO t VALUES (0)")
    segment = Segment.containing(position(server) - 1, 1)
    data = local(server, segment)[: position(server) - segment.start]
    cut = len(data) - min(len(data) // 2, 4 << 20)
    looked: list[int] = []
    parts = records._Stretch._parts

    def counted(self: records._Stretch, offset: int, size: int) -> Iterator[tuple[int, int]]:
        for part in parts(self, offset, size):
            looked.append(offset)
            yield part

    monkeypatch.setattr(records._Stretch, "_parts", counted)
    before = data[max(0, cut - (64 << 10)) : cut]
    assert records.find(data[cut:], Lsn(segment.start + cut), before)
    assert len(looked) < 40_000


def test_an_object_tells_its_commits_and_until_when_it_is_all(
    servers: Servers, s3_config: StoreConfig
) -> None:
    server, store = servers.new(17, track_commit_timestamp="on"), hot_store(s3_config)
    server.sql("CREATE TABLE t (n int)")
    with receiving(server, store) as running:
        running.caught_up()
        server.sql("INSERT INTO t VALUES (1)")
        running.caught_up()
        rows = server.sql("SELECT timestamp FROM pg_last_committed_xact()")
        last = rows[0][0]
        until("told", lambda: running.report.last_commit_at == last)
        pieces = index_of(store, running.owner).cover(Segment.containing(position(server), 1))
        headers = [object_of(store, piece.key).header for piece in pieces]
        # What the server writes of its own accord may have come behind it, and commits nothing.
        header = [header for header in headers if header.commits is not None][-1]
        assert header.commits is not None
        assert header.commits.last == last
        assert header.sent_at >= last
        assert header.prefix_sha256 is not None
        assert Lsn.parse(header.commits.last_end) <= header.end_lsn
