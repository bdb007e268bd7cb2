"""Which objects of the log nobody needs any more. PURE.

The log is needed from the start of each base backup that is kept: along its own timeline, and along
every timeline that came from there, also those that a restore has left. Histories stay: they are
small, and the next timeline's number is found by them. Where there is no base backup nothing goes.
What a restore that has not ended reads stays until it has (pins.py).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from postbase_operator.archive.history import Fork
from postbase_operator.archive.keys import ChunkKey, HeartbeatKey, SegmentKey
from postbase_operator.archive.lsn import SEGMENT_SIZE, Segment
from postbase_operator.archive.template import Key
from postbase_operator.planning.pins import Pin
from postbase_operator.planning.window import Base

Histories = Mapping[int, tuple[Fork, ...]]


def expired_log(
    keys: Iterable[Key], bases: Sequence[Base], histories: Histories, pins: Sequence[Pin] = ()
) -> list[Key]:
    """Of an archive's keys those that no replay from one of `bases` would read, nor a restore that
    has pinned them."""
    if not bases:
        return []
    return [
        key
        for key in keys
        if (place := _place(key)) is not None
        and not any(pin.holds(*place) for pin in pins)
        and not any(_needs(base, place[0], place[2], histories) for base in bases)
    ]


def _place(key: Key) -> tuple[int, int, int] | None:
    """Timeline, and the positions between which all of it lies; None for what always stays."""
    match key:
        case SegmentKey():
            segment = Segment.parse(key.segment, SEGMENT_SIZE)
            return key.timeline, segment.start, segment.end
        case ChunkKey():
            return key.timeline, key.start, key.end
        case HeartbeatKey():
            return key.timeline, key.lsn, key.lsn + 1
    return None


def _needs(base: Base, timeline: int, end: int, histories: Histories) -> bool:
    if end <= base.start:
        return False
    if timeline == base.timeline:
        return True
    if timeline < base.timeline:
        return False
    if timeline not in histories:
        return True  # where it came from is not known
    left = [fork.end for fork in histories[timeline] if fork.timeline == base.timeline]
    return any(base.stop <= position for position in left)
