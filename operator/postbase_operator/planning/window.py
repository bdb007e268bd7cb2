"""Which seconds of a Database can be restored, and from which base backup on. PURE.

A base backup reaches as far as the archive has the log without a hole, from where the backup began
along the timelines that PostgreSQL took. What a backup reaches makes a branch: the live one, which
is written now; one that a restore in place has left; one that a gap in the log has ended. Nothing
is promised that a listing of the archive, or the receiver since then, has not shown.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from postbase_operator.api.backup import Backup
from postbase_operator.api.database_status import Branch
from postbase_operator.api.policies import BackupMethod
from postbase_operator.api.runs import RunPhase
from postbase_operator.archive.history import Fork
from postbase_operator.archive.keys import Archive, PhysicalFolder, parse_backup
from postbase_operator.archive.lsn import Lsn
from postbase_operator.archive.receiver import ReceiverReport
from postbase_operator.archive.wal_index import Run

MOST_BRANCHES = 64


@dataclass(frozen=True, slots=True)
class Base:
    """A base backup whose bytes have been read back. Its log is needed from `start` on."""

    name: str
    timeline: int
    start: Lsn
    stop: Lsn
    completed_at: datetime


@dataclass(frozen=True, slots=True)
class Stretch:
    """A run of the log. `until`: the last moment that it covers; None where that is not known."""

    run: Run
    until: datetime | None = None
    committed: datetime | None = None
    """Time of the last commit in it, where that is known."""
    received: int = 0
    """Bytes that had come by its end since archiving was switched on …"""
    segments: int = 0
    """… and whole segments."""


@dataclass(frozen=True, slots=True)
class Log:
    """What an archive has of the log."""

    stretches: tuple[Stretch, ...] = ()
    """In the order of timelines and positions."""
    histories: Mapping[int, tuple[Fork, ...]] = field(default_factory=dict)
    """By timeline; the first one has none."""
    live: int | None = None
    """The timeline that is written now; None: the latest."""

    @property
    def current(self) -> int | None:
        return self.live or max((each.run.timeline for each in self.stretches), default=None)

    def of(self, timeline: int) -> list[Stretch]:
        return [each for each in self.stretches if each.run.timeline == timeline]

    def last(self) -> Stretch | None:
        """Where the receiver writes."""
        found = self.of(self.current) if self.current is not None else []
        return found[-1] if found else None


@dataclass(frozen=True, slots=True)
class Window:
    """`branches`: all that can be restored, the live one first and then the newest."""

    branches: tuple[Branch, ...] = ()
    bases: tuple[Base, ...] = ()
    """Those of the live branch, the oldest first."""

    @property
    def live(self) -> Branch | None:
        return next((each for each in self.branches if each.live), None)


def settled(log: Log, before: ReceiverReport | None) -> Log:
    """A listing without what was being written meanwhile; `before` was told before it was made.

    Objects get there in any order: a hole behind what was durable is one that is about to be
    filled, and whoever took it for a gap would end the window there until the next listing.
    """
    if before is None or before.timeline is None or before.durable_lsn is None:
        return log
    durable = Lsn.parse(before.durable_lsn)
    kept = (
        each
        for each in log.stretches
        if each.run.timeline != before.timeline or each.run.start <= durable
    )
    return replace(log, stretches=tuple(kept))


def told_since(log: Log, report: ReceiverReport | None) -> Log:
    """The log as the receiver has told since it was listed: the last stretch reaches further.

    Where a listing has not seen the timeline yet, nothing can be said of where its log begins.
    """
    if report is None or report.timeline is None or report.durable_lsn is None:
        return log
    known = replace(log, live=report.timeline)
    last, durable = known.last(), Lsn.parse(report.durable_lsn)
    if last is None or durable < last.run.end:
        return known
    moments = [m for m in (report.covered_until, report.last_commit_at, last.until) if m]
    further = Stretch(
        replace(last.run, end=durable),
        until=max(moments, default=None),
        committed=report.last_commit_at or last.committed,
    )
    return replace(known, stretches=tuple(further if s is last else s for s in log.stretches))


def window(bases: Iterable[Base], log: Log) -> Window:
    """What can be restored from these base backups and this log."""
    found: list[Branch] = []
    alive: tuple[Base, ...] = ()
    for stretch in log.stretches:
        from_here = [base for base in bases if reach(base, log, stretch.run.timeline) is stretch]
        if stretch is log.last():
            alive = tuple(sorted(from_here, key=lambda base: base.completed_at))
        branch = _branch(from_here, stretch, log)
        if branch is not None:
            found.append(branch)
    found.sort(key=lambda each: (each.live or False, each.to), reverse=True)
    return Window(tuple(found[:MOST_BRANCHES]), alive)


def reach(base: Base, log: Log, timeline: int) -> Stretch | None:
    """Where the log can be followed to from a base backup on the way to `timeline`.

    None where that way does not lead over the backup, or the archive lacks what makes it whole.
    """
    at = base.start
    for on, end in _way(base, log, timeline):
        if end is not None and end <= at:
            continue  # it was left before anything of it was needed
        stretch = next((each for each in log.of(on) if each.run.holds(at)), None)
        if stretch is None or (on == base.timeline and stretch.run.end < base.stop):
            return None
        if end is None or stretch.run.end < end:
            return stretch
        at = end
    return None


def _way(base: Base, log: Log, timeline: int) -> Iterator[tuple[int, Lsn | None]]:
    """The timelines from the backup's own to the wanted one, and where each was left."""
    forks = log.histories.get(timeline, ())
    way: list[tuple[int, Lsn | None]] = [(fork.timeline, fork.end) for fork in forks]
    way.append((timeline, None))
    numbers = [number for number, _ in way]
    if base.timeline not in numbers:
        return
    first = numbers.index(base.timeline)
    left = way[first][1]
    if left is None or base.stop <= left:
        yield from way[first:]


