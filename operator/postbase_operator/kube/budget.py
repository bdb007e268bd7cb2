"""The global write budget: however many databases change at once, the API server sees a rate."""

from __future__ import annotations

import asyncio
import time


class Allowance:
    """A token bucket that nobody waits for: what finds none comes again later."""

    def __init__(self, per_second: float) -> None:
        self._rate = per_second
        self._tokens = per_second
        self._at = time.monotonic()

    def take(self) -> bool:
        now = time.monotonic()
        self._tokens = min(self._rate, self._tokens + (now - self._at) * self._rate)
        self._at = now
        if self._tokens < 1.0:
            return False
        self._tokens -= 1.0
        return True


class WriteBudget:
    """A token bucket of `per_second` writes with room for one second's worth at once."""

    def __init__(self, per_second: float) -> None:
        self._rate = per_second
        self._room = max(1.0, per_second)
        self._tokens = self._room
        self._at: float | None = None

    async def take(self) -> None:
        """Waits until one write may go out. First come, first served."""
        loop = asyncio.get_running_loop()
        now = loop.time()
        if self._at is not None:
            self._tokens = min(self._room, self._tokens + (now - self._at) * self._rate)
        self._at = now
        self._tokens -= 1.0  # may go below zero: the debt is this caller's place in the line
        if self._tokens < 0:
            await asyncio.sleep(-self._tokens / self._rate)
