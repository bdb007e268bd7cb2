"""Threads that pack pieces of the log and write them, until each is in the store."""

from __future__ import annotations

import hashlib
import os
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol, TypeVar

from postbase_operator.archive.keys import Archive, ChunkKey, HeartbeatKey, SegmentKey
from postbase_operator.archive.receiver import FailureReason
from postbase_operator.archive.record import UnreadableRecord
from postbase_operator.archive.template import Key
from postbase_operator.archive.wal_object import (
    Codec,
    Commits,
    Totals,
    WalHeader,
    decode,
    encode,
    pack,
)
from postbase_operator.errors import Conflict, InvalidSpec, PostbaseError
from postbase_operator.objectstore.store import (
    AlreadyExists,
    NotFound,
    ObjectInfo,
    Reason,
    Stored,
    StoreDenied,
    StoreUnavailable,
)
from postbase_operator.wal import records
from postbase_operator.wal.chunks import Chunk, Stretch
from postbase_operator.wal.health import Health, Refused

T = TypeVar("T")
FIRST_PAUSE, LONGEST_PAUSE = 0.05, 2.0
PACKERS = 2
"""Pieces that are packed at a time: each is in memory twice meanwhile."""


class ArchiveStore(Protocol):
    """What of an object store the receiver uses; see ObjectStore."""

    def put(self, key: str, body: bytes, *, if_absent: bool = True) -> Stored: ...

    def get(self, key: str) -> bytes: ...

    def list(self, prefix: str) -> Iterator[ObjectInfo]: ...

    def delete(self, key: str) -> None: ...


class Abandoned(PostbaseError):
    """The receiver ends: what was not written by now stays with the server."""


@dataclass(frozen=True, slots=True)
class Place:
    """Whose log it is, and where it goes."""

    archive: Archive
    system_id: str
    segment_size: int
    writer: str


@dataclass(frozen=True, slots=True)
class Packed:
    """A chunk that is durable, and what of it is needed for its segment."""

    place: Stretch
    header: WalHeader
    frame: bytes
    """Empty for a whole segment, which needs nothing more."""


class Uploader:
    """Jobs in threads; what they come to is in `results`, and `wake` is readable then."""

    def __init__(self, store: ArchiveStore, place: Place, health: Health, threads: int) -> None:
        self.place = place
        self._store, self._health = store, health
        self._closed, self._lock = threading.Event(), threading.Lock()
        self._packing = threading.BoundedSemaphore(PACKERS)
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="store")
        self.results: deque[Future[object]] = deque()
        self.wake = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)

    def close(self) -> None:
        """Nothing is repeated, nothing else is begun; nobody hears of what is on its way."""
        self._closed.set()
        self._pool.shutdown(wait=False, cancel_futures=True)
        with self._lock:
            os.close(self.wake)
            self.wake = -1

    def rouse(self) -> None:
        """Makes `wake` readable; from any thread, also after the end."""
        with self._lock:
            if self.wake >= 0:
                os.eventfd_write(self.wake, 1)

    def submit(self, job: Callable[[], object]) -> None:
        self._pool.submit(job).add_done_callback(self._ended)

    def finished(self) -> list[object]:
        """What has ended since it was asked last; raises what a job has raised."""
        try:
            os.eventfd_read(self.wake)
        except BlockingIOError:
            return []
        found: list[object] = []
        while self.results:
            found.append(self.results.popleft().result())
        return found

    def store_chunk(self, box: list[Chunk], sent_at: datetime, totals: Totals) -> Packed:
        """Packs it and writes it, if it is not stored already; durable when it returns.

        The chunk is taken out of the box: its raw bytes are gone while the store has its time.
        """
        with self._packing:
            chunk = box.pop()
            place, header = chunk.place, self._header(chunk, sent_at, totals)
            body, begin = pack(header, chunk.data)
            del chunk
        if not place.stored:
            self.write(self.key_of(place), header, body)
        return Packed(place, header, b"" if place.is_whole else body[begin:])

    def _header(self, chunk: Chunk, sent_at: datetime, totals: Totals) -> WalHeader:
        place, digest = chunk.place, hashlib.sha256(chunk.data).hexdigest()
        return WalHeader(
            system_id=self.place.system_id,
            timeline=place.segment.timeline,
            start=str(place.start),
            end=str(place.end),
            size=len(chunk.data),
            sha256=digest,
            prefix_sha256=chunk.prefix_sha256 or digest,
            commits=commits_of(chunk, self.place.segment_size),
            totals=totals,
            sent_at=sent_at,
            writer=self.place.writer,
        )

    def write(self, key: ChunkKey | SegmentKey, header: WalHeader, body: bytes) -> None:
        """An object, until it is there. Refused (SplitBrain) where other bytes of the log are."""

        def once() -> None:
            began = time.monotonic()
            try:
                self._store.put(str(key), body)
            except AlreadyExists:
                self._must_be_same(key, header)
            self._health.wrote(time.monotonic() - began)

        self.persist(once)

    def beat(self, key: HeartbeatKey, header: WalHeader, former: list[HeartbeatKey]) -> None:
        """Writes a heartbeat over one of before, and deletes those of other positions."""
        body = encode(header, b"", Codec.NONE)

        def once() -> None:
            began = time.monotonic()
            self._store.put(str(key), body, if_absent=False)
            self._health.wrote(time.monotonic() - began)
            for each in former:
                self._store.delete(str(each))

        self.persist(once)

    def delete(self, keys: Sequence[Key]) -> None:
        for key in keys:
            self.persist(lambda key=key: self._store.delete(str(key)))  # type: ignore[misc]

    def get(self, key: Key) -> bytes:
        return self.persist(lambda: self._store.get(str(key)))

    def persist(self, request: Callable[[], T]) -> T:
        """Sends a request until it is answered; Abandoned when the receiver ends first."""
        pause = FIRST_PAUSE
        while not self._closed.is_set():
            try:
                return request()
            except (StoreUnavailable, StoreDenied, Conflict, InvalidSpec) as error:
                self._health.failed(error)
                self._closed.wait(pause)
                pause = min(LONGEST_PAUSE, pause * 2)
        raise Abandoned("the receiver ends")

    def key_of(self, place: Stretch) -> ChunkKey | SegmentKey:
        if place.is_whole:
            return SegmentKey(self.place.archive, place.segment.name)
        return ChunkKey(self.place.archive, place.segment.timeline, place.start, place.end)

    def _must_be_same(self, key: ChunkKey | SegmentKey, ours: WalHeader) -> None:
        """The same bytes of the log are a success: sent before, or by another receiver."""
        try:
            theirs = decode(self._store.get(str(key))).header
        except NotFound:
            # Removed between two requests: by the next attempt it is free.
            why = f"{key} was removed while it was written"
            raise StoreUnavailable(Reason.UNREACHABLE, why, passing=True) from None
        except UnreadableRecord as error:
            raise Refused(FailureReason.SPLIT_BRAIN, f"{key} cannot be read: {error}") from None
        if (theirs.sha256, theirs.system_id) != (ours.sha256, ours.system_id):
            raise Refused(
                FailureReason.SPLIT_BRAIN,
                f"{key} is in the archive with other bytes, written by release {theirs.writer}: "
                "another server archives here",
            )

    def _ended(self, future: Future[object]) -> None:
        if not future.cancelled():
            self.results.append(future)
            self.rouse()


def commits_of(chunk: Chunk, segment_size: int) -> Commits | None:
    found = records.find(chunk.data, chunk.place.start, chunk.before, segment_size)
    if found is None:
        return None
    return Commits(first=found.first.at, last=found.last.at, last_end=str(found.last.end))
