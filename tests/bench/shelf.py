"""When the store had which part of the log, by the clock of its file system."""

from __future__ import annotations

import threading
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from postbase_operator.archive.keys import ChunkKey, SegmentKey, parse
from postbase_operator.wal.lsn import Lsn, Segment

LOOKS_EVERY = 2.0
"""Chunks live for a minute after they were joined."""


class Shelf:
    """Looks into a bucket's folder; an object appears there at once and whole."""

    def __init__(self, bucket: Path) -> None:
        self._bucket = bucket
        self._found: dict[tuple[Lsn, Lsn], float] = {}
        self._over = threading.Event()

    @contextmanager
    def watched(self) -> Iterator[None]:
        thread = threading.Thread(target=self._watch)
        thread.start()
        try:
            yield
        finally:
            self._over.set()
            thread.join()

    def _watch(self) -> None:
        while not self._over.wait(LOOKS_EVERY):
            self._look()
        self._look()

    def _look(self) -> None:
        for path in self._bucket.rglob("*"):
            place = _place(str(path.relative_to(self._bucket)))
            if place is not None and place not in self._found:
                try:
                    self._found[place] = path.stat().st_ctime
                except FileNotFoundError:
                    continue  # deleted between two looks, and so replaced

    def ages(self, acknowledged: Sequence[tuple[float, Lsn]]) -> list[float]:
        """Of rows with their positions: for how long each was acknowledged and not in the store.

        The last ones, which never came there, are left out.
        """
        ends, times = self._chain(min(position for _, position in acknowledged))
        found = []
        for at, position in acknowledged:
            number = bisect_left(ends, position)
            if number < len(ends):
                found.append(max(0.0, times[number] - at))
        return found

    def _chain(self, position: Lsn) -> tuple[list[Lsn], list[float]]:
        """From a position on without a hole: ends, and when all up to each was there."""
        ends: list[Lsn] = []
        times: list[float] = []
        objects = sorted(self._found.items())
        while True:
            here = [(at, end) for (start, end), at in objects if start <= position < end]
            if not here:
                return ends, times
            at, position = min(here)
            ends.append(position)
            times.append(max(at, times[-1]) if times else at)


def _place(key: str) -> tuple[Lsn, Lsn] | None:
    match parse(key):
        case ChunkKey() as chunk:
            return Lsn(chunk.start), Lsn(chunk.end)
        case SegmentKey() as whole:
            segment = Segment.parse(whole.segment)
            return segment.start, segment.end
    return None
