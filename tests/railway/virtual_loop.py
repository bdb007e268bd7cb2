"""An event loop on a clock that stands still: when nothing is under way, it jumps to what is due.

So the product's own queue, its workers and its sleeps run as they are, hours of them in seconds.
"""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from railway.clock import VirtualClock


class _Selector(selectors.SelectSelector):
    """Waits for the wire while something is on it; else the clock goes on, as far as a sleep."""

    def __init__(self, clock: VirtualClock) -> None:
        super().__init__()
        self._clock = clock
        self.on_the_wire = 0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if self.on_the_wire and timeout != 0:
            return super().select(None)
        if timeout is not None and timeout > 0:
            self._clock.advance(timeout)
            timeout = 0
        return super().select(timeout)


class VirtualLoop(asyncio.SelectorEventLoop):
    def __init__(self, clock: VirtualClock) -> None:
        self._clock = clock
        self._waits = _Selector(clock)
        super().__init__(self._waits)
        # Of seconds since 1970 a float tells no nanosecond: what is due now would never be so.
        self._clock_resolution = 1e-6
        self._turn = asyncio.Lock()

    def time(self) -> float:
        return self._clock.now()

    @asynccontextmanager
    async def wire(self) -> AsyncIterator[None]:
        """Around what really takes time, one after another: so that each run is the same."""
        async with self._turn:
            self._waits.on_the_wire += 1
            try:
                yield
            finally:
                self._waits.on_the_wire -= 1
