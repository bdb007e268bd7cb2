"""Our receiver as a process of its own that notes how old each byte was when it was acknowledged.

python -m bench.our_receiver CONNINFO FILE Async|Zero BEAT

By the server's word: from the moment it sent a piece of the log (it sends what is flushed) until it
was told that the piece is durable. `BEAT`: seconds between heartbeats.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
from collections import deque
from datetime import UTC, datetime
from pathlib import Path

from postbase_operator.api.policies import RecoveryPoint
from postbase_operator.archive.receiver import APPLICATION, ArchiveOwner, ReceiverConfig
from postbase_operator.objectstore.hot import HotS3Store
from postbase_operator.objectstore.settings import StoreConfig
from postbase_operator.wal import streaming
from postbase_operator.wal.client import Replication, StreamEnd, WalStream
from postbase_operator.wal.lsn import Lsn
from postbase_operator.wal.orders import Orders
from postbase_operator.wal.protocol import WalData, WalMessage
from postbase_operator.wal.receiver import Receiver
from postbase_operator.wal.standing import Standing


class Watched(WalStream):
    """Remembers what was sent when, until it is acknowledged."""

    def __init__(self, stream: WalStream, ages: list[float]) -> None:
        super().__init__(stream._connection, stream._end)
        self._ages, self._sent = ages, deque[tuple[Lsn, datetime]]()

    def receive(self, timeout: float) -> WalMessage | StreamEnd | None:
        message = super().receive(timeout)
        if isinstance(message, WalData):
            self._sent.append((message.end, message.sent_at))
        return message

    def send_status(self, written: Lsn, flushed: Lsn, *, reply: bool = False) -> None:
        super().send_status(written, flushed, reply=reply)
        now = datetime.now(UTC)
        while self._sent and self._sent[0][0] <= flushed:
            _, sent_at = self._sent.popleft()
            self._ages.append((now - sent_at).total_seconds())


class Connection(Replication):
    ages: list[float]

    def stream(self, start: Lsn, timeline: int, slot: str | None = None) -> WalStream:
        return Watched(super().stream(start, timeline, slot), self.ages)


def main(conninfo: str, file: str, rpo: str, beat: str) -> None:
    streaming.HEARTBEAT_SECONDS = float(beat)
    given = json.loads(os.environ["BENCH_STORE"])
    store = HotS3Store(lambda: StoreConfig(**given))
    owner = ArchiveOwner.model_validate_json(os.environ["BENCH_OWNER"])
    orders = Orders(ReceiverConfig(enabled=True, rpo=RecoveryPoint(rpo), owner=owner))
    ages: list[float] = []

    def connect() -> Replication:
        made = Connection.connect(f"{conninfo} application_name={APPLICATION}")
        assert isinstance(made, Connection)
        made.ages = ages
        return made

    receiver = Receiver(connect, store, owner, orders, Standing("bench"))
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    running = threading.Thread(target=receiver.run)
    running.start()
    signal.sigwait({signal.SIGTERM})
    orders.leave()
    running.join()
    Path(file).write_text("".join(f"{age:.6f}\n" for age in ages))


if __name__ == "__main__":
    main(*sys.argv[1:])
