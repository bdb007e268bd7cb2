"""The replication client against real servers, as a receiver will use it."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from component.receivers import until
from component.servers import MAJORS, OTHERS, Server, Servers, servers
from postbase_operator.errors import InvalidSpec, Unavailable
from postbase_operator.wal.client import (
    EndOfTimeline,
    Replication,
    ServerStopped,
    StreamEnd,
    WalStream,
)
from postbase_operator.wal.connection import ServerError
from postbase_operator.wal.lsn import Lsn, Segment
from postbase_operator.wal.protocol import WalData

__all__ = ["servers"]
every = pytest.mark.parametrize("major", [*MAJORS, *OTHERS])
full = pytest.mark.parametrize("major", MAJORS)
SENDER_TIMEOUT = 15
"""Seconds without a word from us after which a server ends a stream: far more than a slow machine
keeps one of our words back."""


def connect(server: Server) -> Replication:
    return Replication.connect(server.conninfo)


@contextmanager
def streaming(server: Server, slot: str, megabytes: int = 0) -> Iterator[tuple[WalStream, Lsn]]:
    """A stream by a slot, from the beginning of the segment that the log is in before a load."""
    with connect(server) as replication:
        if server.major < 15 or replication.read_slot(slot) is None:
            replication.create_slot(slot)
        identity = replication.identify()
        start = Segment.containing(identity.flushed, identity.timeline).start
        if megabytes:
            server.load(megabytes)
        yield replication.stream(start, identity.timeline, slot), start


def receive(
    stream: WalStream, start: Lsn, until: Lsn | None = None
) -> tuple[bytes, StreamEnd | None]:
    """What comes from `start`, acknowledged, up to a position or to the stream's end."""
    data = bytearray()
    while until is None or start + len(data) < until:
        message = stream.receive(20.0)
        assert message is not None, f"silent at {Lsn(start + len(data))}"
        if isinstance(message, StreamEnd):
            return bytes(data), message
        if isinstance(message, WalData):
            assert message.start == start + len(data)
            data += message.data
        at = Lsn(start + len(data))
        stream.send_status(at, at)
    return bytes(data), None


def clock(server: Server) -> float:
    return float(server.sql("SELECT extract(epoch FROM clock_timestamp())")[0][0])


def current(server: Server) -> Lsn:
    return Lsn.parse(server.sql("SELECT pg_current_wal_flush_lsn()::text")[0][0])


@every
def test_a_server_tells_who_it_is_and_streams_its_log_byte_for_byte(
    servers: Servers, major: int
) -> None:
    server = servers.new(major)
    with connect(server) as replication:
        identity = replication.identify()
        assert re.fullmatch(r"\d{19}", identity.system_id)
        assert identity.timeline == 1
        assert replication.segment_size() == 16 << 20
        assert replication.connection.major == major
        assert re.fullmatch(rf"{major}\.\d+", replication.connection.server_version)
    with streaming(server, "s") as (stream, start):
        server.load(20)
        server.sql("SELECT pg_switch_wal()")
        received, _ = receive(stream, start, current(server))
        stream.finish()
    first = Segment.containing(start, 1)
    assert received[: first.size] == (server.data / "pg_wal" / first.name).read_bytes()


@full
def test_slots(servers: Servers, major: int) -> None:
    server = servers.new(major)
    with connect(server) as replication:
        assert replication.read_slot("s") is None
        replication.create_slot("s")
        position = replication.read_slot("s")
        assert position is not None
        assert position.restart is not None, "nothing was reserved"
        assert position.restart <= replication.identify().flushed
        assert position.timeline == 1
        with pytest.raises(ServerError) as twice:
            replication.create_slot("s")
        assert twice.value.sqlstate == "42710"
        replication.drop_slot("s")
        with pytest.raises(ServerError, match="does not exist"):
            replication.drop_slot("s")
        replication.create_slot("gone", temporary=True)
    with connect(server) as replication:
        # The server notices that a connection is gone a moment after us.
        until("it is gone with its connection", lambda: replication.read_slot("gone") is None)
        with pytest.raises(ValueError, match="name of a slot"):
            replication.create_slot('x" y')


def test_version_14_cannot_read_a_slot(servers: Servers) -> None:
    with connect(servers.new(14)) as replication, pytest.raises(InvalidSpec, match="15 or later"):
        replication.read_slot("s")


@full
def test_what_is_acknowledged_moves_the_slot(servers: Servers, major: int) -> None:
    server = servers.new(major)
    with streaming(server, "s") as (stream, start):
        server.load(2)
        until = current(server)
        data, _ = receive(stream, start, until)
        end = Lsn(start + len(data))
        stream.finish()
    with connect(server) as replication:
        position = replication.read_slot("s")
    assert position is not None
    assert position.restart == end


