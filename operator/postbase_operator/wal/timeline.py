"""PURE: which timelines a timeline came from, as PostgreSQL's history files tell it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from postbase_operator.archive.history import Fork, parse_history
from postbase_operator.archive.record import UnreadableRecord
from postbase_operator.wal.lsn import Lsn
from postbase_operator.wal.protocol import ProtocolError

Switch = Fork


def parse(content: bytes) -> tuple[Switch, ...]:
    """The ancestors, the oldest first; ProtocolError for what is no history."""
    try:
        return parse_history(content)
    except UnreadableRecord as error:
        raise ProtocolError(str(error)) from error


def written(switches: Sequence[Switch]) -> bytes:
    """As PostgreSQL writes it."""
    return "\n".join(f"{each.timeline}\t{each.end}\t{each.reason}\n" for each in switches).encode()


@dataclass(frozen=True, slots=True)
class Lineage:
    """A timeline with its ancestors: one line from the first byte of the log to the last."""

    timeline: int
    switches: tuple[Switch, ...] = ()

    @property
    def timelines(self) -> tuple[int, ...]:
        """From the oldest on."""
        return (*(switch.timeline for switch in self.switches), self.timeline)

    def end_of(self, timeline: int) -> Lsn | None:
        """Where it was left; None for the one that goes on."""
        return next((each.end for each in self.switches if each.timeline == timeline), None)

    def successor(self, timeline: int) -> int:
        """The one that goes on where an ancestor was left."""
        return self.timelines[self.timelines.index(timeline) + 1]

    def at(self, position: int) -> int:
        """The timeline that the byte at `position` belongs to."""
        return next((each.timeline for each in self.switches if position < each.end), self.timeline)
