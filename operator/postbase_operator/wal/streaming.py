"""One stream of one timeline on its way into the archive.

One thread receives and acknowledges; what takes time is done by the uploader's. The server is told
only what is durable without a hole. While memory is full nothing is received, but the server goes
on hearing from us.
"""

from __future__ import annotations

import time
from datetime import timedelta

from postbase_operator.api.policies import RecoveryPoint
from postbase_operator.archive.keys import HeartbeatKey
from postbase_operator.archive.wal_index import WalIndex
from postbase_operator.archive.wal_object import Totals, WalHeader
from postbase_operator.wal import claim
from postbase_operator.wal.assembly import Assembly, Merged, merge, needless, replaced
from postbase_operator.wal.chain import Chain
from postbase_operator.wal.chunks import Chunk, Cutter, Window
from postbase_operator.wal.client import EndOfTimeline, ServerStopped, StreamEnd, WalStream
from postbase_operator.wal.coverage import Coverage
from postbase_operator.wal.lsn import Lsn
from postbase_operator.wal.orders import Orders
from postbase_operator.wal.origin import Origin
from postbase_operator.wal.protocol import EPOCH, WalData, WalMessage
from postbase_operator.wal.standing import Standing
from postbase_operator.wal.uploader import Packed, Uploader

STATUS_SECONDS = 1.0
LEAVE_SECONDS = 2.0
"""How long a receiver that is told to end waits for the store."""
ASYNC_LANES, ZERO_LANES = 4, 8
"""Writes of chunks on their way at a time."""
MEMORY = 40 << 20
"""Bytes of the log that are held; from then on nothing is received."""
MESSAGES = 256
"""Received before anything else is looked at."""
HEARTBEAT_SECONDS = 600.0
GRACE_SECONDS = 60.0
"""How long chunks outlive the object that replaces them: somebody may be reading them."""
GIVE_UP_SECONDS = 20.0
"""A planned stop waits so long for a store that does not serve."""
ZERO_RESERVE = 30.0
"""Seconds of the pod's grace that a planned stop under Zero leaves to the server."""
NOTHING = Lsn(0)
"""As a flushed position: the server takes it for no word at all."""
EMPTY = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
"""sha256 of nothing."""


