"""What every Job has: its task, its store, a way to tell how far it is, and a last word.

The last word goes into the container's termination message, from where the kubelet carries it into
the pod's status: a Job needs no right in the cluster for it.
"""

from __future__ import annotations

import errno
import logging
import os
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from postbase_operator.archive.keys import LogicalProgressKey, PhysicalProgressKey
from postbase_operator.archive.load_run import LoadRun
from postbase_operator.archive.record import Progress, RunPart, UnreadableRecord
from postbase_operator.archive.run import VARIABLE, BackupRun, FillRun, LastWord
from postbase_operator.desired import names
from postbase_operator.errors import Conflict, Denied, InvalidSpec, PostbaseError, Unavailable
from postbase_operator.objectstore.s3 import S3Store
from postbase_operator.objectstore.settings import Mounted
from postbase_operator.objectstore.store import ObjectStore, StoreUnavailable
from postbase_operator.postgres.faults import POSTGRESQL, ServerRefused
from postbase_operator.wal.manifest import ChecksumMismatch

logger = logging.getLogger(__name__)
LAST_WORD = Path("/dev/termination-log")
TOLD_EVERY = 5.0
"""Seconds between two reports of progress."""


class Failed(PostbaseError):
    """The run has failed; `reason` is the word of the Backup's condition."""

    def __init__(self, reason: str, why: str) -> None:
        super().__init__(why)
        self.reason = reason


def task() -> BackupRun:
    """Raises UnreadableRecord."""
    return BackupRun.from_bytes(os.environ.get(VARIABLE, "").encode())


def fill_task() -> FillRun:
    """Raises UnreadableRecord."""
    return FillRun.from_bytes(os.environ.get(VARIABLE, "").encode())


def load_task() -> LoadRun:
    """Raises UnreadableRecord."""
    return LoadRun.from_bytes(os.environ.get(VARIABLE, "").encode())


def store() -> ObjectStore:
    """The one of the mounted Secret; keys that are rotated meanwhile are taken up."""
    return S3Store(Mounted(Path(names.STORE_MOUNT)))


def run(work: Callable[[], None]) -> int:
    """Does it, and leaves a last word where it fails: 0, or 1."""
    logging.basicConfig(level="INFO", format="%(asctime)s %(message)s")
    try:
        work()
    except PostbaseError as error:
        word = last_word(error)
        logger.error("%s: %s", word.reason, word.message)  # noqa: TRY400 - the message says it all
        LAST_WORD.write_bytes(word.to_bytes())
        return 1
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise
        LAST_WORD.write_bytes(full(error).to_bytes())
        raise
    return 0


def full(error: OSError) -> LastWord:
    """Of a volume that has no room for what is restored onto it."""
    why = f"{error}: what is restored needs more room; raise the size of the volume"
    return LastWord(reason="VolumeFull", message=why)


def last_word(error: PostbaseError) -> LastWord:
    """The words are those that planning/backup_failure.py knows what to do about."""
    match error:
        case Failed() | InvalidSpec():
            reason = error.reason
        case StoreUnavailable() if not error.passing:
            reason = error.reason.value
        case StoreUnavailable():
            reason = "StoreUnavailable"
        case Unavailable() if error.service == POSTGRESQL:
            reason = "ServerUnavailable"
        case ServerRefused():
            reason = "VolumeFull" if "No space left" in str(error) else "RestoreFailed"
        case Denied():
            reason = "Denied"
        case Conflict():
            reason = "Conflict"
        case UnreadableRecord():
            reason = "BackupDamaged"
        case ChecksumMismatch():
            reason = "ChecksumMismatch"
        case _:
            reason = "RunFailed"
    return LastWord(reason=reason, message=str(error)[:1500])


class Reporter:
    """Writes how far a run is, every few seconds and not oftener. That it cannot fails nothing.

    `attempt` and `taker` where the run has claimed its place by it."""

    def __init__(
        self,
        to: ObjectStore,
        key: PhysicalProgressKey | LogicalProgressKey,
        *,
        attempt: int | None = None,
        taker: str | None = None,
    ) -> None:
        self._store, self._key = to, str(key)
        self._attempt, self._taker = attempt, taker
        self._told = -TOLD_EVERY

    def tell(self, part: RunPart, done: int, total: int) -> None:
        if time.monotonic() - self._told < TOLD_EVERY:
            return
        self._told = time.monotonic()
        now = Progress(
            phase=part,
            bytes_done=done,
            bytes_total=total,
            at=datetime.now(UTC),
            attempt=self._attempt,
            taker=self._taker,
        )
        try:
            self._store.put(self._key, now.to_bytes(), if_absent=False)
        except PostbaseError as error:
            logger.warning("progress could not be told: %s", error)

    def close(self) -> None:
        self._store.delete(self._key)
