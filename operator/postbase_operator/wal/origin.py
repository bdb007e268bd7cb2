"""PURE: where the receiver goes on: behind what the archive holds without a hole.

What was acknowledged is never beyond the end of the run that was being extended, and the server's
slot stands somewhere within that run. So the run that holds the slot's position is the one to
extend; chunks behind a hole of it were on their way when a receiver was killed, and nobody was told
that they are safe.
"""

from __future__ import annotations

from dataclasses import dataclass

from postbase_operator.archive.wal_index import WalIndex
from postbase_operator.wal.lsn import Lsn
from postbase_operator.wal.timeline import Lineage

TRIED = 3
"""Ends of runs that a server which cannot tell its slot's position is asked for."""


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
    how far the server's log is. The last one begins anew: always possible, with a gap before it.
    """
    found = [] if kept is None else _holding(index, lineage, kept)
    if not found:
        every = [
            _followed(index, lineage, timeline, run.start)
            for timeline in lineage.timelines
            for run in index.runs(timeline)
            if run.start < (lineage.end_of(timeline) or run.end)
        ]
        newest = list(dict.fromkeys(every))
        found = newest[-1:] if kept is not None else newest[-TRIED:]
    reserved = kept if kept is not None else flushed
    anew = _floor(index, reserved)
    wanted = [begun for origin in found for begun in _beginnings(index, origin)]
    return (*wanted, Origin(lineage.at(reserved), anew, anew, fresh=True))


def archived_end(index: WalIndex, timeline: int) -> Lsn:
    """How far the archive knows of a timeline: a server that is not so far has gone back."""
    return max((run.end for run in index.runs(timeline)), default=Lsn(0))


def _holding(index: WalIndex, lineage: Lineage, kept: Lsn) -> list[Origin]:
    timeline = lineage.at(kept)
    if index.run_holding(timeline, kept) is None:
        return []
    return [_followed(index, lineage, timeline, kept)]


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
