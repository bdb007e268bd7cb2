"""The sidecar while archiving is on: the receiver, its port, and who tells them what to do.

The configuration and the certificates are mounted files, which change in place. Switched off, this
becomes the idle process again; SIGTERM ends it with what has come by then.
"""

from __future__ import annotations

import ctypes
import gc
import logging
import os
import signal
import sys
import threading
from pathlib import Path

from postbase_operator import __version__
from postbase_operator.api.database_status import ReceiverState
from postbase_operator.archive.receiver import (
    APPLICATION,
    PORT,
    STOPPING_MARK,
    FailureReason,
    ReceiverConfig,
    ReceiverReport,
)
from postbase_operator.archive.record import UnreadableRecord
from postbase_operator.jobs import wal_receiver
from postbase_operator.jobs.receiver_port import Desk, Port
from postbase_operator.objectstore.hot import HotS3Store
from postbase_operator.objectstore.retry import Limits
from postbase_operator.objectstore.settings import Mounted
from postbase_operator.wal.client import Replication, over_socket
from postbase_operator.wal.orders import Orders
from postbase_operator.wal.receiver import Receiver
from postbase_operator.wal.standing import Standing

logger = logging.getLogger(__name__)
LIMITS = Limits(attempts=1, connect=3.0, request=20.0, idle=20.0)
"""Of one request to the store; the receiver repeats it itself, and says so meanwhile."""
LEAVES_WITHIN = 5.0
UNREADABLE_SECONDS = 10.0
"""Until a configuration is read again that says it is on, and cannot be used."""
IDLE, AGAIN = "postbase_operator", "postbase_operator.jobs.archiving"


class Folders:
    """Where the pod's files are."""

    def __init__(self, root: str) -> None:
        self.config = Path(root + wal_receiver.CONFIG)
        self.tls = Path(root + "/postbase/tls")
        self.store = Path(root + "/postbase/store")
        self.sockets = Path(root + "/var/run/postgresql")
        self.mark = Path(root + STOPPING_MARK)


class Sidecar:
    """Everything of one run of the process."""

    def __init__(self, folders: Folders, config: ReceiverConfig) -> None:
        if config.owner is None:
            raise ValueError("a receiver that is enabled has an owner")
        self._folders, self.orders = folders, Orders(config)
        self.standing = Standing(__version__)
        self.restart = threading.Event()
        self._receiver = Receiver(
            self._connect,
            HotS3Store(Mounted(folders.store), LIMITS),
            config.owner,
            self.orders,
            self.standing,
        )
        self._failed: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="receiver", daemon=True)

    def report(self) -> ReceiverReport:
        return self.standing.report(self.orders.config)

    def begin(self) -> None:
        # A mark of before: the pod did not go, only this container was replaced.
        self._folders.mark.unlink(missing_ok=True)
        self._thread.start()

    def look(self) -> str | None:
        """What to become, None to go on. Raises what has ended the receiver."""
        if self._failed is not None:
            raise self._failed
        if self._folders.mark.exists():
            self.standing.stopping = True
            self.orders.stop()
        if self.restart.is_set():
            return AGAIN
        config = self._config()
        if config is None or config == self.orders.config:
            return None
        if not config.enabled:
            return IDLE
        if config.owner != self.orders.config.owner:
            return AGAIN
        self.orders.config = config
        return None

    def end(self) -> None:
        """What has come is written, if the store takes it soon."""
        self.standing.state = ReceiverState.RESTARTING
        self.orders.leave()
        self._thread.join(LEAVES_WITHIN)

    def _run(self) -> None:
        try:
            self._receiver.run()
        except BaseException as error:
            self._failed = error
            raise

    def _connect(self) -> Replication:
        return Replication.connect(over_socket(self._folders.sockets, APPLICATION))

    def _config(self) -> ReceiverConfig | None:
        """As the file says now; None where it cannot be read, which is told."""
        try:
            return ReceiverConfig.from_bytes(self._folders.config.read_bytes())
        except (OSError, UnreadableRecord) as error:
            self.standing.health.tell(FailureReason.INVALID_CONFIG, str(error))
            return None


def main() -> int:
    signal.pthread_sigmask(signal.SIG_BLOCK, wal_receiver.ENDS)
    logging.basicConfig(level="INFO", format="%(asctime)s %(message)s")
    folders = Folders(os.environ.get(wal_receiver.ROOT, ""))
    try:
        config = ReceiverConfig.from_bytes(folders.config.read_bytes())
    except (OSError, UnreadableRecord) as error:
        logger.error("%s", error)  # noqa: TRY400 - the message says it all
        if signal.sigtimedwait(wal_receiver.ENDS, UNREADABLE_SECONDS) is None:
            wal_receiver.become(IDLE, {}, "wal-receiver")
        return 0
    if not config.enabled:
        wal_receiver.become(IDLE, {}, "wal-receiver")
    sidecar = Sidecar(folders, config)
    desk = Desk(
        folders.tls, lambda: sidecar.standing.report(sidecar.orders.config), sidecar.restart
    )
    sidecar.begin()
    port = Port(desk, int(os.environ.get("POSTBASE_RECEIVER_PORT", PORT)))
    port.begin()
    return supervise(sidecar, port)


def supervise(sidecar: Sidecar, port: Port) -> int:
    """Until SIGTERM, or until it becomes another program."""
    gc.collect()
    gc.freeze()  # what is there now stays: to walk it each second took 3 % of a core, idle
    while True:
        ended = signal.sigtimedwait(wal_receiver.ENDS, wal_receiver.LOOK_SECONDS)
        if ended is not None:
            sidecar.end()
            return 0
        port.refresh()
        trim()
        match sidecar.look():
            case None:
                continue
            case "postbase_operator" as module:
                sidecar.end()
                wal_receiver.become(module, {}, "wal-receiver")
            case module:
                sidecar.end()
                wal_receiver.become(module, {})


def trim() -> None:
    """Gives free memory back to the machine: glibc keeps it, other libraries need no telling."""
    gc.collect()
    give_back = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if give_back is not None:
        give_back(0)


if __name__ == "__main__":
    code = main()
    sys.stderr.flush()
    # A request that hangs in a thread is not waited for: it was not acknowledged.
    os._exit(code)
