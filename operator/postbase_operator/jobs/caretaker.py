"""The Caretaker: who makes a server as it is wanted where the operator has no way in (Railway,
spec.expose: Private), and tells how it is by lines of its log.

It lives in the process of the far receiver, as a thread, and alone where nothing is archived. It is
told by a variable; another wish comes with another process. It opens no port.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import signal
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial

from postbase_operator.archive.receiver_environment import HOST, PORT, config_in, one_line
from postbase_operator.archive.record import UnreadableRecord
from postbase_operator.archive.server_wish import REPORT, ServerReport, wish_in
from postbase_operator.jobs import wal_receiver
from postbase_operator.jobs.archiving import trim
from postbase_operator.jobs.far_backups import FarBackups
from postbase_operator.postgres.caring import Caring
from postbase_operator.postgres.connect import password_session

logger = logging.getLogger(__name__)
LOOK_SECONDS = 15.0
"""Between two looks at the server: one session each, over a network that costs nothing."""
LONGEST_LOOK = 90.0
"""Seconds. Where the server's host has gone without a word, TCP would wait for a quarter of an hour
and more, and all that time nothing would be told."""
SOON = 1.0
"""Likewise, while something is on its way: PostgreSQL starts, or has just been changed."""
TOLD_AGAIN = 90.0
"""Seconds after which a report is told again though nothing has changed: an old one is none."""
TOLD_SOON = 10.0
NEWS = 60.0
"""Seconds after a change in which it is told again so soon. Railway may date a deployment later
than its server's first answer, and what was told before that counts as of the server before it."""


@dataclass(slots=True)
class Teller:
    """Says which report is worth a line of the log."""

    clock: Callable[[], float] = time.monotonic
    _said: tuple[object, ...] = ()
    _changed: float = 0.0
    _at: float = 0.0

    def is_due(self, report: ServerReport) -> bool:
        gist, now = gist_of(report), self.clock()
        if gist != self._said:
            self._changed = now
        elif now - self._at < (TOLD_SOON if now - self._changed < NEWS else TOLD_AGAIN):
            return False
        self._said, self._at = gist, now
        return True


def gist_of(report: ServerReport) -> tuple[object, ...]:
    """What is worth a line; figures are not."""
    facts, seen = report.facts, report.receiver
    figures = {"used_bytes": 0, "described": None}
    still = facts.model_copy(update=figures) if facts is not None else None
    reads = (seen.connected_at, seen.state) if seen is not None else None
    return (report.wish, report.error, report.trouble, still, reads)


@dataclass(slots=True)
class Caretaker:
    """`archives`: whether a receiver is to run beside it."""

    caring: Caring
    archives: bool
    _teller: Teller = field(default_factory=Teller)
    _failed: BaseException | None = None

    @classmethod
    def told(cls, environ: Mapping[str, str]) -> Caretaker | None:
        """None where nobody is to be cared for. Raises UnreadableRecord."""
        wish = wish_in(environ)
        if wish is None:
            return None
        host, port = environ.get(HOST, ""), environ.get(PORT, "")
        if not host or not port.isdigit():
            raise UnreadableRecord("the environment", f"{HOST} and {PORT} do not say where it is")
        config = config_in(environ)
        door = partial(password_session, host, int(port), wish.superuser)
        caring = Caring(wish, door, lambda: datetime.now(UTC))
        return cls(caring, archives=config is not None and config.enabled)

    def begin(self) -> None:
        threading.Thread(target=self._run, name="caretaker", daemon=True).start()

    def check(self) -> None:
        """Raises what has ended it."""
        if self._failed is not None:
            raise self._failed

    def supervise(self) -> int:
        """Alone, until SIGTERM."""
        gc.collect()
        gc.freeze()
        backups = FarBackups(os.environ)
        while signal.sigtimedwait(wal_receiver.ENDS, wal_receiver.LOOK_SECONDS) is None:
            self.check()
            backups.look()
            trim()
        backups.stop()
        return 0

    def _run(self) -> None:
        try:
            asyncio.run(self._live())
        except BaseException as error:
            self._failed = error
            raise

    async def _live(self) -> None:
        while True:
            report = await self._look()
            if self._teller.is_due(report):
                logger.info("%s%s", REPORT, one_line(report))
            await asyncio.sleep(pause(report, did=self.caring.did))

    async def _look(self) -> ServerReport:
        at = self.caring.now()
        try:
            async with asyncio.timeout(LONGEST_LOOK):
                return await self.caring.look()
        except TimeoutError:
            why = f"PostgreSQL: no answer within {LONGEST_LOOK:.0f} seconds"
            return ServerReport(wish=self.caring.wish.revision, at=at, error=why)


def pause(report: ServerReport, *, did: bool) -> float:
    """Seconds until the next look."""
    settled = report.facts is not None and not report.facts.in_recovery and not did
    return LOOK_SECONDS if settled else SOON
