"""How often and how long a request is sent again."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from postbase_operator.objectstore.store import StoreUnavailable

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds of one call; all in seconds but `attempts`."""

    attempts: int = 6
    first_pause: float = 0.2
    longest_pause: float = 5.0
    deadline: float = 120.0
    """No attempt begins later than this after the first."""

    connect: float = 5.0
    request: float = 60.0
    """One request that is not streamed: 16 MiB pass at 270 kB/s."""

    idle: float = 30.0
    """A body that stands still this long is cut, and taken up again."""


class Attempts:
    """The tries that one piece of work has; refilled by progress."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self.refill()

    def refill(self) -> None:
        """Begins anew: the store serves, however slowly."""
        self._failed = 0
        self._ends = time.monotonic() + self._limits.deadline

    def failed(self, error: StoreUnavailable) -> None:
        """Waits until it may be tried again; raises the error where it may not.

        Between nothing and twice the pause, at random: many callers that lost the store at the
        same moment must not come back at the same moment.
        """
        self._failed += 1
        limits = self._limits
        longest = min(limits.longest_pause, limits.first_pause * 2**self._failed)
        pause = random.uniform(0, longest)  # noqa: S311 - jitter
        late = time.monotonic() + pause > self._ends
        if not error.passing or self._failed >= limits.attempts or late:
            raise error
        time.sleep(pause)


def repeated(limits: Limits, request: Callable[[], T]) -> T:
    """Sends a request until it is answered; what is raised then is final."""
    attempts = Attempts(limits)
    while True:
        try:
            return request()
        except StoreUnavailable as error:
            attempts.failed(error)
