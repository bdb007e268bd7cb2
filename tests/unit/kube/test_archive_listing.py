"""A listing becomes stretches with the last moment of each; what cannot be read says nothing."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any, cast

from postbase_operator.archive.history import Fork
from postbase_operator.archive.keys import (
    Archive,
    ChunkKey,
    HeartbeatKey,
    HistoryKey,
    OwnerKey,
    SegmentKey,
)
from postbase_operator.archive.lsn import SEGMENT_SIZE, Lsn
from postbase_operator.archive.template import Key
from postbase_operator.archive.wal_index import Run
from postbase_operator.archive.wal_object import Codec, Commits, WalHeader, encode
from postbase_operator.kube.archive_listing import Ends, listed
from postbase_operator.objectstore.store import NotFound, ObjectInfo, ObjectStore
from unit.conftest import NOW, UID

ARCHIVE = Archive(UID, "73-1")
SECOND = timedelta(seconds=1)


class Kept:
    """As far as a listing asks a store; counts what is read."""

    def __init__(self) -> None:
        self.objects: dict[str, bytes] = {}
        self.read: list[str] = []

    def put(self, key: Key, body: bytes) -> None:
        self.objects[str(key)] = body

    def list(self, prefix: str, _: str | None = None) -> Iterator[ObjectInfo]:
        for key in sorted(self.objects):
            if key.startswith(prefix):
                yield ObjectInfo(key, len(self.objects[key]), "", NOW)

    def get(self, key: str) -> bytes:
        self.read.append(key)
        if key not in self.objects:
            raise NotFound(key)
        return self.objects[key]

    def get_stream(self, key: str) -> Iterator[bytes]:
        body = self.get(key)
        for begin in range(0, len(body), 100):
            yield body[begin : begin + 100]


def log_object(
    start: int, end: int, sent: datetime, committed: datetime | None = None, timeline: int = 1
) -> bytes:
    commits = Commits(first=committed, last=committed, last_end="0/1") if committed else None
    header = WalHeader(
        system_id="73",
        timeline=timeline,
        start=str(Lsn(start)),
        end=str(Lsn(end)),
        size=end - start,
        sha256="0" * 64,
        commits=commits,
        sent_at=sent,
        writer="1",
    )
    return encode(header, b"x" * 9000, Codec.NONE)


def chunk(store: Kept, start: int, end: int, sent: datetime, **more: Any) -> ChunkKey:
    key = ChunkKey(ARCHIVE, more.get("timeline", 1), start, end)
    store.put(key, log_object(start, end, sent, **more))
    return key


def look(store: Kept, known: Ends | None = None) -> Any:
    return listed(cast(ObjectStore, store), ARCHIVE, {} if known is None else known)


def test_stretches_end_with_what_their_last_object_says() -> None:
    store = Kept()
    store.put(OwnerKey(ARCHIVE), b"{}")
    segment = SegmentKey(ARCHIVE, f"{1:08X}{0:08X}{1:08X}")
    begin, end = SEGMENT_SIZE, 2 * SEGMENT_SIZE
    store.put(segment, log_object(begin, end, NOW, NOW - SECOND))
    chunk(store, end, end + 10, NOW + SECOND)
    chunk(store, end + 20, end + 30, NOW + 9 * SECOND, committed=NOW + 8 * SECOND)
    found = look(store)
    assert [(each.run, each.until, each.committed) for each in found.stretches] == [
        (Run(1, Lsn(begin), Lsn(end + 10)), NOW + SECOND, None),
        (Run(1, Lsn(end + 20), Lsn(end + 30)), NOW + 9 * SECOND, NOW + 8 * SECOND),
    ]
    assert str(segment) not in store.read, "one object a stretch is read"


def test_a_heartbeat_at_the_end_moves_it_on_and_one_elsewhere_does_not() -> None:
    store = Kept()
    chunk(store, 0, 10, NOW)
    beat = HeartbeatKey(ARCHIVE, 1, 10)
    store.put(beat, log_object(10, 10, NOW + 600 * SECOND))
    assert look(store).stretches[0].until == NOW + 600 * SECOND
    store.objects.pop(str(beat))
    store.put(HeartbeatKey(ARCHIVE, 1, 5), log_object(5, 5, NOW + 600 * SECOND))
    assert look(store).stretches[0].until == NOW


def test_histories_are_read_and_what_is_damaged_is_left_out() -> None:
    store = Kept()
    store.put(HistoryKey(ARCHIVE, 2), b"1\t0/32\tbefore\n")
    store.put(HistoryKey(ARCHIVE, 3), b"nonsense\n")
    damaged = chunk(store, 0, 10, NOW)
    store.put(damaged, b"PBWLnonsense")
    found = look(store)
    assert found.histories == {2: (Fork(1, Lsn(0x32)),)}
    assert found.stretches[0].until is None


def test_what_never_changes_is_read_once() -> None:
    store, known = Kept(), cast(Ends, {})
    chunk(store, 0, 10, NOW)
    look(store, known)
    look(store, known)
    assert len(store.read) == 1