@full
def test_status_while_not_receiving_keeps_the_stream(servers: Servers, major: int) -> None:
    server = servers.new(major, wal_sender_timeout=f"'{SENDER_TIMEOUT}s'")
    silence = threading.Event()
    with streaming(server, "s", megabytes=40) as (stream, start):
        until = current(server)
        ends = clock(server) + 1.4 * SENDER_TIMEOUT
        while clock(server) < ends:
            silence.wait(0.5)
            stream.send_status(start, start)
        data, _ = receive(stream, start, until)
    assert start + len(data) >= until


@full
def test_without_status_the_server_ends_the_stream(servers: Servers, major: int) -> None:
    server = servers.new(major, wal_sender_timeout="'1s'")
    with streaming(server, "s", megabytes=40) as (stream, start):
        until("it waits no longer", lambda: not server.sql("SELECT 1 FROM pg_stat_replication"))
        with pytest.raises(Unavailable):
            receive(stream, start, Lsn(1 << 60))


@full
def test_the_end_of_a_timeline_says_where_the_log_goes_on(servers: Servers, major: int) -> None:
    server = servers.new(major)
    server.stop()
    (server.data / "standby.signal").touch()
    server.take_over()
    server.start()
    with streaming(server, "s") as (stream, start):
        server.promote()
        _, end = receive(stream, start)
        assert isinstance(end, EndOfTimeline)
        assert end.next_timeline == 2
        assert stream.receive(0) == end
    with connect(server) as replication:
        assert b"no recovery target specified" in replication.timeline_history(2)
        assert str(end.start).encode() in replication.timeline_history(2)
        follow = Segment.containing(end.start, 2).start
        server.load(1)
        receive(replication.stream(follow, 2, "s"), follow, current(server))
    with connect(server) as replication:
        empty = replication.stream(end.start, 1)
        assert empty.receive(0) == end, "nothing is left of the first timeline"
        assert replication.identify().timeline == 2


@full
def test_a_planned_stop_sends_all_and_says_so(servers: Servers, major: int) -> None:
    server = servers.new(major)
    with streaming(server, "s") as (stream, start):
        server.load(5)
        written = current(server)
        stopping = threading.Thread(target=server.stop)
        stopping.start()
        data, end = receive(stream, start)
        stopping.join()
    assert end == ServerStopped()
    assert start + len(data) > written, "the shutdown checkpoint is missing"


@full
def test_a_status_that_crosses_with_the_stop_does_not_hide_it(servers: Servers, major: int) -> None:
    server = servers.new(major)
    with streaming(server, "s") as (stream, start):
        stopping = threading.Thread(target=server.stop)
        stopping.start()
        at, message = start, stream.receive(20.0)
        while stopping.is_alive() and not isinstance(message, StreamEnd):
            if isinstance(message, WalData):
                at = message.end
                stream.send_status(at, at)
                # With the last of the log acknowledged the server is gone before we read on.
                stopping.join(1.0 if at >= message.flushed else 0)
            message = stream.receive(1.0)
        for _ in range(2):
            stream.send_status(at, at)
        stopping.join()
        assert receive(stream, at)[1] == ServerStopped()


@full
def test_a_server_that_is_killed_is_unavailable(servers: Servers, major: int) -> None:
    server = servers.new(major)
    with streaming(server, "s") as (stream, start):
        server.kill()
        with pytest.raises(Unavailable, match="PostgreSQL"):
            receive(stream, start)
    with pytest.raises(Unavailable, match="PostgreSQL"):
        connect(server)


@full
def test_a_start_ahead_of_the_server_and_one_that_is_gone_are_refused(
    servers: Servers, major: int
) -> None:
    server = servers.new(major)
    with connect(server) as replication:
        ahead = replication.stream(Lsn(1 << 40), 1)
        with pytest.raises(ServerError, match="ahead"):
            ahead.receive(20.0)
        assert replication.identify().timeline == 1, "the connection takes the next command"
    for _ in range(3):
        server.sql("CREATE TABLE IF NOT EXISTS t(); DROP TABLE t")
        server.sql("SELECT pg_switch_wal()")
    server.sql("CHECKPOINT")
    with connect(server) as replication:
        stream = replication.stream(Segment(1, 1).start, 1)
        with pytest.raises(ServerError, match="already been removed") as gone:
            receive(stream, Segment(1, 1).start)
        assert gone.value.sqlstate == "58P01"
