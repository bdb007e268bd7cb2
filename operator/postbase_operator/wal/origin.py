"""PURE: where the receiver goes on: behind what the archive holds without a hole.

What was acknowledged is never beyond the end of the run that was being extended. Chunks behind its
end were on their way when a receiver was killed, and nobody was told that they are safe: the hole
before them is filled first. So the first hole is tried that the server can still fill; one that it
cannot is a gap, which was told when it came about.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from postbase_operator.archive.wal_index import Run, WalIndex
from postbase_operator.wal.lsn import Lsn, Segment
from postbase_operator.wal.timeline import Lineage

TRIED = 12
"""Holes that the server is asked to fill, the last ones: more than there are writes at a time."""


@dataclass(frozen=True, slots=True)
class Origin:
    """Stream from `begin`, the start of a segment; up to `durable` it is to be compared only."""

    timeline: int
    begin: Lsn
    durable: Lsn
    fresh: bool = False
    """Nothing before it can be followed to here: the beginning of the archive, or a gap."""


def origins(
    index: WalIndex, lineage: Lineage, kept: Lsn | None, flushed: Lsn
) -> tuple[Origin, ...]:
    """The places to go on from, in the order in which the server is to be asked for them.

    `kept`: from where on the server's slot keeps the log, None where that is not known. `flushed`:
    how far the server's log is. One of them begins anew, where the log is there for certain.
    """
    reserved = kept if kept is not None else flushed
    begin = _floor(index, reserved)
    anew = Origin(lineage.at(reserved), begin, begin, fresh=True)
    runs = [run for timeline in lineage.timelines for run in _chains(index, lineage, timeline)]
    found = {_followed(index, lineage, run.timeline, run.start) for run in runs}
    ends = sorted(found, key=lambda origin: origin.durable)[-TRIED:]
    if kept is not None and not any(run.holds(begin) for run in runs):
        ends = [origin for origin in ends if origin.durable < begin]
    return (*(begun for origin in ends for begun in _beginnings(index, origin)), anew)


def archived_end(index: WalIndex, timeline: int) -> Lsn:
    """How far the archive knows of a timeline: a server that is not so far has gone back."""
    return max((run.end for run in index.runs(timeline)), default=Lsn(0))


def last_whole(index: WalIndex, lineage: Lineage) -> Segment | None:
    """The newest whole segment on the line that the server's log took."""
    for timeline in reversed(lineage.timelines):
        end = lineage.end_of(timeline)
        found = [
            segment
            for segment in index.segments
            if segment.timeline == timeline and (end is None or segment.end <= end)
        ]
        if found:
            return max(found, key=lambda segment: segment.start)
    return None


def _chains(index: WalIndex, lineage: Lineage, timeline: int) -> Iterator[Run]:
    """Runs that a receiver began: each begins with a segment. Others lie behind a hole."""
    end = lineage.end_of(timeline)
    for run in index.runs(timeline):
        if run.start % index.segment_size == 0 and (end is None or run.start < end):
            yield run


def _followed(index: WalIndex, lineage: Lineage, timeline: int, position: Lsn) -> Origin:
    """To the end of the run, and on to the next timeline where this one ends within it."""
    while True:
        run = index.run_holding(timeline, position)
        reached = run.end if run else position
        end = lineage.end_of(timeline)
        if end is None or reached < end:
            return Origin(timeline, _floor(index, reached), reached)
        timeline, position = lineage.successor(timeline), _floor(index, end)


def _beginnings(index: WalIndex, origin: Origin) -> list[Origin]:
    """At the border of a segment the one before is compared, unless the server has removed it."""
    size = index.segment_size
    if origin.durable % size or index.run_holding(origin.timeline, origin.durable - 1) is None:
        return [origin]
    before = Origin(origin.timeline, Lsn(origin.durable - size), origin.durable)
    return [before, origin]


def _floor(index: WalIndex, position: int) -> Lsn:
    return Lsn(position - position % index.segment_size)
