"""PURE: until when it is known that the log had nothing beyond a position."""

from __future__ import annotations

from bisect import bisect_right
from datetime import datetime

from postbase_operator.wal.lsn import Lsn


class Coverage:
    """What the server's messages say: at `sent_at` its log was flushed up to `flushed`."""

    def __init__(self, known: datetime) -> None:
        self._known = known
        self._ends: list[Lsn] = []
        self._times: list[datetime] = []

    def note(self, flushed: Lsn, sent_at: datetime) -> None:
        if self._ends and flushed <= self._ends[-1]:
            self._times[-1] = max(self._times[-1], sent_at)
        else:
            self._ends.append(flushed)
            self._times.append(sent_at)

    def until(self, position: Lsn) -> datetime:
        """Nothing beyond `position` existed then; the newest such moment."""
        number = bisect_right(self._ends, position)
        return self._times[number - 1] if number else self._known

    def settle(self, durable: Lsn) -> datetime:
        """As `until`; what was known of positions before is forgotten."""
        self._known = self.until(durable)
        number = bisect_right(self._ends, durable)
        # The last one stays: a server that stands still repeats its position.
        del self._ends[: max(0, number - 1)], self._times[: max(0, number - 1)]
        return self._known
