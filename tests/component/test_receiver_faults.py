"""What networks, stores, servers and people do to a receiver."""

from __future__ import annotations

import contextlib
import re
import shutil
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import datetime

import pytest

from component.fault_proxy import Answers, Cuts, FaultProxy, Hangs, Lost, Resets, Slow
from component.receivers import (
    Running,
    archived,
    hot_store,
    index_of,
    local,
    owner_of,
    position,
    receiving,
    slot_position,
    until,
)
from component.servers import Server, Servers, servers
from postbase_operator.api.policies import RecoveryPoint
from postbase_operator.archive.keys import HeartbeatKey, HistoryKey, OwnerKey, SegmentKey
from postbase_operator.archive.receiver import SLOT, FailureReason
from postbase_operator.archive.wal_object import WalHeader, decode, pack
from postbase_operator.objectstore.hot import HotS3Store
from postbase_operator.objectstore.settings import StoreConfig
from postbase_operator.objectstore.store import NotFound
from postbase_operator.wal import streaming
from postbase_operator.wal.lsn import SEGMENT_SIZE, Lsn, Segment, segments

__all__ = ["servers"]
AWAY = Answers(503, "ServiceUnavailable")
MANY = 1 << 30


@pytest.fixture(scope="module")
def template(servers: Servers) -> Server:
    made = servers.new(15)
    made.sql("CREATE TABLE t (n int)")
    made.stop()
    return made


@pytest.fixture
def server(servers: Servers, template: Server) -> Iterator[Server]:
    """A copy, which is made faster than a new one."""
    made = servers.bare(15)
    shutil.copytree(template.data, made.data)
    made.take_over()
    made.configure()
    made.start()
    yield made
    made.kill()


@pytest.fixture
def store(s3_config: StoreConfig) -> HotS3Store:
    return hot_store(s3_config)


@pytest.fixture
def proxied(s3_config: StoreConfig, s3_proxy: FaultProxy) -> HotS3Store:
    return hot_store(replace(s3_config, endpoint=s3_proxy.endpoint))


def whole(server: Server, store: HotS3Store, running: Running, end: Lsn) -> None:
    """The archive has all up to a position, byte for byte, in one run."""
    index = index_of(store, running.owner)
    (run,) = index.runs(1)
    assert run.end >= end
    for segment in segments(run.start, end, 1):
        there = archived(store, running.owner, segment)
        assert there == local(server, segment)[: len(there)]


def failed(running: Running, reason: FailureReason) -> Callable[[], bool]:
    def told() -> bool:
        last = running.report.last_error
        return last is not None and last.reason is reason

    return told


def test_what_is_first_in_an_archive_is_written_alone(
    server: Server, proxied: HotS3Store, s3_proxy: FaultProxy
) -> None:
    """Killed before it is there, a receiver leaves no later segment behind: PostgreSQL 14 does not
    tell from where on its slot keeps the log, and the hole in front would never be filled."""
    server.sql("SELECT pg_create_physical_replication_slot(%s, true)", SLOT)
    server.load(40)
    s3_proxy.next("PUT .*/wal/", AWAY, times=3)
    with receiving(server, proxied) as running:
        whole(server, proxied, running, running.caught_up())
    first, *rest = [line for line in s3_proxy.seen if re.match("PUT .*/wal/", line)]
    assert rest[:3] == [first] * 3
    assert len(set(rest[3:])) >= 2


@pytest.mark.parametrize(
    "fault",
    [AWAY, Answers(500), Answers(403, "AccessDenied"), Resets(1000), Lost(), Cuts(0), Slow(0.3)],
    ids=lambda fault: type(fault).__name__ + str(getattr(fault, "status", "")),
)
def test_a_put_that_fails_is_repeated(
    server: Server, proxied: HotS3Store, s3_proxy: FaultProxy, fault: object
) -> None:
    with receiving(server, proxied) as running:
        running.caught_up()
        s3_proxy.next("PUT .*/wal/", fault, times=3)  # type: ignore[arg-type]
        server.load(3)
        server.sql("SELECT pg_switch_wal()")
        server.sql("INSERT INTO t VALUES (1)")
        end = running.caught_up()
        assert running.report.store_failing_since is None
        whole(server, proxied, running, end)


