"""A physical backup, start to end: pieces of the data folder, and the log that makes them whole.

Without the log from start to stop the copy cannot be opened, and the server may have recycled it
by the time it is asked for. A second connection fetches it meanwhile; a temporary slot keeps it.
Nothing is written to a local disk, and at most some 100 MiB are held.
"""

from __future__ import annotations

import itertools
import secrets
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from postbase_operator.archive.keys import (
    BackupSegmentKey,
    ManifestKey,
    PhysicalFolder,
    PieceKey,
)
from postbase_operator.archive.record import StoredObject
from postbase_operator.errors import Unavailable
from postbase_operator.wal.base_backup import (
    ArchiveData,
    Ended,
    Event,
    ManifestData,
    Options,
    Started,
    base_backup,
)
from postbase_operator.wal.client import Replication
from postbase_operator.wal.connection import SERVICE
from postbase_operator.wal.log_copy import LogCopy
from postbase_operator.wal.lsn import Lsn, Segment
from postbase_operator.wal.pieces import DEFAULT, Sizes, cut
from postbase_operator.wal.protocol import ProtocolError
from postbase_operator.wal.shelf import Place, Shelf, Sink

Connect = Callable[[], Replication]
Progress = Callable[[int, int], None]
"""Told (bytes done, bytes in all: an estimate), often; must be quick."""


@dataclass(frozen=True, slots=True)
class Plan:
    """How to take a backup, and where its objects go."""

    folder: PhysicalFolder
    options: Options
    sizes: Sizes = DEFAULT
    workers: int = 2
    """Objects that are compressed and stored at a time."""
    level: int = 1
    """Of zstd."""


@dataclass(frozen=True, slots=True)
class PhysicalBackup:
    """What was taken: all of backup.json that the server and the store can tell."""

    system_id: str
    postgres_version: str
    major: int
    block_size: int
    segment_size: int
    timeline: int
    start: Lsn
    stop: Lsn
    source_bytes: int
    objects: tuple[StoredObject, ...]
    """Pieces and the manifest, then the log. All that lies in the folder."""
    checksums_verified: bool | None
    """Whether each page's checksum was right; None where the data has none, or nobody looked."""
    damage: tuple[str, ...]
    """What the server said of pages that are damaged: the backup is kept, and marked."""

    @property
    def size_bytes(self) -> int:
        """Stored."""
        return sum(item.size for item in self.objects)


def take(connect: Connect, sink: Sink, plan: Plan, progress: Progress) -> PhysicalBackup:
    """Takes the backup; when it returns all objects are durable. backup.json is the caller's.

    `connect` is called twice. What BASE_BACKUP, the stream or the sink raise is raised, after all
    threads have ended; objects that were stored stay.
    """
    with connect() as log, connect() as data:
        if log.identify().system_id != data.identify().system_id:
            raise Unavailable(SERVICE, "two connections have led to two servers")
        slot = f"postbase_backup_{secrets.token_hex(8)}"
        log.create_slot(slot, temporary=True)
        place = Place(sink, plan.folder, plan.level)
        return _Run(data, place, plan, progress).take(log, slot)


class _Run:
    """The state of one backup."""

    def __init__(self, data: Replication, place: Place, plan: Plan, progress: Progress) -> None:
        self._data, self._place, self._plan, self._progress = data, place, plan, progress
        self._source_bytes = 0

    def take(self, log: Replication, slot: str) -> PhysicalBackup:
        settings = {name: self._data.show(name) for name in ("block_size", "data_checksums")}
        system_id, size = self._data.identify().system_id, self._data.segment_size()
        events = base_backup(self._data, self._plan.options)
        started = next(events)
        if not isinstance(started, Started):
            raise ProtocolError("a base backup without a start")
        first = Segment.containing(started.start, started.timeline, size)
        copy = LogCopy(log, slot, first, self._put)
        try:
            ended, objects = self._pieces(events, started, copy)
            objects += copy.finish(ended.stop)
        except BaseException:
            copy.cancel()
            raise
        if ended.timeline != started.timeline:
            raise Unavailable(SERVICE, "the timeline changed while a backup ran")
        looked = settings["data_checksums"] == "on" and self._plan.options.verify_checksums
        return PhysicalBackup(
            system_id=system_id,
            postgres_version=self._data.connection.server_version,
            major=self._data.connection.major,
            block_size=int(settings["block_size"]),
            segment_size=size,
            timeline=started.timeline,
            start=started.start,
            stop=ended.stop,
            source_bytes=self._source_bytes,
            objects=objects,
            checksums_verified=not ended.damage if looked else None,
            damage=ended.damage,
        )

    def _pieces(
        self, events: Iterator[Event], started: Started, copy: LogCopy
    ) -> tuple[Ended, tuple[StoredObject, ...]]:
        """Stores the archive and the manifest."""
        ended = None
        with Shelf(self._place, self._plan.workers) as shelf:
            for _, group in itertools.groupby(events, key=type):
                match next(group):
                    case ArchiveData(data):
                        rest = (event.data for event in group if isinstance(event, ArchiveData))
                        self._archive(shelf, itertools.chain([data], rest), started, copy)
                    case ManifestData(data):
                        with shelf.object(ManifestKey(self._plan.folder), compressed=False) as put:
                            put(data)
                            for event in group:
                                put(event.data if isinstance(event, ManifestData) else b"")
                    case Ended() as end:
                        ended = end
        if ended is None:
            raise ProtocolError("a base backup without an end")
        return ended, shelf.objects()

    def _archive(
        self, shelf: Shelf, data: Iterator[bytes], started: Started, copy: LogCopy
    ) -> None:
        parts = itertools.groupby(cut(data, self._plan.sizes), key=lambda part: part[0])
        for number, part in parts:
            with shelf.object(PieceKey(self._plan.folder, number), compressed=True) as put:
                for _, some in part:
                    put(some)
                    self._source_bytes += len(some)
                    self._progress(self._source_bytes, started.estimate)
                    copy.check()

    def _put(self, segment: Segment, whole: bytes) -> StoredObject:
        key = BackupSegmentKey(self._plan.folder, segment.name)
        return self._place.store(key, [whole], compressed=True)
