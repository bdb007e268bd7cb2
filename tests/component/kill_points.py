"""Every step that a receiver takes towards server and store, as a place where it can be killed.

Between two of these steps nothing changes that anybody else can see: to be killed anywhere is to be
killed before or after one of them.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import TypeVar

from component.receivers import connected
from component.servers import Server
from postbase_operator.objectstore.store import ObjectInfo, Stored
from postbase_operator.wal.client import (
    Replication,
    SlotPosition,
    StreamEnd,
    SystemIdentity,
    WalStream,
)
from postbase_operator.wal.lsn import Lsn
from postbase_operator.wal.protocol import WalMessage
from postbase_operator.wal.uploader import ArchiveStore

T = TypeVar("T")


KINDS = (
    (r"/wal/\w+/tail/\w+-\w+$", " a chunk"),
    (r"/wal/\w+/tail/$", " the chunks"),
    (r"/wal/\w+/[0-9A-F]{24}$", " a segment"),
    (r"/wal/\w+\.history$", " a history"),
    (r"/wal/\w+/heartbeat/\w*$", " a heartbeat"),
    (r"/wal/$", " the log"),
    (r"/owner\.json$", " the owner"),
)


def kind(step: str) -> str:
    """A step without its numbers: `before PUT a chunk`."""
    for pattern, name in KINDS:
        if re.search(pattern, step):
            return re.sub(r" v1/.*", name, step)
    return step


class Killed(BaseException):
    """Not caught anywhere: what it ends does nothing more."""


@dataclass
class Death:
    """Comes at a step by its number, or at the first of a kind; from then on no step is taken by
    any thread."""

    at: int | str | None = None
    steps: list[str] = field(default_factory=list)
    acknowledged: Lsn = field(default_factory=lambda: Lsn(0))
    """The furthest that the server was told to be durable."""
    dead: bool = False
    under_way: int = 0
    """Requests that have begun and not ended."""
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def step(self, what: str) -> None:
        with self._lock:
            if self.dead:
                raise Killed(what)
            self.steps.append(what)
            if self.at in (len(self.steps), kind(what)):
                self.dead = True
                raise Killed(what)

    def around(self, what: str, work: Callable[[], T]) -> T:
        self._count(1)
        try:
            self.step(f"before {what}")
            done = work()
            self.step(f"after {what}")
            return done
        finally:
            self._count(-1)

    def _count(self, more: int) -> None:
        with self._lock:
            self.under_way += more


class MortalStore:
    """A store whose user may be killed before and after each request."""

    def __init__(self, store: ArchiveStore, death: Death) -> None:
        self._store, self._death = store, death

    def put(self, key: str, body: bytes, *, if_absent: bool = True) -> Stored:
        return self._death.around(
            f"PUT {key}", lambda: self._store.put(key, body, if_absent=if_absent)
        )

    def get(self, key: str) -> bytes:
        return self._death.around(f"GET {key}", lambda: self._store.get(key))

    def list(self, prefix: str) -> Iterator[ObjectInfo]:
        return self._death.around(f"LIST {prefix}", lambda: iter(list(self._store.list(prefix))))

    def delete(self, key: str) -> None:
        self._death.around(f"DELETE {key}", lambda: self._store.delete(key))


class MortalReplication(Replication):
    """The same for what is asked of the server."""

    def __init__(self, server: Server, death: Death) -> None:
        death.step("before CONNECT")
        super().__init__(connected(server).connection)
        self._death = death
        death.step("after CONNECT")

    def identify(self) -> SystemIdentity:
        return self._death.around("IDENTIFY_SYSTEM", super().identify)

    def create_slot(self, name: str, *, temporary: bool = False) -> None:
        create = super().create_slot
        self._death.around("CREATE_REPLICATION_SLOT", lambda: create(name, temporary=temporary))

    def read_slot(self, name: str) -> SlotPosition | None:
        read = super().read_slot
        return self._death.around("READ_REPLICATION_SLOT", lambda: read(name))

    def timeline_history(self, timeline: int) -> bytes:
        ask = super().timeline_history
        return self._death.around("TIMELINE_HISTORY", lambda: ask(timeline))

    def stream(self, start: Lsn, timeline: int, slot: str | None = None) -> WalStream:
        begin = super().stream
        stream = self._death.around(
            f"START_REPLICATION {timeline}", lambda: begin(start, timeline, slot)
        )
        return MortalStream(stream, self._death)


class MortalStream(WalStream):
    """And for the stream: each message, each acknowledgement."""

    def __init__(self, stream: WalStream, death: Death) -> None:
        super().__init__(stream._connection, stream._end)
        self._death = death
        self._end_told = False

    def receive(self, timeout: float) -> WalMessage | StreamEnd | None:
        message = super().receive(timeout)
        first = isinstance(message, StreamEnd) and not self._end_told
        self._end_told |= first
        if first:
            self._death.step(f"after {type(message).__name__}")
        return message

    def send_status(self, written: Lsn, flushed: Lsn, *, reply: bool = False) -> None:
        if flushed == self._death.acknowledged and not reply:
            super().send_status(written, flushed, reply=reply)
            return
        self._death.step("before an acknowledgement")
        super().send_status(written, flushed, reply=reply)
        self._death.acknowledged = max(self._death.acknowledged, flushed)
        self._death.step("after an acknowledgement")