class Streaming:
    """Made for a stream that has begun at an origin; `last` is the archive's last word before."""

    def __init__(
        self,
        stream: WalStream,
        origin: Origin,
        last: WalHeader | None,
        index: WalIndex,
        uploader: Uploader,
        tools: tuple[Orders, Standing],
    ) -> None:
        self._stream, self._origin, self._last = stream, origin, last
        self._index, self._uploader = index, uploader
        self._orders, self._standing = tools
        place = uploader.place
        self._cutter = Cutter(origin.timeline, origin.begin, origin.durable, place.segment_size)
        self._chain = Chain(origin.durable)
        self._coverage = Coverage(last.sent_at if last else EPOCH)
        self._assembly = Assembly()
        self._totals = self._standing.totals
        """With what is on its way; those of the standing are the archive's."""
        self._promised = NOTHING
        """Durable by another timeline."""
        self._compared = origin.begin == origin.durable
        self._in_flight = 0
        self._held = self._merging = 0
        self._durable_parts: list[Packed] = []
        self._needless = [(time.monotonic() + GRACE_SECONDS, replaced(index))]
        self._beats = list(index.heartbeats(origin.timeline))
        self._beat_at = EPOCH
        self._is_back = any(other != origin.timeline for other in index.timelines)
        """There is a branch that may look newer: one heartbeat says that this one is written."""
        self._told = (NOTHING, 0.0)
        self._end: StreamEnd | None = None
        self._left_at: float | None = None

    def promise(self, position: Lsn) -> None:
        """All before a position is durable, on a timeline that this one came from."""
        self._promised = position

    def run(self) -> StreamEnd | None:
        """Until the stream has ended and all of it is durable; None where it was broken off."""
        while True:
            self._collect()
            now = time.monotonic()
            self._cut(now)
            self._tell(now)
            if self._end is not None and self._is_settled:
                return self._end
            if self._breaks_off(now):
                return None
            self._tidy(now)
            self._listen(now)

    @property
    def acknowledged(self) -> Lsn:
        """What the server is told to be durable."""
        if self._is_first or not self._compared:
            return self._promised  # before its first byte nothing is in the archive
        return max(self._chain.durable, self._promised)

    @property
    def _is_settled(self) -> bool:
        return self._compared and self._chain.since is None and not self._cutter.pending

    @property
    def _is_zero(self) -> bool:
        return self._orders.config.rpo is RecoveryPoint.ZERO

    @property
    def _is_first(self) -> bool:
        """Nothing is there yet that a later run could be followed to. What is first is written
        alone: where a kill left the second without it, nobody could tell that it is missing."""
        return self._origin.fresh and self._chain.durable == self._origin.durable

    @property
    def _is_full(self) -> bool:
        if self._is_first and self._in_flight:
            return True
        held = self._held + self._cutter.pending + self._assembly.held + self._merging
        return held >= MEMORY

    def _listen(self, now: float) -> None:
        """Waits for the server, for the store, or until something is due."""
        read = not self._is_full
        self._stream.wait(self._patience(now), self._uploader.wake, read=read)
        if not read or self._end is not None:
            return
        for _ in range(MESSAGES):
            message = self._stream.receive(0)
            if message is not None:
                self.take(message)
            if message is None or self._end is not None or self._is_full:
                return

    def take(self, message: WalMessage | StreamEnd) -> None:
        """What the server has said."""
        if isinstance(message, EndOfTimeline | ServerStopped):
            self._end = message
            return
        self._coverage.note(message.flushed, message.sent_at)
        self._standing.server = message.flushed
        if isinstance(message, WalData):
            for chunk in self._cutter.add(message, time.monotonic()):
                self._send(chunk)
        elif message.reply_requested:
            self._told = (NOTHING, 0.0)

    def _patience(self, now: float) -> float:
        """Seconds until something is due by itself."""
        until = self._told[1] + STATUS_SECONDS
        if self._cutter.since is not None and self._in_flight < self._lanes:
            until = min(until, self._cutter.since + self._window)
        return max(0.0, until - now)

    @property
    def _lanes(self) -> int:
        if self._is_first:
            return 1
        return ZERO_LANES if self._is_zero else ASYNC_LANES

    @property
    def _window(self) -> float:
        return Window(self._is_zero).seconds(self._standing.health.put_seconds)

    def _cut(self, now: float) -> None:
        """Sends what is pending if it has waited enough and there is a lane for it.

        While all lanes are taken it grows instead: a slow store gets fewer and larger objects.
        """
        ends = self._end is not None or self._orders.leaving
        if self._in_flight < self._lanes and (ends or self._cutter.is_due(now, self._window)):
            for chunk in self._cutter.cut():
                self._send(chunk)
        self._standing.received = self._cutter.position

    def _send(self, chunk: Chunk) -> None:
        place = chunk.place
        if place.stored:
            self._compare(chunk)
            if place.is_whole:
                return
        else:
            self._chain.begin(place.start, place.end, chunk.since)
            self._totals = Totals(
                received=self._totals.received + len(chunk.data),
                segments=self._totals.segments + (place.end == place.segment.end),
            )
        box, totals, sent_at = [chunk], self._totals, self._coverage.until(place.end)
        self._in_flight += 1
        self._held += len(chunk.data)
        self._uploader.submit(lambda: self._uploader.store_chunk(box, sent_at, totals))

    def _compare(self, chunk: Chunk) -> None:
        """What the archive has against what the server has; until then nothing is promised."""
        if chunk.place.end == self._origin.durable:
            if self._last is not None:
                claim.compare(self._last, chunk.prefix_sha256 or claim.digest(chunk.data))
            self._compared = True

    def _collect(self) -> None:
        """What the uploader's threads have come to."""
        for result in self._uploader.finished():
            match result:
                case Packed() as part:
                    self._in_flight -= 1
                    self._held -= part.header.size
                    self._is_packed(part)
                case Merged(segment, chunks, size):
                    self._merging -= size
                    if chunks:
                        self._needless.append((time.monotonic() + GRACE_SECONDS, chunks))
                    self._standing.archived(segment)
        standing = self._standing
        durable = self._chain.durable
        standing.since = self._chain.since if self._chain.since is not None else self._cutter.since
        standing.durable, standing.timeline = self.acknowledged or None, self._origin.timeline
        standing.covered_until = self._coverage.settle(durable)

    def _is_packed(self, part: Packed) -> None:
        place = part.place
        if not place.stored:
            self._chain.done(place.start, place.end)
            self._durable_parts.append(part)
            self._note_durable()
        if place.is_whole:
            self._standing.archived(place.segment)
        elif (parts := self._assembly.add(part)) is not None:
            ours = [self._uploader.key_of(each.place) for each in parts if not each.place.stored]
            self._merging += sum(len(each.frame) for each in parts)
            chunks = (*needless(self._index, place.segment), *ours)
            self._uploader.submit(lambda: merge(self._uploader, parts, chunks))

    def _note_durable(self) -> None:
        """Of all that is durable without a hole: the last commit, and how much it is."""
        durable = self._chain.durable
        done = [part for part in self._durable_parts if part.place.end <= durable]
        self._durable_parts = [part for part in self._durable_parts if part.place.end > durable]
        for part in sorted(done, key=lambda part: part.place.end):
            self._standing.totals = part.header.totals
            if part.header.commits is not None:
                self._standing.last_commit_at = part.header.commits.last

    def _tell(self, now: float) -> None:
        """The server's status: at once when more is durable, else every second.

        Where all is durable it is asked to answer: until when that was so is known by its clock.
        """
        acknowledged, (told, at) = self.acknowledged, self._told
        if acknowledged != told or now - at >= STATUS_SECONDS:
            asks = now - at >= STATUS_SECONDS and self._is_settled and not self._end
            self._stream.send_status(self._cutter.position, acknowledged, reply=asks)
            self._told = (acknowledged, now)

    def _tidy(self, now: float) -> None:
        """Chunks that have been replaced go; a heartbeat when nothing was written for long, and
        one at the beginning where other timelines have log too: after an undo a server may write
        nothing for hours, and whoever asks for all that there is must not get what was left."""
        while self._needless and self._needless[0][0] <= now:
            _, keys = self._needless.pop(0)
            self._uploader.submit(lambda keys=keys: self._uploader.delete(keys))  # type: ignore[misc]
        idle = now - self._standing.health.last_put >= HEARTBEAT_SECONDS
        covered, before = self._standing.covered_until, self._last.sent_at if self._last else EPOCH
        if covered is None or not self._is_settled:
            return
        if not idle and not (self._is_back and covered > before):
            return
        if covered - self._beat_at >= timedelta(seconds=HEARTBEAT_SECONDS / 2):
            self._beat_at = covered
            self._beat()

    def _beat(self) -> None:
        place, position = self._uploader.place, self._chain.durable
        key = HeartbeatKey(place.archive, self._origin.timeline, position)
        header = WalHeader(
            system_id=place.system_id,
            timeline=self._origin.timeline,
            start=str(position),
            end=str(position),
            size=0,
            sha256=EMPTY,
            totals=self._totals,
            sent_at=self._beat_at,
            writer=place.writer,
        )
        former = [beat for beat in self._beats if beat != key]
        self._beats, self._is_back = [key], False
        self._uploader.submit(lambda: self._uploader.beat(key, header, former))

    def _breaks_off(self, now: float) -> bool:
        """Whether to end before all is durable: it stays with the server."""
        orders = self._orders
        if orders.leaving:
            self._left_at = self._left_at or now
            return self._is_settled or now - self._left_at >= LEAVE_SECONDS
        if orders.stopping_since is None or self._is_settled:
            return False
        if self._is_zero:
            return now - orders.stopping_since >= orders.config.grace_seconds - ZERO_RESERVE
        return now - max(orders.stopping_since, self._standing.health.last_put) >= GIVE_UP_SECONDS
