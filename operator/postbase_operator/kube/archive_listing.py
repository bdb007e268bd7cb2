"""What an archive has of the log: a listing of its keys, and the last moment of each stretch.

The store's methods block: this runs in a thread.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime

from postbase_operator.archive.history import Fork, parse_history
from postbase_operator.archive.keys import Archive, HistoryKey, WalFolder, parse
from postbase_operator.archive.lsn import Segment
from postbase_operator.archive.record import UnreadableRecord
from postbase_operator.archive.wal_index import Run, WalIndex
from postbase_operator.archive.wal_object import WalHeader, header_of
from postbase_operator.objectstore.store import NotFound, ObjectStore
from postbase_operator.planning.window import Log, Stretch

HEADER = 4096
"""Bytes of an object that hold its header."""


@dataclass(frozen=True, slots=True)
class End:
    """What the header of a stretch's last object says: until when nothing was beyond it, its last
    commit, and what had come by then."""

    until: datetime | None = None
    committed: datetime | None = None
    received: int = 0
    segments: int = 0


Ends = dict[str, End]
"""By an object's key."""


def listed(store: ObjectStore, archive: Archive, known: Ends) -> Log:
    """Raises what the store raises. `known` is added to: objects never change."""
    keys = (parse(each.key) for each in store.list(str(WalFolder(archive))))
    index = WalIndex(key for key in keys if key is not None)
    stretches = []
    for timeline in index.timelines:
        ends = _ends(index, timeline)
        for run in index.runs(timeline):
            end = _end_of(store, ends.get(run.end), known)
            beat = _beat(store, index, run)
            moments = [each for each in (end.until, end.committed, beat) if each is not None]
            until = max(moments, default=None)
            stretches.append(Stretch(run, until, end.committed, end.received, end.segments))
    return Log(tuple(stretches), histories(store, index.histories))


def _ends(index: WalIndex, timeline: int) -> dict[int, str]:
    """The object that ends at a position."""
    ends = {chunk.end: str(chunk) for chunk in index.chunks(timeline)}
    segments = (each for each in index.segments.items() if each[0].timeline == timeline)
    return ends | {_end(segment): str(key) for segment, key in segments}


def _end(segment: Segment) -> int:
    return int(segment.end)


def _end_of(store: ObjectStore, key: str | None, known: Ends) -> End:
    if key is None:
        return End()
    if key not in known:
        header = _header(store, key)
        if header is None:
            return End()
        committed = header.commits.last if header.commits else None
        totals = header.totals
        known[key] = End(header.sent_at, committed, totals.received, totals.segments)
    return known[key]


def _beat(store: ObjectStore, index: WalIndex, run: Run) -> datetime | None:
    """The heartbeat proves that up to a later moment nothing more was there."""
    beat = index.heartbeat(run.timeline)
    if beat is None or beat.lsn != run.end:
        return None
    header = _header(store, str(beat))
    return header.sent_at if header is not None else None


def _header(store: ObjectStore, key: str) -> WalHeader | None:
    """None where it is gone (chunks become segments) or is damaged: nothing is said of it then."""
    beginning = b""
    try:
        with closing(store.get_stream(key)) as chunks:  # type: ignore[type-var]
            for chunk in chunks:
                beginning += chunk
                if len(beginning) >= HEADER:
                    break
        return header_of(beginning)
    except (NotFound, UnreadableRecord):
        return None


def histories(store: ObjectStore, keys: Mapping[int, HistoryKey]) -> dict[int, tuple[Fork, ...]]:
    """One that cannot be read is left out: nothing is promised over it."""
    found = {}
    for timeline, key in keys.items():
        try:
            found[timeline] = parse_history(store.get(str(key)))
        except (NotFound, UnreadableRecord):
            continue
    return found
