"""Time of the double: virtual, moved by the test, or real, at a speed of one's choice."""

from __future__ import annotations

import heapq
import itertools
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime

Work = Callable[[], None]


class Clock:
    """What is due later waits here; it runs with the lock of the double held."""

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self._due: list[tuple[float, int, Work]] = []
        self._order = itertools.count()

    def now(self) -> float:
        """Seconds since the epoch."""
        raise NotImplementedError

    def after(self, seconds: float, work: Work) -> None:
        with self.lock:
            heapq.heappush(self._due, (self.now() + seconds, next(self._order), work))

    def stamp(self) -> str:
        """Now, as the schema's DateTime."""
        return stamp(self.now())

    def close(self) -> None:
        """Nothing happens any more."""
        with self.lock:
            self._due.clear()


def stamp(seconds: float) -> str:
    at = datetime.fromtimestamp(seconds, UTC)
    return at.isoformat(timespec="milliseconds").replace("+00:00", "Z")


class VirtualClock(Clock):
    """Stands still until a test advances it; what is due runs in the test's thread."""

    def __init__(self, start: float = 1_800_000_000.0) -> None:
        super().__init__()
        self._now = start

    def now(self) -> float:
        return self._now

    def advance(self, seconds: float) -> None:
        end = self._now + seconds
        while True:
            with self.lock:
                if not self._due or self._due[0][0] > end:
                    self._now = end
                    return
                when, _, work = heapq.heappop(self._due)
                self._now = max(self._now, when)
                work()


class RealClock(Clock):
    """Time passes by itself, `speed` seconds of the double in each real one."""

    def __init__(self, speed: float = 1.0) -> None:
        super().__init__()
        self.speed = speed
        self.failures: list[BaseException] = []
        self._began, self._zero = time.time(), time.monotonic()
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True, name="railway-clock")
        self._thread.start()

    def now(self) -> float:
        return self._began + (time.monotonic() - self._zero) * self.speed

    def _run(self) -> None:
        while not self._closed.wait(0.01):
            with self.lock:
                while self._due and self._due[0][0] <= self.now():
                    _, _, work = heapq.heappop(self._due)
                    try:
                        work()
                    except Exception as error:  # noqa: BLE001 - the end of the double raises it
                        self.failures.append(error)

    def close(self) -> None:
        super().close()
        self._closed.set()
        self._thread.join(60)
