"""What a recovery begins with, by which way, and where it ends; or why it cannot be. PURE.

The archive is described by its listing and read through `LogReader`, lazily: a binary search over
the files' last commits. The answer says what will be there before anything is touched, and pins
where the log ends, so that a second attempt gives the same.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from postbase_operator.api.restore_status import RestoreReason
from postbase_operator.archive.log_path import ArchivedLog, LogPath
from postbase_operator.archive.lsn import Lsn
from postbase_operator.archive.record import BackupRecord
from postbase_operator.errors import PostbaseError, Unavailable
from postbase_operator.planning.recovery_branch import Archived, other_paths, path_to
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
    timeline: int | None = None
    """Of the branch that is meant; None: the one that is written now."""


def plan_recovery(archived: Archived, reader: LogReader, target: Target, now: datetime) -> Recovery:
    """Raises Refused; and what the reader raises.

    All times of an archive are the server's. `now` is another clock, which may be wrong by any
    amount: it refuses at once what is not there, and nothing that is.
    """
    path = path_to(archived, reader, target.timeline)
    ways = _ways(archived, reader, path)
    span = _span(ways)
    if target.time is not None and max(now, span.until) < target.time:
        why = f"{text(target.time)} lies in the future; it is {text(now)} here"
        raise Refused(RestoreReason.TARGET_AFTER_WINDOW, f"{why}: {window(span)}")
    if target.time is not None:
        made = _to_time(ways, target.time, now)
        if target.timeline is None:
            made = replace(made, warnings=_left_out(archived, reader, path, target.time, made, now))
    elif target.lsn is not None:
        made = _to_lsn(ways, target.lsn, now)
    else:
        made = _to_end(ways[-1], path)
    return replace(made, span=span)


def _ways(archived: Archived, reader: LogReader, path: LogPath) -> list[Way]:
    """One for each base backup of a branch, the oldest first."""
    found = [way for each in archived.bases if (way := _way(each, archived, path, reader))]
    if not found:
        why = f"there is no physical backup that timeline {path.timeline} of the log goes on from"
        if not archived.bases:
            why = "there is no physical backup to begin with"
        raise Refused(RestoreReason.NO_BASE_BACKUP, why)
    return sorted(found, key=lambda way: way.base.completed_at)


def way_from(
    archived: Archived, reader: LogReader, backup_id: str, timeline: int | None = None
) -> Way | None:
    """Along a branch from one backup, as far as the log goes."""
    ways = _ways(archived, reader, path_to(archived, reader, timeline))
    return next((way for way in ways if way.base.id == backup_id), None)


def _left_out(
    archived: Archived,
    reader: LogReader,
    path: LogPath,
    time: datetime,
    made: Recovery,
    now: datetime,
) -> tuple[str, ...]:
    """Where another branch had later commits by that moment: it may be the one that served then.

    What cannot be read there is no concern of a recovery that does not go there.
    """
    found: list[str] = []
    for other in other_paths(archived, path):
        try:
            ways = _ways(archived, reader, other)
            last = _to_time(ways, min(time, _span(ways).until), now).last_commit
        except Unavailable:
            raise  # nor is the recovery itself known then
        except PostbaseError:
            continue
        if last is not None and (made.last_commit is None or last > made.last_commit):
            found.append(
                f"Timeline {other.timeline} has commits up to {text(last)} that are not on the "
                f"branch which is restored: source.timeline: {other.timeline} restores that one"
            )
    return tuple(found)


def _span(ways: Sequence[Way]) -> Span:
    """From the oldest backup whose log goes on to where that of the newest one ends."""
    newest = ways[-1]
    oldest = next(way for way in ways if way.end == newest.end)
    return Span(oldest.span.begin, newest.span.until)


def _way(base: BackupRecord, archived: Archived, path: LogPath, reader: LogReader) -> Way | None:
    """None where the backup is on another branch."""
    leg = path.leg(base.timeline or 0)
    stop = Lsn.parse(base.stop_lsn or "0/0")
    if leg is None or (leg.end is not None and stop > leg.end):
        return None
    return Way(base, ArchivedLog(archived.index, path, base_log(base)), reader)


def _to_time(ways: Sequence[Way], time: datetime, now: datetime) -> Recovery:
    """From the newest backup that had ended by then, and whose log reaches so far."""
    before = [way for way in ways if way.base.completed_at <= time]
    if not before:
        why = f"{text(time)} lies before the window: {window(_span(ways))}"
        raise Refused(RestoreReason.TARGET_BEFORE_WINDOW, why)
    return _first_that_can(ways, before, lambda way: way.to_time(time, now))


def _to_lsn(ways: Sequence[Way], lsn: Lsn, now: datetime) -> Recovery:
    before = [way for way in ways if way.stop <= lsn]
    if not before:
        first = min(way.stop for way in ways)
        why = f"{lsn} lies before {first}, where the oldest backup ends: {window(_span(ways))}"
        raise Refused(RestoreReason.TARGET_BEFORE_WINDOW, why)
    return _first_that_can(ways, before, lambda way: way.to_lsn(lsn, now))


def _to_end(way: Way, path: LogPath) -> Recovery:
    """Of a branch that has begun in the archive; else it would end where that left another one,
    and a run that follows the log would go on there."""
    if path.legs[-1].start and way.end <= path.legs[-1].start:
        why = f"timeline {path.timeline}, which is written now, has no log in the archive yet"
        raise Refused(RestoreReason.WAITING_FOR_ARCHIVE, why, passing=True)
    return way.to_end()


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
