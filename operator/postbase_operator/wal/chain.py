"""PURE: acknowledgement in order, whatever order the store finishes in."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

from postbase_operator.wal.lsn import Lsn


@dataclass(slots=True)
class _Link:
    start: Lsn
    end: Lsn
    since: float
    done: bool = False


class Chain:
    """Stretches of the log on their way, one after another without a hole.

    `durable` is the end of those that are done from the first on: never past one that is not.
    """

    def __init__(self, durable: Lsn) -> None:
        self.durable = durable
        self._links: deque[_Link] = deque()

    @property
    def end(self) -> Lsn:
        """Of the last stretch."""
        return self._links[-1].end if self._links else self.durable

    @property
    def since(self) -> float | None:
        """When the oldest byte that is not durable came; None where all is."""
        return self._links[0].since if self._links else None

    def begin(self, start: Lsn, end: Lsn, since: float) -> None:
        """One more, on its way from now on. ValueError where it does not join the last one."""
        if start != self.end or end <= start:
            raise ValueError(f"{start} to {end} does not follow {self.end}")
        self._links.append(_Link(start, end, since))

    def done(self, start: Lsn, end: Lsn) -> None:
        """One of them is in the store. ValueError where none of them is that one."""
        link = next((each for each in self._links if (each.start, each.end) == (start, end)), None)
        if link is None:
            raise ValueError(f"{start} to {end} was not on its way")
        link.done = True
        while self._links and self._links[0].done:
            self.durable = self._links.popleft().end
