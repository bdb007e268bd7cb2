"""What is done in the archive before any byte of the log goes there: whose it is, what it holds."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime

from postbase_operator.archive.keys import HistoryKey, OwnerKey, WalFolder, parse
from postbase_operator.archive.receiver import ArchiveOwner, FailureReason
from postbase_operator.archive.record import Owner, UnreadableRecord
from postbase_operator.archive.wal_index import WalIndex
from postbase_operator.archive.wal_object import Totals, WalHeader, decode
from postbase_operator.errors import InvalidSpec
from postbase_operator.objectstore.store import AlreadyExists, NotFound
from postbase_operator.wal.client import Replication, SystemIdentity
from postbase_operator.wal.connection import ServerError
from postbase_operator.wal.health import Refused
from postbase_operator.wal.lsn import Lsn, Segment, history_name
from postbase_operator.wal.origin import Origin, archived_end
from postbase_operator.wal.timeline import Lineage
from postbase_operator.wal.timeline import parse as parse_history
from postbase_operator.wal.uploader import ArchiveStore

FIRST_TIMELINE = 1
DUPLICATE_OBJECT, UNDEFINED_FILE = "42710", "58P01"


def take(store: ArchiveStore, owner: ArchiveOwner) -> None:
    """The archive is ours when it returns; Refused (OwnerConflict) where it is another's."""
    ours = owner.at(datetime.now(UTC))
    key = str(OwnerKey(owner.archive))
    try:
        store.put(key, ours.to_bytes())
        return
    except AlreadyExists:
        pass
    try:
        theirs = Owner.from_bytes(store.get(key))
    except UnreadableRecord as error:
        raise Refused(FailureReason.OWNER_CONFLICT, f"{key} cannot be read: {error}") from None
    if not ours.is_same(theirs):
        raise Refused(
            FailureReason.OWNER_CONFLICT,
            f"{key} names another owner: {theirs.namespace}/{theirs.name} of cluster "
            f"{theirs.cluster}, system {theirs.system_id}",
        )


def listed(store: ArchiveStore, owner: ArchiveOwner, segment_size: int) -> WalIndex:
    """All that the archive has of the log."""
    keys = (parse(info.key) for info in store.list(str(WalFolder(owner.archive))))
    return WalIndex([key for key in keys if key is not None], segment_size)


def lineage_of(
    replication: Replication, store: ArchiveStore, owner: ArchiveOwner, timeline: int
) -> Lineage:
    """The server's line of timelines; their histories are in the archive when it returns."""
    if timeline == FIRST_TIMELINE:
        return Lineage(timeline)
    lineage = Lineage(timeline, parse_history(replication.timeline_history(timeline)))
    for each in lineage.timelines:
        if each != FIRST_TIMELINE:
            _keep_history(
                replication, store, HistoryKey(owner.archive, each), needed=each == timeline
            )
    return lineage


def _keep_history(
    replication: Replication, store: ArchiveStore, key: HistoryKey, *, needed: bool
) -> None:
    """Refused (SplitBrain) where another history of that number is there."""
    try:
        content = replication.timeline_history(key.timeline)
    except ServerError:
        if needed:
            raise
        return  # an ancestor's, which the server no longer has: its own repeats all of it
    try:
        store.put(str(key), content)
    except AlreadyExists:
        raise Refused(
            FailureReason.SPLIT_BRAIN,
            f"{history_name(key.timeline)} is in the archive with another content: two servers "
            "have begun the same timeline",
        ) from None


def check_identity(identity: SystemIdentity, owner: ArchiveOwner) -> None:
    if identity.system_id != owner.system_id:
        raise Refused(
            FailureReason.OWNER_CONFLICT,
            f"the server is of system {identity.system_id}, the archive of {owner.system_id}",
        )


def check_progress(index: WalIndex, identity: SystemIdentity) -> None:
    """Refused (Rollback) where the server is behind what it has had archived already."""
    end = archived_end(index, identity.timeline)
    if identity.flushed < end:
        raise Refused(
            FailureReason.ROLLBACK,
            f"the server's log ends at {identity.flushed}, and the archive has timeline "
            f"{identity.timeline} up to {end}: its volume has gone back in time",
        )


def last_header(store: ArchiveStore, index: WalIndex, origin: Origin) -> WalHeader | None:
    """Of the object that ends where the archive does; None where nothing is to be followed."""
    if origin.durable == 0:
        return None
    segment = Segment.containing(origin.durable - 1, origin.timeline, index.segment_size)
    pieces = index.cover(segment)
    if not pieces or pieces[-1].end != origin.durable:
        return None
    try:
        return decode(store.get(str(pieces[-1].key))).header
    except NotFound:
        return None  # another receiver has merged it since the listing
    except UnreadableRecord as error:
        raise Refused(FailureReason.SPLIT_BRAIN, f"{pieces[-1].key}: {error}") from None


def totals_before(store: ArchiveStore, index: WalIndex, origin: Origin) -> Totals | None:
    """Of all that came, for a timeline of which nothing is to be followed: by the newest object
    that is. None where it cannot be read, or was merged since the listing: it is a figure, and
    nothing stands on it."""
    if origin.durable > origin.begin:
        return None  # there is something to be followed, which was merged
    every = [run for timeline in index.timelines for run in index.runs(timeline)]
    for run in reversed(every):
        if run.timeline == origin.timeline and run.end > origin.begin:
            continue  # behind a hole: what lies before it is sent again, and so is this
        pieces = index.cover(Segment.containing(Lsn(run.end - 1), run.timeline, index.segment_size))
        if not pieces or pieces[-1].end != run.end:
            continue
        try:
            return decode(store.get(str(pieces[-1].key))).header.totals
        except (NotFound, UnreadableRecord):
            return None
    return Totals()


def compare(header: WalHeader, prefix_sha256: str) -> None:
    """Refused (Rollback) where the server's bytes are not those that were archived."""
    if header.prefix_sha256 is not None and header.prefix_sha256 != prefix_sha256:
        raise Refused(
            FailureReason.ROLLBACK,
            f"the server's log up to {header.end} of timeline {header.timeline} is not the one "
            "that was archived: its volume has gone back in time",
        )


class Slot:
    """The server's promise to keep the log. `kept`: from where on, None where it cannot be told."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.kept: Lsn | None = None
        self.lost = False
        """The server had given up the promise before us."""

    def ensure(self, replication: Replication) -> None:
        """There is one when it returns; one that was lost is made anew."""
        self.kept = None
        try:
            replication.create_slot(self.name)
        except ServerError as error:
            if error.sqlstate != DUPLICATE_OBJECT:
                raise
        try:
            position = replication.read_slot(self.name)
        except InvalidSpec:
            return  # PostgreSQL 14 cannot tell; that a slot is lost it says when it is used
        if position is not None and position.restart is None:
            self.renew(replication)
            position = replication.read_slot(self.name)
        self.kept = position.restart if position else None

    def renew(self, replication: Replication) -> None:
        """In place of one that the server has invalidated."""
        self.lost = True
        replication.drop_slot(self.name)
        replication.create_slot(self.name)


def digest(data: bytes | bytearray) -> str:
    return hashlib.sha256(data).hexdigest()
