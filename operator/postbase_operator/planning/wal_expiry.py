"""Which objects of the log nobody needs any more. PURE.

The log is needed from the start of each base backup that is kept: along its own timeline, and along
every timeline that came from there, also those that a restore has left. Histories stay: they are
small, and the next timeline's number is found by them. Where there is no base backup nothing goes.
What a restore that has not ended reads stays until it has (pins.py).

Of a Database that is gone the bucket alone says which base backups there are: its Backups may have
gone with their namespace. With the last verified one, which stays until somebody deletes it, stays
the log from there on. Log without any base backup is of use to nobody, and goes after its time.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime

from postbase_operator.archive.history import Fork
from postbase_operator.archive.keys import ChunkKey, HeartbeatKey, SegmentKey
from postbase_operator.archive.lsn import SEGMENT_SIZE, Lsn, Segment
from postbase_operator.archive.record import BackupRecord
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


def expired_of_gone(
    stored: Mapping[Key, datetime],
    bases: Sequence[Base],
    histories: Histories,
    before: datetime,
) -> list[Key]:
    """The same of the archive of a Database that is gone.

    `stored`: all of the log, and when it was written; `bases`: all that the bucket has, verified or
    not; what was written after `before` may still be followed by a base backup.
    """
    if bases:
        return expired_log(stored, bases, histories)
    if any(written >= before for written in stored.values()):
        return []
    return list(stored)


def base_of(record: BackupRecord) -> Base | None:
    """What a record in the bucket says of where its log begins; None where it does not say it in
    a way that this module can tell positions by."""
    start, stop, timeline = record.start_lsn, record.stop_lsn, record.timeline
    if start is None or stop is None or timeline is None:
        return None
    if record.wal_segment_size != SEGMENT_SIZE:
        return None
    return Base(record.id, timeline, Lsn.parse(start), Lsn.parse(stop), record.completed_at)


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
