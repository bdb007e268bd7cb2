"""A receiver beside a server, and a reader that knows the archive by its rules alone."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime

from component.patience import Patience
from component.servers import Server
from component.store_server import IMPATIENT
from postbase_operator.api.policies import RecoveryPoint
from postbase_operator.archive.keys import WalFolder, parse
from postbase_operator.archive.receiver import (
    APPLICATION,
    SLOT,
    ArchiveOwner,
    ReceiverConfig,
    ReceiverReport,
)
from postbase_operator.archive.wal_index import WalIndex
from postbase_operator.archive.wal_object import WalObject, decode
from postbase_operator.gateway.downloads import segment_page
from postbase_operator.objectstore.hot import HotS3Store
from postbase_operator.objectstore.settings import StoreConfig
from postbase_operator.wal.client import Replication
from postbase_operator.wal.lsn import SEGMENT_SIZE, Lsn, Segment
from postbase_operator.wal.orders import Orders
from postbase_operator.wal.receiver import Receiver
from postbase_operator.wal.standing import Standing
from postbase_operator.wal.uploader import ArchiveStore

UID = "4b1e4f5c-0000-4000-8000-000000000001"
PATIENCE = 60.0
EVERY = 0.01


def hot_store(config: StoreConfig) -> HotS3Store:
    return HotS3Store(lambda: config, IMPATIENT)


def owner_of(server: Server, counter: int = 1) -> ArchiveOwner:
    system_id = str(server.sql("SELECT system_identifier FROM pg_control_system()")[0][0])
    return ArchiveOwner(
        database_uid=UID,
        system_id=system_id,
        incarnation=f"{system_id}-{counter}",
        cluster="test",
        namespace="team",
        name="shop-main",
    )


def until(
    what: str,
    condition: Callable[[], object],
    patience: float = PATIENCE,
    *,
    every: float = EVERY,
) -> None:
    waiting = Patience(patience, every)
    while not condition():
        assert not waiting.is_over(), f"not within {patience:.0f} s: {what}"
        time.sleep(every)


def position(server: Server) -> Lsn:
    return Lsn.parse(server.sql("SELECT pg_current_wal_flush_lsn()::text")[0][0])


@dataclass
class Running:
    """A receiver in a thread."""

    server: Server
    store: ArchiveStore
    owner: ArchiveOwner
    rpo: RecoveryPoint = RecoveryPoint.ASYNC
    fallback_after_seconds: int | None = None
    kind: type[Receiver] = Receiver
    connect: Callable[[], Replication] | None = None
    standing: Standing = field(default_factory=lambda: Standing("test"))

    def __post_init__(self) -> None:
        self.config = ReceiverConfig(
            enabled=True,
            rpo=self.rpo,
            fallback_after_seconds=self.fallback_after_seconds,
            owner=self.owner,
        )
        self.orders = Orders(self.config)
        self.failure: BaseException | None = None
        self._thread = threading.Thread(target=self._run, daemon=True)

    def _run(self) -> None:
        connect = self.connect or (lambda: connected(self.server))
        receiver = self.kind(connect, self.store, self.owner, self.orders, self.standing)
        try:
            receiver.run()
        except BaseException as error:  # noqa: BLE001 - told by `ended`
            self.failure = error

    def __enter__(self) -> Running:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.orders.leave()
        self._thread.join(PATIENCE)
        assert not self._thread.is_alive(), "the receiver does not leave"

    def ended(self) -> BaseException | None:
        """Waits for its end."""
        self._thread.join(PATIENCE)
        assert not self._thread.is_alive(), "the receiver does not end"
        return self.failure

    @property
    def report(self) -> ReceiverReport:
        return self.standing.report(self.config)

    def reached(self, end: Lsn) -> None:
        """Waits until all before a position is acknowledged."""
        until(
            f"durable up to {end}; {self.report}",
            lambda: self.failure or (self.standing.durable or 0) >= end,
        )
        assert self.failure is None, self.failure

    def caught_up(self) -> Lsn:
        end = position(self.server)
        self.reached(end)
        return end


def connected(server: Server) -> Replication:
    return Replication.connect(f"{server.conninfo} application_name={APPLICATION}")


@contextmanager
def receiving(server: Server, store: ArchiveStore, **more: object) -> Iterator[Running]:
    with Running(server, store, owner_of(server), **more) as running:  # type: ignore[arg-type]
        yield running


def index_of(store: ArchiveStore, owner: ArchiveOwner, size: int = SEGMENT_SIZE) -> WalIndex:
    keys = (parse(info.key) for info in store.list(folder(owner)))
    return WalIndex([key for key in keys if key is not None], size)


def object_of(store: ArchiveStore, key: object) -> WalObject:
    return decode(store.get(str(key)))


def archived(store: ArchiveStore, owner: ArchiveOwner, segment: Segment) -> bytes:
    """What the archive has of a segment, from its beginning to the first hole."""
    data = bytearray()
    for piece in index_of(store, owner, segment.size).cover(segment):
        found = object_of(store, piece.key)
        begin = piece.start - found.header.start_lsn
        data += found.raw()[begin : begin + (piece.end - piece.start)]
    return bytes(data)


def local(server: Server, segment: Segment) -> bytes:
    return (server.data / "pg_wal" / segment.name).read_bytes()


def slot_position(server: Server) -> Lsn:
    query = "SELECT restart_lsn::text FROM pg_replication_slots WHERE slot_name = %s"
    rows = server.sql(query, SLOT)
    return Lsn.parse(rows[0][0])


def check_list(running: Running, store: HotS3Store, size: int = SEGMENT_SIZE) -> None:
    """What `GET .../pitr/wal` tells of this archive is what is in it: names, times and totals."""
    owner = running.owner

    def stored() -> dict[str, datetime]:
        index = index_of(store, owner, size)
        found = {str(key): segment.name for segment, key in index.segments.items()}
        return {found[i.key]: i.modified for i in store.list(folder(owner)) if i.key in found}

    until(
        f"as many as were counted: {running.report.segments_archived}, {sorted(stored())}",
        lambda: running.failure or running.report.segments_archived == len(stored()),
    )

    def differs() -> object:
        told, there = list(_pages(store, owner, running.report.last_segment)), stored()
        same = told == sorted(there.items(), reverse=True)
        return None if same else ({*told} ^ {*there.items()} or "their order")

    # A segment is in the bucket a moment before its receiver, which is told by another thread of
    # its own, names it. What is told for good must be what is there.
    until(
        f"told as it is stored; at first otherwise: {differs()}",
        lambda: running.failure or not differs(),
    )
    assert running.failure is None, running.failure


def _pages(
    store: HotS3Store, owner: ArchiveOwner, last: str | None
) -> Iterator[tuple[str, datetime]]:
    begin = last
    while begin is not None:
        page = segment_page(store, owner.archive, begin, 3)
        yield from ((each.name, each.at) for each in page.segments)
        begin = page.following


def folder(owner: ArchiveOwner) -> str:
    return str(WalFolder(owner.archive))
