"""What restores read that have not ended: no retention takes it from under them. PURE.

A restore that is planned needs its base backup, and of the log what lies between that one's start
and the planned end, on the plan's timelines: by positions, as chunks become segments meanwhile. One
that is not planned yet, and a Database that is to begin with an archive, need the base backup that
they would begin with, and all that comes after it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from postbase_operator.api.backup import Backup
from postbase_operator.api.bootstrap import Bootstrap
from postbase_operator.api.database import Database
from postbase_operator.api.pitr_restore import PitrRestore
from postbase_operator.api.restore_status import RestorePlan
from postbase_operator.archive.lsn import Lsn
from postbase_operator.planning.archived import Wish, wish_from
from postbase_operator.planning.restore_recovery import follows, wish_of
from postbase_operator.planning.retention import physical


@dataclass(frozen=True, slots=True)
class Pin:
    """Of the log [start, end) on these timelines; without an end all that comes."""

    timelines: tuple[int, ...]
    start: Lsn
    end: Lsn | None = None

    def holds(self, timeline: int, start: int, end: int) -> bool:
        """A byte of [start, end) is needed."""
        before = self.end is None or start < self.end
        return timeline in self.timelines and before and end > self.start


@dataclass(frozen=True, slots=True)
class Whose:
    """A Database that has backups and an archive; it may be gone."""

    namespace: str
    name: str
    uid: str


@dataclass(frozen=True, slots=True)
class Reader:
    """Who reads: along a plan; else a Backup as it is, by name; else what a wish would come to."""

    plan: RestorePlan | None = None
    backup: str = ""
    wish: Wish | None = None
    follows: bool = False

    @property
    def pin(self) -> Pin | None:
        """None where positions do not say it."""
        plan = self.plan
        if plan is None or plan.start_lsn is None or plan.target_lsn is None:
            return None
        end = None if self.follows else Lsn.parse(plan.target_lsn)
        return Pin(plan.timelines, Lsn.parse(plan.start_lsn), end)


def readers(
    whose: Whose, restores: Iterable[PitrRestore], databases: Iterable[Database]
) -> list[Reader]:
    """All that read from this Database's backups or archive, or are about to."""
    asked = [
        Reader(
            restore.status.plan,
            restore.spec.source.backup_ref.name if restore.spec.source.backup_ref else "",
            wish_of(restore.spec.source),
            follows(restore),
        )
        for restore in restores
        if _names(restore, whose) and not restore.is_done()
    ]
    return [*asked, *(found for db in databases if (found := _beginner(db, whose)) is not None)]


def pinned_backups(found: Iterable[Reader], backups: Sequence[Backup]) -> frozenset[str]:
    """Names of those of the Database's Backups whose bytes are needed."""
    return frozenset(name for reader in found for name in _chosen(reader, backups))


def pinned_bases(found: Iterable[Reader], backups: Sequence[Backup]) -> frozenset[str]:
    """Names of those from which on all of the log is needed."""
    open_ = [reader for reader in found if reader.pin is None and not reader.backup]
    return pinned_backups(open_, backups)


def pins(found: Iterable[Reader]) -> tuple[Pin, ...]:
    """What is needed of the log by its positions."""
    return tuple(pin for reader in found if (pin := reader.pin) is not None)


def _names(restore: PitrRestore, whose: Whose) -> bool:
    place = restore.metadata.namespace, restore.spec.database_ref.name
    return place == (whose.namespace, whose.name)


def _beginner(db: Database, whose: Whose) -> Reader | None:
    """A Database that has not begun yet, by what its spec.bootstrap says."""
    wanted = db.spec.bootstrap
    own = db.metadata.uid == whose.uid
    if wanted is None or own or db.status.system_id or db.metadata.is_deleting:
        return None
    if wanted.backup_ref is not None and db.metadata.namespace == whose.namespace:
        return Reader(backup=wanted.backup_ref.name)
    if not _reads_archive(db, wanted, whose):
        return None
    return Reader(wish=wish_from(wanted.restore) if wanted.restore is not None else Wish())


def _reads_archive(db: Database, wanted: Bootstrap, whose: Whose) -> bool:
    if wanted.restore is None:
        place = db.metadata.namespace, db.metadata.name
        return wanted.latest is not None and place == (whose.namespace, whose.name)
    origin = wanted.restore.from_
    if origin.database_uid is not None:
        return origin.database_uid == whose.uid
    return (db.metadata.namespace, origin.name) == (whose.namespace, whose.name)


def _chosen(reader: Reader, backups: Sequence[Backup]) -> Iterator[str]:
    if reader.backup:
        yield reader.backup
        return
    told = reader.plan.backup_id if reader.plan is not None else None
    wanted = told or (reader.wish.backup_id if reader.wish is not None else None)
    if wanted is not None:
        yield from (each.metadata.name for each in backups if each.status.id == wanted)
    elif reader.wish is not None:
        yield from _begins_with(reader.wish, backups)


def _begins_with(wish: Wish, backups: Sequence[Backup]) -> Iterator[str]:
    """On each timeline the newest that the wish could begin with: which is on its way, and whole,
    is not known before it is planned."""
    newest: dict[int, Backup] = {}
    for each in physical(backups):
        told, timeline = each.status, each.status.timeline
        if timeline is None or told.completed_at is None or told.stop_lsn is None:
            continue
        late = wish.time is not None and told.completed_at > wish.time
        beyond = wish.lsn is not None and Lsn.parse(told.stop_lsn) > wish.lsn
        if not late and not beyond:
            newest[timeline] = each
    yield from (each.metadata.name for each in newest.values())
