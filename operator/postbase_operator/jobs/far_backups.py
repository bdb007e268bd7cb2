"""The order of a backup, carried out beside the receiver: one child, at most one at a time.

It is looked at once a second, by the loop that the receiver has anyway. Whoever reads the log reads
its last lines, and seldom: so that an attempt runs, and how it has ended, is told again and again.
"""

from __future__ import annotations

import logging
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from datetime import UTC, datetime

from postbase_operator.archive.backup_order import ORDER, BackupOrder, BackupWord, order_in
from postbase_operator.archive.record import UnreadableRecord

logger = logging.getLogger(__name__)
PROGRAM = "postbase_operator.jobs.far_backup"
SAID_AGAIN = 300.0
"""Seconds after which a word is told again, until the order is void."""


class FarBackups:
    """Of one process: it finds one order, or none, as others come with another process."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._order = order_in(environ)
        if self._order is None and environ.get(ORDER):
            logger.error("%s cannot be read: no backup is taken by it", ORDER)
        self._environ = dict(environ)
        self._child: subprocess.Popen[bytes] | None = None
        self._end: BackupWord | None = None
        self._said_at = 0.0

    def look(self) -> None:
        """Begins it, ends it where its time is over, and tells."""
        order = self._order
        if order is None:
            return
        is_void = datetime.now(UTC) >= order.until
        if self._end is not None:
            if not is_void and time.monotonic() - self._said_at >= SAID_AGAIN:
                self._say(self._end)
        elif self._child is None:
            if is_void:
                self._order = None
                return
            self._say(_word(order))
            self._child = self._start()
        elif self._child.poll() is not None:
            self._has_ended(_last_word(self._child, order))
        elif is_void:
            self.stop()
            until = f"{order.until:%Y-%m-%dT%H:%M:%SZ}"
            self._has_ended(_word(order, "DeadlineExceeded", f"Not complete by {until}"))
        elif time.monotonic() - self._said_at >= SAID_AGAIN:
            self._say(_word(order))

    def stop(self) -> None:
        """Nothing of it runs when this returns."""
        if self._child is not None and self._child.poll() is None:
            self._child.kill()
            self._child.communicate()

    def _start(self) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            [sys.executable, "-m", PROGRAM],
            env=self._environ,
            stdin=subprocess.PIPE,  # held, so that it ends where this process does
            stdout=subprocess.PIPE,
        )

    def _has_ended(self, word: BackupWord) -> None:
        self._end = word
        self._say(word)

    def _say(self, word: BackupWord) -> None:
        self._said_at = time.monotonic()
        logger.info("%s", word.line())


def _last_word(child: subprocess.Popen[bytes], order: BackupOrder) -> BackupWord:
    """Its own; else what is known of how it ended."""
    said, _ = child.communicate()
    try:
        return BackupWord.from_bytes(said)
    except UnreadableRecord:
        code = child.returncode
    if code == -signal.SIGKILL:
        why = "the backup's program was killed, as for lack of memory"
        return _word(order, "OOMKilled", why)
    return _word(order, "RunFailed", f"the backup's program ended with {code}")


def _word(order: BackupOrder, reason: str = "", message: str = "") -> BackupWord:
    """That it begins; with a reason, that it has failed."""
    return BackupWord(
        id=order.run.id,
        attempt=order.attempt,
        at=datetime.now(UTC),
        ended=bool(reason),
        reason=reason,
        message=message,
    )
