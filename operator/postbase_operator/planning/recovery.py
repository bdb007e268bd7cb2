"""What a recovery begins with, by which way, and where it ends; or why it cannot be. PURE.

The archive is described by its listing and read through `LogReader`, lazily: a binary search over
the files' last commits. The answer says what will be there before anything is touched, and pins
where the log ends, so that a second attempt gives the same.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from postbase_operator.api.restore_status import RestoreReason
from postbase_operator.archive.keys import ChunkKey, SegmentKey
from postbase_operator.archive.log_path import ArchivedLog, BrokenHistory, LogPath
from postbase_operator.archive.lsn import Lsn
from postbase_operator.archive.record import BackupRecord
from postbase_operator.archive.wal_index import WalIndex
from postbase_operator.planning.recovery_way import (
    LogReader,
    Recovery,
    Refused,
    Span,
    Way,
    base_log,
    text,
    window,
)

PATIENCE = timedelta(seconds=60)
"""How long a target that the archive does not cover yet is waited for."""


@dataclass(frozen=True, slots=True)
class Target:
    """A moment, a position, or (both None) all that there is."""

    time: datetime | None = None
    lsn: Lsn | None = None


@dataclass(frozen=True, slots=True)
class Archived:
    """One incarnation's archive: its base backups, the listing of its log, its histories."""

    bases: Sequence[BackupRecord]
    index: WalIndex
    histories: Mapping[int, bytes]


def plan_recovery(archived: Archived, reader: LogReader, target: Target, now: datetime) -> Recovery:
    """Raises Refused; and what the reader raises.

    All times of an archive are the server's. `now` is another clock, which may be wrong by any
    amount: it refuses at once what is not there, and nothing that is.
    """
    ways = _ways(archived, reader)
    span = _span(ways)
    if target.time is not None and max(now, span.until) < target.time:
        why = f"{text(target.time)} lies in the future; it is {text(now)} here"
        raise Refused(RestoreReason.TARGET_AFTER_WINDOW, f"{why}: {window(span)}")
    if target.time is not None:
        made = _to_time(ways, target.time)
    elif target.lsn is not None:
        made = _to_lsn(ways, target.lsn)
    else:
        made = ways[-1].to_end()
    return replace(made, span=span)


def _ways(archived: Archived, reader: LogReader) -> list[Way]:
    """One for each base backup of the live branch, the oldest first."""
    path = live_path(archived, reader)
    found = [way for each in archived.bases if (way := _way(each, archived, path, reader))]
    if not found:
        why = "there is no physical backup that the live branch of the log goes on from"
        if not archived.bases:
            why = "there is no physical backup to begin with"
        raise Refused(RestoreReason.NO_BASE_BACKUP, why)
    return sorted(found, key=lambda way: way.base.completed_at)


def way_from(archived: Archived, reader: LogReader, backup_id: str) -> Way | None:
    """Along the live branch from one backup, as far as the log goes."""
    return next((way for way in _ways(archived, reader) if way.base.id == backup_id), None)


def _span(ways: Sequence[Way]) -> Span:
    """From the oldest backup whose log goes on to where that of the newest one ends."""
    newest = ways[-1]
    oldest = next(way for way in ways if way.end == newest.end)
    return Span(oldest.span.begin, newest.span.until)


def live_path(archived: Archived, reader: LogReader) -> LogPath:
    """To the timeline that was written last, by the server's clock: not the highest number, as a
    restore that was undone leaves a higher one. Raises Refused where its history is missing."""
    index = archived.index
    written = [
        (reader.header(_last_key(index, timeline)).sent_at, timeline)
        for timeline in index.timelines
    ]
    newest = max(archived.bases, key=lambda base: base.completed_at, default=None)
    of_backup = newest.timeline if newest is not None and newest.timeline is not None else 1
    timeline = max(written)[1] if written else of_backup
    try:
        return LogPath.to(timeline, archived.histories)
    except BrokenHistory as error:
        raise Refused(RestoreReason.WAL_GAP, str(error)) from None


def _last_key(index: WalIndex, timeline: int) -> SegmentKey | ChunkKey:
    """The object that reaches furthest on a timeline which has some."""
    ends: list[tuple[int, SegmentKey | ChunkKey]] = [
        (segment.end, key)
        for segment, key in index.segments.items()
        if segment.timeline == timeline
    ]
    ends += [(chunk.end, chunk) for chunk in index.chunks(timeline)]
    return max(ends, key=lambda each: each[0])[1]


def _way(base: BackupRecord, archived: Archived, path: LogPath, reader: LogReader) -> Way | None:
    """None where the backup is on another branch."""
    leg = path.leg(base.timeline or 0)
    stop = Lsn.parse(base.stop_lsn or "0/0")
    if leg is None or (leg.end is not None and stop > leg.end):
        return None
    return Way(base, ArchivedLog(archived.index, path, base_log(base)), reader)


def _to_time(ways: Sequence[Way], time: datetime) -> Recovery:
    """From the newest backup that had ended by then, and whose log reaches so far."""
    before = [way for way in ways if way.base.completed_at <= time]
    if not before:
        why = f"{text(time)} lies before the window: {window(_span(ways))}"
        raise Refused(RestoreReason.TARGET_BEFORE_WINDOW, why)
    return _first_that_can(ways, before, lambda way: way.to_time(time))


def _to_lsn(ways: Sequence[Way], lsn: Lsn) -> Recovery:
    before = [way for way in ways if way.stop <= lsn]
    if not before:
        first = min(way.stop for way in ways)
        why = f"{lsn} lies before {first}, where the oldest backup ends: {window(_span(ways))}"
        raise Refused(RestoreReason.TARGET_BEFORE_WINDOW, why)
    return _first_that_can(ways, before, lambda way: way.to_lsn(lsn))


def _first_that_can(
    ways: Sequence[Way], some: Sequence[Way], reach: Callable[[Way], Recovery]
) -> Recovery:
    """Of some the newest backup first; where none can, what hinders the newest is told."""
    refused: list[Refused] = []
    for way in reversed(some):
        try:
            return reach(way)
        except Refused as error:
            refused.append(error)
    why = f"{refused[0]}: {window(_span(ways))}"
    raise Refused(refused[0].reason, why, passing=refused[0].passing)