def _branch(bases: Sequence[Base], stretch: Stretch, log: Log) -> Branch | None:
    """None where nothing of it can be restored, or all of it on the branch that followed."""
    live = stretch is log.last()
    if not bases or (not live and _goes_on(stretch, log)):
        return None
    start = min(base.completed_at for base in bases)
    if stretch.until is None or stretch.until < start:
        # A base backup can be restored as it is; of the log after it nothing is covered in time.
        return Branch(timeline=stretch.run.timeline, live=live, from_=start, to=start)
    reason = None if live else _why_it_ends(stretch, log)
    return Branch(
        timeline=stretch.run.timeline, live=live, from_=start, to=stretch.until, reason=reason
    )


def _goes_on(stretch: Stretch, log: Log) -> bool:
    """A later timeline left this one at its very end: nothing was left behind."""
    own = stretch.run
    return any(
        fork.timeline == own.timeline and fork.end >= own.end and own.holds(fork.end)
        for forks in log.histories.values()
        for fork in forks
    )


def _why_it_ends(stretch: Stretch, log: Log) -> str:
    own = stretch.run
    if stretch is not log.of(own.timeline)[-1]:
        return f"The log has a gap after {own.end}"
    left = [
        fork.end
        for forks in log.histories.values()
        for fork in forks
        if fork.timeline == own.timeline and own.start <= fork.end < own.end
    ]
    if left:
        return f"A restore left it at {min(left)}"
    return f"The log ends at {own.end}"


def bases_of(backups: Iterable[Backup], archive: Archive) -> list[Base]:
    """The base backups of one archive: complete, read back, with no page known to be damaged."""
    found = []
    for backup in backups:
        told = backup.status
        if backup.spec.method is not BackupMethod.PHYSICAL or told.phase is not RunPhase.COMPLETED:
            continue
        place = parse_backup(told.object_key or "")
        ours = isinstance(place, PhysicalFolder) and place.archive == archive
        if not ours or backup.metadata.is_deleting or told.verified_at is None:
            continue
        base = _base(backup)
        if base is not None and told.checksums_verified is not False:
            found.append(base)
    return found


def _base(backup: Backup) -> Base | None:
    told = backup.status
    if told.timeline is None or told.completed_at is None:
        return None
    if told.start_lsn is None or told.stop_lsn is None:
        return None
    return Base(
        name=backup.metadata.name,
        timeline=told.timeline,
        start=Lsn.parse(told.start_lsn),
        stop=Lsn.parse(told.stop_lsn),
        completed_at=told.completed_at,
    )
