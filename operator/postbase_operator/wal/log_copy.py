"""The log from a backup's start to its stop, as whole segments, while the backup runs.

The stop is known only at the end. Until then all is kept that comes; while the store is behind
nothing is read, but the server hears from us, or it would end the stream.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait

from postbase_operator.archive.record import StoredObject
from postbase_operator.errors import Unavailable
from postbase_operator.wal.client import EndOfTimeline, Replication, ServerStopped, WalStream
from postbase_operator.wal.connection import SERVICE
from postbase_operator.wal.lsn import Lsn, Segment
from postbase_operator.wal.protocol import Keepalive, ProtocolError, WalData

STATUS_SECONDS = 1.0
IN_FLIGHT = 2
"""Segments that wait for the store, beside the one that is being received."""

Put = Callable[[Segment, bytes], StoredObject]
"""Stores a whole segment; it is durable when it returns."""


class LogCopy:
    """Receives from `first` on in a thread of its own, and stores by `put` in another."""

    def __init__(self, replication: Replication, slot: str, first: Segment, put: Put) -> None:
        self._replication, self._slot, self._next, self._put = replication, slot, first, put
        self._stop: Lsn | None = None
        self._cancelled = threading.Event()
        self._buffer = bytearray()
        self._durable = first.start
        self._waiting: deque[tuple[Segment, Future[StoredObject]]] = deque()
        self._stored: list[StoredObject] = []
        self._pool = ThreadPoolExecutor(2, thread_name_prefix="log")
        self._run = self._pool.submit(self._receive)

    def finish(self, stop: Lsn) -> tuple[StoredObject, ...]:
        """The segments up to the one with `stop`, and what came after; raises what went wrong."""
        self._stop = stop
        try:
            self._run.result()
        finally:
            self._pool.shutdown()
        return tuple(self._stored)

    def check(self) -> None:
        """Raises if the copy has failed: the backup that goes on beside it is for nothing."""
        if self._run.done():
            self._run.result()

    def cancel(self) -> None:
        """Ends within STATUS_SECONDS and what the store takes; its errors are of no interest."""
        self._cancelled.set()
        self._pool.shutdown(cancel_futures=True)

    @property
    def _position(self) -> Lsn:
        return Lsn(self._next.start + len(self._buffer))

    def _receive(self) -> None:
        stream = self._replication.stream(self._position, self._next.timeline, self._slot)
        due = time.monotonic()
        while not self._cancelled.is_set() and not self._complete():
            asked = self._step(stream, max(0.0, due - time.monotonic()))
            self._collect()
            if asked or time.monotonic() >= due:
                stream.send_status(self._position, self._durable)
                due = time.monotonic() + STATUS_SECONDS
        if self._buffer and not self._cancelled.is_set():
            # The rest of the segment is of no concern to this backup; a short file is refused.
            self._store(bytes(self._buffer.ljust(self._next.size, b"\0")))
        while self._waiting and not self._cancelled.is_set():
            self._settle()

    def _complete(self) -> bool:
        return self._stop is not None and self._position >= self._stop

    def _step(self, stream: WalStream, timeout: float) -> bool:
        """Waits for the server, or for the store if that is behind; True if an answer is asked."""
        if len(self._waiting) >= IN_FLIGHT:
            wait([self._waiting[0][1]], timeout=timeout)
            return False
        match stream.receive(timeout):
            case WalData() as message:
                self._append(message)
            case Keepalive(reply_requested=asked):
                return asked
            case EndOfTimeline() | ServerStopped() as end:
                raise Unavailable(SERVICE, f"the log ended while a backup ran: {end}")
            case None:
                pass
        return False

    def _append(self, message: WalData) -> None:
        if message.start != self._position:
            raise ProtocolError(f"the log goes on at {message.start}, not at {self._position}")
        self._buffer += message.data
        while len(self._buffer) >= self._next.size:
            whole = bytes(self._buffer[: self._next.size])
            del self._buffer[: self._next.size]
            self._store(whole)

    def _store(self, whole: bytes) -> None:
        segment = self._next
        self._next = Segment(segment.timeline, segment.number + 1, segment.size)
        self._waiting.append((segment, self._pool.submit(self._put, segment, whole)))

    def _collect(self) -> None:
        while self._waiting and self._waiting[0][1].done():
            self._settle()

    def _settle(self) -> None:
        """The oldest of the waiting segments is durable, or raises."""
        segment, stored = self._waiting.popleft()
        self._stored.append(stored.result())
        self._durable = segment.end
