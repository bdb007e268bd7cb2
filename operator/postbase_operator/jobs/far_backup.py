"""A physical backup that is taken beside the server, where no Job can get in (Railway).

A child of the receiver's process, with memory of its own; the program is the Job's. It ends with
its parent, whatever becomes of that. Its last word goes to standard output, its log to where its
parent's goes.

Its service may be deployed anew at any moment, and then another process finds the same order while
this one may still run. So an attempt is claimed: progress.json is made by whoever takes it, and by
nobody twice. What is claimed and not whole was cut off, and is no attempt for anybody any more.
"""

from __future__ import annotations

import logging
import os
import signal
import sys
import threading
import uuid
from datetime import UTC, datetime

from postbase_operator.archive.backup_order import (
    ORDER,
    BackupKeys,
    BackupOrder,
    BackupWord,
    keys_in,
)
from postbase_operator.archive.keys import PhysicalFolder
from postbase_operator.archive.receiver_environment import one_line
from postbase_operator.archive.record import Progress, RunPart, UnreadableRecord
from postbase_operator.errors import Conflict, PostbaseError
from postbase_operator.jobs import desk, physical, wal_receiver
from postbase_operator.jobs.desk import Failed, Reporter
from postbase_operator.jobs.far_receiver import from_outside
from postbase_operator.jobs.logical import is_recorded
from postbase_operator.objectstore.s3 import S3Store
from postbase_operator.objectstore.settings import StoreConfig
from postbase_operator.objectstore.store import NotFound, ObjectStore
from postbase_operator.wal.client import Replication, by_password
from postbase_operator.wal.physical import Connect

INTERRUPTED = (
    "the process that took it has ended in the middle: its service on Railway was started again, "
    "or deployed"
)


def make(order: BackupOrder, store: ObjectStore, connect: Connect) -> None:
    """This attempt, once. Returns when the record is durable. Raises Failed (Interrupted) where
    another process has begun it, and what the store raises."""
    started, place = datetime.now(UTC), order.run.place
    if not isinstance(place, PhysicalFolder):
        raise Failed("BackupFailed", f"{order.run.method} is not physical")
    taker = uuid.uuid4().hex
    reporter = Reporter(store, place.progress, attempt=order.attempt, taker=taker)
    if is_recorded(store, str(place.record)):
        return reporter.close()
    claim(order, store, place, taker)
    if is_recorded(store, str(place.record)):  # by who has ended since the look before the claim
        return reporter.close()
    clear_but(store, place)
    physical.copy(order.run, started, place, store, connect, reporter)


def claim(order: BackupOrder, store: ObjectStore, place: PhysicalFolder, taker: str) -> None:
    """Nobody takes this attempt, or an earlier one, from here on but who has claimed it. Nothing
    else is touched: one that is just whole may lie there. Raises Failed (Interrupted)."""
    key = str(place.progress)
    held = _claimed(store, key)
    if held is not None and held >= order.attempt:
        raise Failed("Interrupted", INTERRUPTED)
    if held is not None:
        store.delete_many([key])
    mark = Progress(
        phase=RunPart.STARTING, at=datetime.now(UTC), attempt=order.attempt, taker=taker
    )
    try:
        store.put(key, mark.to_bytes())
    except Conflict:  # it is there, or who had it has taken it away in this moment
        raise Failed("Interrupted", INTERRUPTED) from None


def clear_but(store: ObjectStore, place: PhysicalFolder) -> None:
    """All goes but the claim: of attempts before this one, of which none was whole."""
    key = str(place.progress)
    store.delete_many(each.key for each in list(store.list(place.prefix)) if each.key != key)


def _claimed(store: ObjectStore, key: str) -> int | None:
    """By which attempt; 0: by one that does not say so. None: by none."""
    try:
        return Progress.from_bytes(store.get(key)).attempt or 0
    except NotFound:
        return None
    except UnreadableRecord:
        return 0


def back_up(order: BackupOrder, keys: BackupKeys) -> None:
    config, run = from_outside(StoreConfig.from_mapping(keys.store)), order.run

    def connect() -> Replication:
        way_in = by_password(run.host, run.port, keys.password, "postbase backup")
        return Replication.connect(way_in)

    make(order, S3Store(lambda: config), connect)


def main() -> int:
    """0 once its last word is told, well or badly."""
    signal.pthread_sigmask(signal.SIG_UNBLOCK, wal_receiver.ENDS)
    threading.Thread(target=_end_with_parent, name="parent", daemon=True).start()
    logging.basicConfig(level="INFO", format="%(asctime)s %(message)s")
    order = BackupOrder.from_bytes(os.environ.get(ORDER, "").encode())
    reason = message = ""
    try:
        back_up(order, keys_in(os.environ))
    except PostbaseError as error:
        word = desk.last_word(error)
        reason, message = word.reason, word.message
    said = BackupWord(
        id=order.run.id,
        attempt=order.attempt,
        at=datetime.now(UTC),
        ended=True,
        reason=reason,
        message=message,
    )
    sys.stdout.write(one_line(said))
    sys.stdout.flush()
    return 0


def _end_with_parent() -> None:
    """Who has started it holds the other end of standard input, and writes nothing."""
    while os.read(0, 1):
        pass
    os._exit(1)


if __name__ == "__main__":
    code = main()
    sys.stderr.flush()
    os._exit(code)  # threads of the store's client are not waited for
