"""The log of a backup, from a stream that does what real ones rarely do."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from typing import cast

import pytest

from postbase_operator.archive.record import StoredObject
from postbase_operator.errors import Unavailable
from postbase_operator.wal.client import EndOfTimeline, Replication, ServerStopped, StreamEnd
from postbase_operator.wal.log_copy import IN_FLIGHT, LogCopy
from postbase_operator.wal.lsn import Lsn, Segment
from postbase_operator.wal.protocol import Keepalive, ProtocolError, WalData, WalMessage

SIZE = 1 << 20
FIRST = Segment(11, 5, SIZE)
NOW = datetime(2026, 11, 23, tzinfo=UTC)


class Stream:
    """Both the replication connection and its stream; silent when it has nothing more."""

    def __init__(self, messages: Iterable[WalMessage | StreamEnd]) -> None:
        self._messages = deque(messages)
        self.taken = 0
        self.said: list[tuple[Lsn, Lsn]] = []

    def stream(self, start: Lsn, timeline: int, slot: str) -> Stream:
        assert (start, timeline, slot) == (FIRST.start, FIRST.timeline, "slot")
        return self

    def receive(self, timeout: float) -> WalMessage | StreamEnd | None:
        if not self._messages:
            threading.Event().wait(min(0.01, timeout))
            return None
        self.taken += 1
        return self._messages.popleft()

    def send_status(self, written: Lsn, flushed: Lsn) -> None:
        self.said.append((written, flushed))


def data(count: int, size: int = SIZE // 2, start: int = FIRST.start) -> list[WalMessage]:
    return [
        WalData(Lsn(start + n * size), Lsn(start), NOW, bytes([n + 1]) * size) for n in range(count)
    ]


def copying(
    stream: Stream, stored: dict[str, bytes], before: Callable[[], object] = lambda: None
) -> LogCopy:
    def put(segment: Segment, whole: bytes) -> StoredObject:
        before()
        stored[segment.name] = whole
        return StoredObject(key=segment.name, size=len(whole), sha256="0" * 64)

    return LogCopy(cast(Replication, stream), "slot", FIRST, put)


def test_segments_are_whole_and_the_last_is_filled_with_zeros() -> None:
    stored: dict[str, bytes] = {}
    stop = Lsn(FIRST.start + 5 * SIZE // 2)
    found = copying(Stream(data(5)), stored).finish(stop)
    names = [f"0000000B00000000{number:08X}" for number in (5, 6, 7)]
    assert [item.key for item in found] == names
    assert stored[names[0]] == b"\1" * (SIZE // 2) + b"\2" * (SIZE // 2)
    assert stored[names[2]] == b"\5" * (SIZE // 2) + bytes(SIZE // 2)


def test_a_stop_that_is_just_the_end_of_a_segment() -> None:
    stored: dict[str, bytes] = {}
    found = copying(Stream(data(2)), stored).finish(FIRST.end)
    assert [item.key for item in found] == [FIRST.name]


def test_a_store_that_is_behind_is_not_overrun_and_the_server_hears_from_us() -> None:
    free = threading.Event()
    stream = Stream(data(20, SIZE))
    copy = copying(stream, {}, lambda: free.wait(10))
    while len(stream.said) < 2 or stream.taken < IN_FLIGHT:
        threading.Event().wait(0.01)
    assert stream.taken == IN_FLIGHT
    assert stream.said[-1][1] == FIRST.start, "nothing is durable, nothing is acknowledged"
    free.set()
    assert len(copy.finish(Lsn(FIRST.start + 20 * SIZE))) == 20


def test_an_answer_that_is_asked_for_is_given() -> None:
    stream = Stream([*data(2), *(Keepalive(FIRST.end, NOW, True) for _ in range(5))])
    copy = copying(stream, {})
    while len(stream.said) < 5:
        threading.Event().wait(0.01)
    copy.finish(FIRST.end)


@pytest.mark.parametrize(
    ("messages", "error"),
    [
        (data(1, start=FIRST.start + 1), ProtocolError),
        ([data(2)[1]], ProtocolError),
        ([*data(1), ServerStopped()], Unavailable),
        ([EndOfTimeline(12, FIRST.start)], Unavailable),
    ],
)
def test_a_log_with_a_gap_or_an_end_is_no_backup(
    messages: list[WalMessage | StreamEnd], error: type[Exception]
) -> None:
    copy = copying(Stream(messages), {})
    with pytest.raises(error):
        copy.finish(FIRST.end)
    with pytest.raises(error):
        copy.check()


def test_a_store_that_fails_ends_the_copy() -> None:
    def refuse() -> None:
        raise Unavailable("S3", "is away")

    copy = copying(Stream(data(2)), {}, refuse)
    with pytest.raises(Unavailable, match="is away"):
        copy.finish(FIRST.end)


def test_a_copy_that_is_cancelled_ends() -> None:
    stream = Stream(data(1))
    copy = copying(stream, {})
    copy.cancel()
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("log")]
