"""Our own keyed work queue, because kopf's event handlers neither coalesce nor retry.

A key is never run twice at once, nor sooner than `rest` after its last run began; one that is
added meanwhile is run again afterwards. So fifty events of one object become two or three runs, and
what the parts of one start-up tell in a row is looked at together. A failure comes back with
growing, jittered delay, so that a broken Database costs little and never holds up the others. First
come, first served between keys, which is fair because a key stands in the queue at most once.
"""

from __future__ import annotations

import asyncio
import contextlib
import heapq
import itertools
import logging
import random
from collections.abc import Awaitable, Callable, Hashable
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from postbase_operator.errors import NotReady, PostbaseError, Throttled, Unavailable

Key = TypeVar("Key", bound=Hashable)
logger = logging.getLogger(__name__)

FIRST_BACKOFF = 1.0
LONGEST_BACKOFF = 300.0
LONGEST_WAIT = 8.0
"""For what others are working on: a switch that has stopped PostgreSQL must not rest for minutes
because its steps before had to be waited for, too."""


@dataclass(order=True)
class _Timer:
    when: float
    order: int
    key: object = field(compare=False)


class WorkQueue(Generic[Key]):
    """`work(key)` answers after how many seconds to run again, or None: when something changes.

    Times are the running loop's clock, in seconds.
    """

    def __init__(
        self,
        work: Callable[[Key], Awaitable[float | None]],
        *,
        workers: int,
        rest: float = 0.0,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self._work = work
        self._workers = workers
        self._rest = rest
        self._jitter = jitter
        self._waiting: dict[Key, float] = {}  # insertion-ordered: key -> since when
        self._running: set[Key] = set()  # or resting from it
        self._dirty: set[Key] = set()  # added again meanwhile
        self._failures: dict[Key, int] = {}
        self._not_before: dict[Key, float] = {}  # as a service has asked for it
        self._due: dict[Key, _Timer] = {}  # the one timer that counts for a key
        self._timers: list[_Timer] = []
        self._order = itertools.count()
        self._changed = asyncio.Condition()
        self._pending_notify: set[asyncio.Task[None]] = set()

    def add(self, key: Key) -> None:
        """Asks for a run as soon as a worker is free, and no service has asked to be left alone.
        Callable from any event handler."""
        self._due.pop(key, None)
        now = asyncio.get_running_loop().time()
        if key in self._running:
            self._dirty.add(key)
        elif now < self._not_before.get(key, now):
            self.add_after(key, self._not_before[key] - now)
        elif key not in self._waiting:
            self._waiting[key] = now
            self._wake()

    def add_after(self, key: Key, delay: float) -> None:
        """Asks for a run in `delay` seconds; an earlier timer or a waiting run stands."""
        if key in self._waiting or key in self._dirty:
            return
        when = asyncio.get_running_loop().time() + delay
        standing = self._due.get(key)
        if standing is None or when < standing.when:
            timer = _Timer(when, next(self._order), key)
            self._due[key] = timer
            heapq.heappush(self._timers, timer)
            self._wake()

    @property
    def depth(self) -> int:
        return len(self._waiting)

    def oldest(self) -> float:
        """Seconds that the key at the head has been waiting; 0 where none is."""
        since = next(iter(self._waiting.values()), None)
        return 0.0 if since is None else asyncio.get_running_loop().time() - since

    async def run(self) -> None:
        """Runs workers and timers until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._tick(), name="queue-timers")
            for number in range(self._workers):
                group.create_task(self._worker(), name=f"queue-worker-{number}")

    def _wake(self) -> None:
        task = asyncio.get_running_loop().create_task(self._notify())
        self._pending_notify.add(task)
        task.add_done_callback(self._pending_notify.discard)

    async def _notify(self) -> None:
        async with self._changed:
            self._changed.notify_all()

    async def _tick(self) -> None:
        """Moves keys whose time has come into the queue."""
        loop = asyncio.get_running_loop()
        while True:
            while self._timers and self._timers[0].when <= loop.time():
                timer = heapq.heappop(self._timers)
                key: Key = timer.key  # type: ignore[assignment]  # dataclass is not generic
                if self._due.get(key) is timer:  # else superseded by add() or a shorter timer
                    self.add(key)
            pause = self._timers[0].when - loop.time() if self._timers else None
            async with self._changed:
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(pause):
                        await self._changed.wait()

    async def _worker(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            async with self._changed:
                await self._changed.wait_for(lambda: bool(self._waiting))
                key = next(iter(self._waiting))
                del self._waiting[key]
                self._running.add(key)
            rested = loop.time() + self._rest
            try:
                await self._run(key)
            finally:
                if loop.time() < rested:
                    loop.call_at(rested, self._rested, key)
                else:
                    self._rested(key)

    def _rested(self, key: Key) -> None:
        self._running.discard(key)
        if key in self._dirty:
            self._dirty.discard(key)
            self.add(key)

    async def _run(self, key: Key) -> None:
        try:
            again = await self._work(key)
        except (TimeoutError, PostbaseError) as error:
            self._retry(key, error)
        except Exception as error:
            logger.exception("reconcile crashed", extra={"object": str(key)})
            self._retry(key, error)
        else:
            self._failures.pop(key, None)
            self._not_before.pop(key, None)
            if again is not None:
                self.add_after(key, again)

    def _retry(self, key: Key, error: BaseException) -> None:
        count = self._failures[key] = self._failures.get(key, 0) + 1
        asked = error.retry_after if isinstance(error, NotReady | Unavailable) else None
        backoff = self.backoff(count)
        if isinstance(error, NotReady):
            backoff = min(backoff, LONGEST_WAIT)
        delay = max(asked or 0.0, backoff)
        if isinstance(error, Throttled):
            # What we tell of the failure comes back as an event, and would have it run at once.
            self._not_before[key] = asyncio.get_running_loop().time() + error.seconds
        logger.warning(
            "reconcile failed, again later",
            extra={"object": str(key), "error": str(error), "retry_in": round(delay, 1)},
        )
        self.add_after(key, delay)

    def backoff(self, failures: int) -> float:
        """1, 2, 4 ... 300 s, each made 0-50 % longer so that a fleet does not retry in step."""
        base = min(LONGEST_BACKOFF, FIRST_BACKOFF * 2.0 ** min(failures - 1, 20))
        return base * (1.0 + self._jitter() / 2)
