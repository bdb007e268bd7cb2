"""The receiver where it is no sidecar (Railway): told by variables, and asked by nobody.

It opens no port. How far it is the server knows, which hears of every byte that is durable; why it
does not get on stands in its log, a line whenever that has changed, and again while it lasts. Other
variables come with another process.
"""

from __future__ import annotations

import gc
import logging
import os
import signal
import sys
import threading
import time
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from postbase_operator import __version__
from postbase_operator.api.database_status import ReceiverState
from postbase_operator.archive.receiver import APPLICATION, ArchiveOwner, ReceiverReport
from postbase_operator.archive.receiver_environment import CONFIG, REPORT, Told, one_line
from postbase_operator.archive.record import UnreadableRecord
from postbase_operator.archive.server_wish import WISH
from postbase_operator.errors import InvalidSpec
from postbase_operator.jobs import wal_receiver
from postbase_operator.jobs.archiving import LEAVES_WITHIN, LIMITS, UNREADABLE_SECONDS, trim
from postbase_operator.jobs.far_backups import FarBackups
from postbase_operator.objectstore.hot import HotS3Store
from postbase_operator.objectstore.settings import StoreConfig
from postbase_operator.wal.client import Replication, by_password
from postbase_operator.wal.orders import Orders
from postbase_operator.wal.receiver import Receiver
from postbase_operator.wal.standing import Standing

if TYPE_CHECKING:
    from postbase_operator.jobs.caretaker import Caretaker

logger = logging.getLogger(__name__)
SAID_AGAIN = 120.0
"""Seconds after which trouble that lasts is told again: whoever reads the last lines of a log finds
it among those of the attempts."""


class FarReceiver:
    """Everything of one run of the process."""

    def __init__(
        self,
        told: Told,
        store: StoreConfig,
        owner: ArchiveOwner,
        caretaker: Caretaker | None = None,
    ) -> None:
        """`caretaker`: who runs beside it, where somebody does."""
        self._told, self._caretaker = told, caretaker
        self.orders, self.standing = Orders(told.config), Standing(__version__)
        hot = HotS3Store(lambda: store, LIMITS)
        self._receiver = Receiver(self._connect, hot, owner, self.orders, self.standing)
        self._failed: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="receiver", daemon=True)
        self._backups = FarBackups(os.environ)
        self._said: tuple[object, ...] = ()
        self._said_at = 0.0

    def supervise(self) -> int:
        """Until SIGTERM. Raises what has ended the receiver."""
        self._thread.start()
        gc.collect()
        gc.freeze()  # as the sidecar: to walk it all each second costs a part of a core
        while signal.sigtimedwait(wal_receiver.ENDS, wal_receiver.LOOK_SECONDS) is None:
            if self._failed is not None:
                raise self._failed
            if self._caretaker is not None:
                self._caretaker.check()
            self.tell()
            self._backups.look()
            trim()
        self._backups.stop()
        self.standing.state = ReceiverState.RESTARTING
        self.orders.leave()
        self._thread.join(LEAVES_WITHIN)
        return 0

    def tell(self) -> None:
        """Its report as a line of the log, where another one is due."""
        report, now = self.standing.report(self.orders.config), time.monotonic()
        gist = gist_of(report)
        well = report.state is ReceiverState.RUNNING and report.store_failing_since is None
        if gist != self._said or (not well and now - self._said_at >= SAID_AGAIN):
            self._said, self._said_at = gist, now
            logger.info("%s%s", REPORT, one_line(report))

    def _run(self) -> None:
        try:
            self._receiver.run()
        except BaseException as error:
            self._failed = error
            raise

    def _connect(self) -> Replication:
        told = self._told
        return Replication.connect(by_password(told.host, told.port, told.password, APPLICATION))


def gist_of(report: ReceiverReport) -> tuple[object, ...]:
    """What is worth a line; figures are not."""
    failure = report.last_error
    return (
        report.state,
        report.timeline,
        report.slot_lost,
        report.store_failing_since is None,
        failure.reason if failure is not None else None,
    )


def from_outside(store: StoreConfig) -> StoreConfig:
    """The store as those reach it who are not in the cluster."""
    if not store.access_key_id:
        raise InvalidSpec(
            "objectStore.credentialsSecretRef",
            "is needed: outside of the cluster there is no pod's identity that opens the store",
        )
    return replace(store, endpoint=store.public_endpoint or store.endpoint)


def caretaker_of(environ: Mapping[str, str]) -> Caretaker | None:
    """Loaded only where there is one: it takes as much memory as the rest. Raises
    UnreadableRecord."""
    if WISH not in environ:
        return None
    from postbase_operator.jobs.caretaker import Caretaker

    return Caretaker.told(environ)


def main() -> int:
    signal.pthread_sigmask(signal.SIG_BLOCK, wal_receiver.ENDS)
    logging.basicConfig(level="INFO", format="%(asctime)s %(message)s")
    try:
        caretaker = caretaker_of(os.environ)
        if caretaker is not None:
            caretaker.begin()
            if not caretaker.archives:
                return caretaker.supervise()
        told = Told.of(os.environ)
        store = from_outside(StoreConfig.from_mapping(told.store))
        if told.config.owner is None:
            raise UnreadableRecord(CONFIG, "names no owner of the archive")
    except (UnreadableRecord, InvalidSpec) as error:
        logger.error("%s", error)  # noqa: TRY400 - the message says it all
        signal.sigtimedwait(wal_receiver.ENDS, UNREADABLE_SECONDS)
        return 1
    return FarReceiver(told, store, told.config.owner, caretaker).supervise()


if __name__ == "__main__":
    code = main()
    sys.stderr.flush()
    # A request that hangs in a thread is not waited for: it was not acknowledged.
    os._exit(code)
