"""The WAL receiver: connects, finds where to go on, streams into the archive, and starts again.

All that it must remember is in the bucket and in the server's slot: it may be killed at any moment.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from postbase_operator.api.database_status import ReceiverState
from postbase_operator.archive.receiver import SLOT, ArchiveOwner, FailureReason
from postbase_operator.archive.record import UnreadableRecord
from postbase_operator.archive.wal_index import WalIndex
from postbase_operator.errors import Conflict, Denied, InvalidSpec, PostbaseError, Unavailable
from postbase_operator.objectstore.store import NotFound
from postbase_operator.wal import claim
from postbase_operator.wal.assembly import Merged, merge_stored, unmerged
from postbase_operator.wal.claim import Slot
from postbase_operator.wal.client import (
    EndOfTimeline,
    Replication,
    StreamEnd,
    SystemIdentity,
    WalStream,
)
from postbase_operator.wal.connection import ServerError
from postbase_operator.wal.health import Refused
from postbase_operator.wal.lsn import Lsn, Segment
from postbase_operator.wal.orders import Orders
from postbase_operator.wal.origin import Origin, last_whole, origins
from postbase_operator.wal.protocol import WalMessage
from postbase_operator.wal.standing import Standing
from postbase_operator.wal.streaming import ZERO_LANES, Streaming
from postbase_operator.wal.timeline import Lineage
from postbase_operator.wal.uploader import Abandoned, ArchiveStore, Place, Uploader

logger = logging.getLogger(__name__)
FIRST_PAUSE, LONGEST_PAUSE = 0.1, 5.0
REFUSED_PAUSE = 30.0
"""After what no repetition will mend; a person may."""
THREADS = ZERO_LANES + 2
"""For chunks, merges and deletions."""

ANSWER_SECONDS = 10.0
"""How long a server may take for the first word of a stream."""

Connect = Callable[[], Replication]


@dataclass(frozen=True, slots=True)
class _Begun:
    """A stream, and where it began."""

    stream: WalStream
    origin: Origin
    first: WalMessage | StreamEnd | None


class Receiver:
    """One server's log into one archive. `run` in one thread; all else from any."""

    streaming: type[Streaming] = Streaming

    def __init__(
        self,
        connect: Connect,
        store: ArchiveStore,
        owner: ArchiveOwner,
        orders: Orders,
        standing: Standing,
    ) -> None:
        self._connect, self._store, self._owner = connect, store, owner
        self._orders, self.standing = orders, standing
        self._slot = Slot(SLOT)
        self._pause = FIRST_PAUSE
        self._closed = False
        """The connection was ended in a planned stop: it is not to be made again."""

    def run(self) -> None:
        """Until it is told to leave."""
        while not self._orders.leaving:
            self._orders.pause(LONGEST_PAUSE if self._closed else self._tried())

    def _tried(self) -> float:
        """One session; how long to wait until the next one."""
        try:
            self._session()
        except Refused as error:
            self._failed(error)
            return REFUSED_PAUSE
        except (Unavailable, Denied, Conflict, InvalidSpec, UnreadableRecord, Abandoned) as error:
            self._failed(error)
            self._pause = min(LONGEST_PAUSE, self._pause * 2)
            return self._pause
        self._pause = FIRST_PAUSE
        return FIRST_PAUSE

    def _failed(self, error: PostbaseError) -> None:
        if self._orders.leaving:
            return
        self.standing.state = ReceiverState.ERROR
        self.standing.health.failed(error)
        logger.warning("%s: %s", type(error).__name__, error)

    def _session(self) -> None:
        with self._connect() as replication:
            identity = replication.identify()
            claim.check_identity(identity, self._owner)
            self._slot.ensure(replication)
            claim.take(self._store, self._owner)
            size = replication.segment_size()
            with self._uploading(size) as uploader:
                self._follow(replication, uploader, identity)

    def _follow(
        self, replication: Replication, uploader: Uploader, identity: SystemIdentity
    ) -> None:
        """The server's log from timeline to timeline, until the stream ends."""
        lineage = claim.lineage_of(replication, self._store, self._owner, identity.timeline)
        index = claim.listed(self._store, self._owner, uploader.place.segment_size)
        self.standing.health.answered()
        claim.check_progress(index, identity)
        if whole := last_whole(index, lineage):
            self.standing.last_segment = whole.name
        begun = self._begin(replication, index, lineage, identity.flushed)
        self._clear_up(uploader, index, begun.origin)
        promised = Lsn(0)
        while True:
            end = self._stream(begun, uploader, index, promised)
            if not isinstance(end, EndOfTimeline):
                return
            claim.lineage_of(replication, self._store, self._owner, end.next_timeline)
            begin = Segment.containing(end.start, end.next_timeline, index.segment_size).start
            origin = Origin(end.next_timeline, begin, begin)
            promised = end.start
            begun = _Begun(replication.stream(begin, end.next_timeline, SLOT), origin, None)

    def _begin(
        self, replication: Replication, index: WalIndex, lineage: Lineage, flushed: Lsn
    ) -> _Begun:
        """Of the places to go on from the first that the server still has."""
        *wanted, anew = origins(index, lineage, self._slot.kept, flushed)
        for origin in wanted:
            try:
                return self._opened(replication, origin)
            except ServerError as error:
                if error.sqlstate != claim.UNDEFINED_FILE:
                    raise
                logger.warning("the server has no log from %s on: %s", origin.begin, error)
        begun = self._opened(replication, anew)
        if any(run.end < anew.begin for each in lineage.timelines for run in index.runs(each)):
            self._tell_gap(index, anew)
        return begun

    def _opened(self, replication: Replication, origin: Origin) -> _Begun:
        """Raises ServerError where the server lacks that part: it says so only when asked."""
        stream = replication.stream(origin.begin, origin.timeline, SLOT)
        stream.send_status(origin.begin, Lsn(0), reply=True)
        return _Begun(stream, origin, stream.receive(ANSWER_SECONDS))

    def _tell_gap(self, index: WalIndex, anew: Origin) -> None:
        self.standing.slot_lost = True
        ends = [run.end for timeline in index.timelines for run in index.runs(timeline)]
        why = (
            f"the server had removed its log before {anew.begin}, and the archive ends at "
            f"{max(ends)}: what lies between cannot be restored"
        )
        self.standing.health.failed(Refused(FailureReason.SLOT_LOST, why))
        logger.error("%s", why)

    def _stream(
        self, begun: _Begun, uploader: Uploader, index: WalIndex, promised: Lsn
    ) -> StreamEnd | None:
        last = claim.last_header(self._store, index, begun.origin)
        if last is not None:
            self.standing.totals = last.totals
        elif not promised:  # no other timeline was followed to here
            known = claim.totals_before(self._store, index, begun.origin)
            self.standing.totals = known or self.standing.totals
        tools = (self._orders, self.standing)
        streaming = self.streaming(begun.stream, begun.origin, last, index, uploader, tools)
        streaming.promise(promised)
        if begun.first is not None:
            streaming.take(begun.first)
        self.standing.state = ReceiverState.RUNNING
        end = streaming.run()
        if end is None and not self._orders.leaving:
            self._closed = True
            self.standing.state = ReceiverState.STOPPED
            logger.warning("ended before all was archived: the rest stays with the server")
        return end

    def _clear_up(self, uploader: Uploader, index: WalIndex, origin: Origin) -> None:
        """Segments that a crash has left in chunks are joined, one after another."""
        until = Segment.containing(origin.durable, origin.timeline, index.segment_size)
        for segment in unmerged(index, until):
            uploader.submit(lambda segment=segment: self._join(uploader, index, segment))  # type: ignore[misc]

    def _join(self, uploader: Uploader, index: WalIndex, segment: Segment) -> Merged | None:
        try:
            return merge_stored(uploader, index, segment)
        except (UnreadableRecord, NotFound) as error:
            self.standing.health.failed(error)
            return None

    @contextlib.contextmanager
    def _uploading(self, segment_size: int) -> Iterator[Uploader]:
        place = Place(
            self._owner.archive, self._owner.system_id, segment_size, self.standing.writer
        )
        uploader = Uploader(self._store, place, self.standing.health, THREADS)
        self._orders.wake = uploader.rouse
        try:
            yield uploader
        finally:
            self._orders.wake = lambda: None
            uploader.close()
