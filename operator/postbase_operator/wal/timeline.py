"""PURE: which timelines a timeline came from, as PostgreSQL's history files tell it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from postbase_operator.wal.lsn import Lsn
from postbase_operator.wal.protocol import ProtocolError


@dataclass(frozen=True, slots=True)
class Switch:
    """A line of a history: `timeline` was left at `end`; what it had beyond is another's."""

    timeline: int
    end: Lsn
    reason: str = ""


def parse(content: bytes) -> tuple[Switch, ...]:
    """The ancestors, the oldest first; ProtocolError for what is no history.

    Timelines in a history are decimal, in the names of files they are hexadecimal.
    """
    found: list[Switch] = []
    for line in content.decode(errors="replace").splitlines():
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        timeline, _, rest = line.strip().partition("\t")
        position, _, reason = rest.partition("\t")
        try:
            switch = Switch(int(timeline), Lsn.parse(position.strip()), reason)
        except ValueError as error:
            raise ProtocolError(f"a history with the line {line!r}: {error}") from error
        if found and switch.timeline <= found[-1].timeline:
            raise ProtocolError(f"a history whose timelines do not rise: {line!r}")
        found.append(switch)
    return tuple(found)


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
