"""Objects of a backup on their way into the store: compressed and written in threads."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass
from types import TracebackType
from typing import Protocol

import zstandard

from postbase_operator.archive.keys import PhysicalFolder
from postbase_operator.archive.record import StoredObject
from postbase_operator.archive.template import Key
from postbase_operator.objectstore.store import Stored
from postbase_operator.wal.pipe import Broken, Pipe

ZSTD = "zstd"


class Sink(Protocol):
    def __call__(self, key: str, chunks: Iterator[bytes], /) -> Stored:
        """As ObjectStore.put_stream: all the chunks are durable under `key` when it returns, and
        nothing is left of them where they raise. Called from several threads.
        """


@dataclass(frozen=True, slots=True)
class Place:
    """Where the objects of one backup go, and how hard they are compressed (levels of zstd)."""

    sink: Sink
    folder: PhysicalFolder
    level: int

    def store(self, key: Key, blocks: Iterable[bytes], *, compressed: bool) -> StoredObject:
        """Durable when it returns."""
        raw = _Counted(blocks)
        stored = self.sink(str(key), compress(raw, self.level) if compressed else iter(raw))
        return StoredObject(
            key=str(key).removeprefix(str(self.folder)),
            size=stored.size,
            sha256=stored.sha256,
            raw_size=raw.size if compressed else None,
            codec=ZSTD if compressed else None,
        )


class Shelf:
    """Takes objects, `workers` at a time; when it is left, no thread of it runs any more."""

    def __init__(self, place: Place, workers: int) -> None:
        self._place, self._workers = place, workers
        self._pool = ThreadPoolExecutor(workers, thread_name_prefix="store")
        self._running: set[Future[StoredObject]] = set()
        self._all: list[Future[StoredObject]] = []

    def __enter__(self) -> Shelf:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._pool.shutdown()
        if isinstance(error, Broken):
            # A store that failed has broken its pipe: its error is the cause, this the effect.
            self.objects()

    def objects(self) -> tuple[StoredObject, ...]:
        """All, in the order in which they were begun, durable; raises what storing one raised."""
        return tuple(future.result() for future in self._all)

    @contextmanager
    def object(self, key: Key, *, compressed: bool) -> Iterator[Callable[[bytes], None]]:
        """Gives what writes into a new object; with its end the object is complete.

        Waits while all workers are busy, and raises what one that is done had raised.
        """
        while len(self._running) >= self._workers:
            done, self._running = wait(self._running, return_when=FIRST_COMPLETED)
            for ended in done:
                ended.result()
        pipe = Pipe()
        future = self._pool.submit(self._store, key, pipe, compressed)
        self._running.add(future)
        self._all.append(future)
        try:
            yield pipe.write
            pipe.close()
        except BaseException:
            pipe.break_off()
            raise

    def _store(self, key: Key, pipe: Pipe, compressed: bool) -> StoredObject:
        try:
            return self._place.store(key, pipe, compressed=compressed)
        finally:
            pipe.break_off()


def compress(blocks: Iterable[bytes], level: int) -> Iterator[bytes]:
    """One zstd frame, with a checksum of its content."""
    compressor = zstandard.ZstdCompressor(level, write_checksum=True).compressobj()
    for block in blocks:
        if data := compressor.compress(block):
            yield data
    yield compressor.flush()


def digest(objects: Iterable[StoredObject]) -> str:
    """sha256 of a list of objects, in its order: lines as sha256sum writes them."""
    lines = (f"{item.sha256}  {item.key}\n" for item in objects)
    return hashlib.sha256("".join(lines).encode()).hexdigest()


class _Counted:
    """Bytes that have gone through."""

    def __init__(self, blocks: Iterable[bytes]) -> None:
        self._blocks, self.size = blocks, 0

    def __iter__(self) -> Iterator[bytes]:
        for block in self._blocks:
            self.size += len(block)
            yield block