def test_an_outage_blocks_acknowledgements_and_not_the_server(
    server: Server,
    proxied: HotS3Store,
    s3_proxy: FaultProxy,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(streaming, "MEMORY", 24 << 20)
    held = noted(monkeypatch)
    server.configure(wal_sender_timeout="'15s'")
    server.stop()
    server.start()
    with receiving(server, proxied) as running:
        safe = running.caught_up()
        s3_proxy.next("PUT", AWAY, times=MANY)
        server.load(50)
        until("it is told", lambda: running.report.store_failing_since)
        until("memory is full", lambda: max(held, default=0) >= streaming.MEMORY)
        until("seconds go by", lambda: running.report.lag_seconds > 20)
        assert (running.standing.received or 0) < position(server) - (8 << 20), "not all is held"
        assert slot_position(server) <= (running.standing.durable or 0)
        assert (running.standing.durable or 0) < safe + (8 << 20)
        assert server.sql("SELECT 1 FROM pg_stat_replication"), "the server hears from us"
        s3_proxy._rules.clear()
        end = running.caught_up()
        assert running.report.store_failing_since is None
        # Some bytes come of the server's own accord, just now perhaps.
        until("nothing lags", lambda: running.report.lag_seconds == 0)
        whole(server, proxied, running, end)
    assert streaming.MEMORY <= max(held) < streaming.MEMORY + SEGMENT_SIZE


def noted(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How much of the log is held, as often as the receiver asks itself."""
    asks: property = vars(streaming.Streaming)["_is_full"]
    held: list[int] = []

    def is_full(stream: streaming.Streaming) -> object:
        parts = (stream._held, stream._cutter.pending, stream._assembly.held, stream._merging)
        held.append(sum(parts))
        return asks.__get__(stream)

    monkeypatch.setattr(streaming.Streaming, "_is_full", property(is_full))
    return held


def test_zero_waits_for_the_store_and_says_when_it_should_not(
    server: Server, proxied: HotS3Store, s3_proxy: FaultProxy
) -> None:
    server.configure(synchronous_standby_names="'postbase_walrx'")
    server.stop()
    server.start()
    more = {"rpo": RecoveryPoint.ZERO, "fallback_after_seconds": 1}
    with receiving(server, proxied, **more) as running:
        until("synchronous", lambda: server.sql(
            "SELECT 1 FROM pg_stat_replication WHERE sync_state = 'sync' AND state = 'streaming'"
        ))  # fmt: skip
        server.sql("INSERT INTO t VALUES (1)")
        assert slot_position(server) <= (running.standing.durable or 0)
        s3_proxy.next("PUT", AWAY, times=MANY)
        commit = threading.Thread(target=lambda: server.sql("INSERT INTO t VALUES (2)"))
        commit.start()
        until("suspended", lambda: running.report.suspended)
        assert commit.is_alive(), "a commit came back without the store"
        s3_proxy._rules.clear()
        commit.join(60)
        assert not commit.is_alive()
        assert not running.report.suspended


def test_a_planned_stop_waits_for_the_store(server: Server, store: HotS3Store) -> None:
    with receiving(server, store) as running:
        running.caught_up()
        server.load(2)
        server.stop()
        redo = _checkpoint(server)
        until("the shutdown checkpoint", lambda: (running.standing.durable or 0) > redo)


def test_a_planned_stop_ends_without_a_store_that_does_not_serve(
    server: Server,
    proxied: HotS3Store,
    s3_proxy: FaultProxy,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(streaming, "GIVE_UP_SECONDS", 1.0)
    with receiving(server, proxied) as running:
        running.caught_up()
        s3_proxy.next("PUT", AWAY, times=MANY)
        server.load(2)
        running.orders.stop()
        server.stop()
        until("it has ended", lambda: running.report.state == "Stopped")
        s3_proxy._rules.clear()
    server.start()
    with receiving(server, proxied) as again:
        whole(server, proxied, again, again.caught_up())


@pytest.mark.parametrize("how", ["stop", "kill"])
def test_a_restart_of_the_server_leaves_no_gap(server: Server, store: HotS3Store, how: str) -> None:
    with receiving(server, store) as running:
        for _ in range(2):
            server.load(3)
            getattr(server, how)()
            server.start()
        server.sql("INSERT INTO t VALUES (1)")
        end = running.caught_up()
        whole(server, store, running, end)


@pytest.mark.parametrize("major", [14, 15, 18])
def test_a_slot_that_is_lost_is_a_gap_that_is_told(
    servers: Servers, store: HotS3Store, major: int
) -> None:
    server = servers.new(major)
    server.sql("CREATE TABLE t (n int)")
    server.configure(max_slot_wal_keep_size="'1MB'", max_wal_size="'32MB'", min_wal_size="'32MB'")
    server.stop()
    server.start()
    with receiving(server, store) as running:
        before = running.caught_up()
    for _ in range(3):
        server.load(40)
        server.sql("CHECKPOINT")
    status = server.sql("SELECT wal_status FROM pg_replication_slots")
    assert status == [("lost",)]
    with receiving(server, store) as running:
        end = running.caught_up()
        assert running.report.slot_lost
        assert failed(running, FailureReason.SLOT_LOST)()
        first, second = index_of(store, running.owner).runs(1)
        assert first.end >= before
        assert second.start > first.end
        assert second.end >= end
    with receiving(server, store) as running:
        server.sql("INSERT INTO t VALUES (1)")
        running.caught_up()
        assert len(index_of(store, running.owner).runs(1)) == 2, "it goes on behind the gap"
        assert not running.report.slot_lost, "told once"


def test_a_slot_that_is_gone_is_made_again_without_a_gap(server: Server, store: HotS3Store) -> None:
    with receiving(server, store) as running:
        running.caught_up()
    until("free", lambda: not server.sql("SELECT 1 FROM pg_replication_slots WHERE active"))
    server.sql("SELECT pg_drop_replication_slot(%s)", SLOT)
    server.load(1)
    with receiving(server, store) as running:
        whole(server, store, running, running.caught_up())
        assert not running.report.slot_lost


def test_two_receivers_at_once(server: Server, store: HotS3Store) -> None:
    with receiving(server, store) as first:
        first.caught_up()
        with receiving(server, store) as second:
            until("the second waits", failed(second, FailureReason.SLOT_IN_USE))
            server.load(2)
            whole(server, store, first, first.caught_up())
            first.orders.leave()
            server.load(2)
            whole(server, store, second, second.caught_up())


def test_another_owner_writes_nothing(server: Server, store: HotS3Store) -> None:
    owner = owner_of(server)
    theirs = owner.model_copy(update={"cluster": "another"})
    with Running(server, store, theirs) as first:
        first.caught_up()
    before = sorted(info.key for info in store.list("v1/"))
    with Running(server, store, owner) as second:
        until("refused", failed(second, FailureReason.OWNER_CONFLICT))
        assert "another" in str(second.report.last_error)
    assert sorted(info.key for info in store.list("v1/")) == before


def test_another_server_writes_nothing(server: Server, store: HotS3Store) -> None:
    owner = owner_of(server).model_copy(update={"system_id": "1"})
    with Running(server, store, owner) as running:
        until("refused", failed(running, FailureReason.OWNER_CONFLICT))
    assert not list(store.list("v1/"))


@pytest.mark.parametrize("ahead", [False, True])
def test_a_volume_that_went_back_in_time_overwrites_nothing(
    server: Server, store: HotS3Store, ahead: bool
) -> None:
    """Found by its position; and, once it has written more than was archived, by its bytes."""
    with receiving(server, store) as running:
        running.caught_up()
    server.stop()
    kept = server.folder / "kept"
    shutil.copytree(server.data, kept)
    server.start()
    with receiving(server, store) as running:
        server.load(1)
        running.caught_up()
    server.stop()
    shutil.rmtree(server.data)
    kept.rename(server.data)
    server.take_over()
    server.start()
    if ahead:
        server.load(3)
    before = [(info.key, info.etag) for info in store.list("v1/")]
    with receiving(server, store) as running:
        until("found", failed(running, FailureReason.ROLLBACK))
    assert [(info.key, info.etag) for info in store.list("v1/")] == before


def test_other_bytes_under_a_key_stop_everything(server: Server, store: HotS3Store) -> None:
    with receiving(server, store) as running:
        running.caught_up()
        segment = Segment.containing(position(server), 1)
        data = bytes(segment.size)
        template = decode(store.get(str(index_of(store, running.owner).cover(segment)[0].key)))
        forged = WalHeader.model_validate(
            template.header.model_dump()
            | {
                "start": str(segment.start),
                "end": str(segment.end),
                "size": segment.size,
                "sha256": "0" * 64,
            }
        )
        key = SegmentKey(running.owner.archive, segment.name)
        store.put(str(key), pack(forged, data)[0])
        server.sql("SELECT pg_switch_wal()")
        server.sql("INSERT INTO t VALUES (1)")
        until("found", failed(running, FailureReason.SPLIT_BRAIN))
        assert decode(store.get(str(key))).header == forged, "nothing is overwritten"


def test_a_history_of_another_content_stops_everything(server: Server, store: HotS3Store) -> None:
    owner = owner_of(server)
    store.put(str(HistoryKey(owner.archive, 2)), b"1\t0/5000000\tsomebody else's\n")
    with receiving(server, store) as running:
        running.caught_up()
        server.stop()
        (server.data / "standby.signal").touch()
        server.take_over()
        server.start()
        server.promote()
        until("found", failed(running, FailureReason.SPLIT_BRAIN))
        assert index_of(store, owner).timelines == (1,)


def test_an_idle_database_costs_one_object_in_ten_minutes(
    server: Server, proxied: HotS3Store, s3_proxy: FaultProxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    with receiving(server, proxied) as running:
        server.sql("CHECKPOINT")
        end, asked, covered = _idle(running, s3_proxy)
        while position(server) != end:  # it has written something of its own accord meanwhile
            end, asked, covered = _idle(running, s3_proxy)
        assert asked == 0, "an idle database writes nothing"
        monkeypatch.setattr(streaming, "HEARTBEAT_SECONDS", 0.5)
        beat, header = _beat(running, proxied)
        assert header.size == 0
        assert header.sent_at > covered
        server.sql("INSERT INTO t VALUES (1)")
        running.caught_up()
        until("one at the new position", lambda: (
            (now := index_of(proxied, running.owner).heartbeats(1)) and len(now) == 1
            and now[0].lsn > beat.lsn
        ))  # fmt: skip


def test_segments_that_a_crash_left_in_chunks_are_joined(
    server: Server, store: HotS3Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patched:
        patched.setattr("postbase_operator.wal.streaming.Assembly.add", lambda *_: None)
        with receiving(server, store) as running:
            for _ in range(2):
                server.load(1)
                running.caught_up()
                server.sql("SELECT pg_switch_wal()")
                server.sql("INSERT INTO t VALUES (1)")
                running.caught_up()
    monkeypatch.setattr(streaming, "GRACE_SECONDS", 0.1)
    assert not index_of(store, running.owner).segments
    with receiving(server, store) as running:
        end = running.caught_up()
        until("joined", lambda: len(index_of(store, running.owner).segments) >= 2)
        until("their chunks go", lambda: _chunks_of_whole(store, running) == 0)
        whole(server, store, running, end)


def test_the_store_that_hangs_is_left_alone_in_time(
    server: Server, proxied: HotS3Store, s3_proxy: FaultProxy
) -> None:
    with receiving(server, proxied) as running:
        running.caught_up()
        s3_proxy.next("PUT .*/tail/", Hangs(), times=1)
        server.load(1)
        whole(server, proxied, running, running.caught_up())


def test_who_it_is_stands_in_the_archive(server: Server, store: HotS3Store) -> None:
    with receiving(server, store) as running:
        running.caught_up()
    text = store.get(str(OwnerKey(running.owner.archive))).decode()
    assert re.search(r'"name": "shop-main"', text)


def _idle(running: Running, proxy: FaultProxy) -> tuple[Lsn, int, datetime]:
    """Up to where all was archived, how much was asked of the store from then until the server had
    said that there is nothing more, and until when all was there before."""
    until("covered", lambda: running.report.covered_until)
    end, count, covered = running.caught_up(), len(proxy.seen), running.report.covered_until
    assert covered is not None
    until("the server says that there is nothing", lambda: _later(running, covered))
    return end, len(proxy.seen) - count, covered


def _beat(running: Running, store: HotS3Store) -> tuple[HeartbeatKey, WalHeader]:
    """Looked for anew where it gives way to one of another position between the two requests."""
    found: list[tuple[HeartbeatKey, WalHeader]] = []

    def look() -> object:
        beat = index_of(store, running.owner).heartbeat(1)
        if beat is not None:
            with contextlib.suppress(NotFound):
                found.append((beat, decode(store.get(str(beat))).header))
        return found

    until("a heartbeat", look)
    return found[0]


def _later(running: Running, than: object) -> bool:
    now = running.report.covered_until
    return now is not None and now > than  # type: ignore[operator]


def _chunks_of_whole(store: HotS3Store, running: Running) -> int:
    index = index_of(store, running.owner)
    return sum(Segment.containing(chunk.start, 1) in index.segments for chunk in index.chunks(1))


def _checkpoint(server: Server) -> Lsn:
    server.start()
    rows = server.sql("SELECT redo_lsn::text FROM pg_control_checkpoint()")
    return Lsn.parse(rows[0][0])
