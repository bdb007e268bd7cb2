"""The keyed queue: one run a key at a time, coalescing, back-off, fairness.

Time is the event loop's; a loop whose clock jumps to the next timer makes minutes take none.
"""

from __future__ import annotations

import asyncio
import itertools
import selectors
from collections.abc import Awaitable, Callable

import pytest

from postbase_operator.errors import NotReady, Throttled, Unavailable
from postbase_operator.handlers.queue import WorkQueue


class JumpingLoop(asyncio.SelectorEventLoop):
    """Never waits: where it would sleep, its clock moves on instead."""

    def __init__(self) -> None:
        super().__init__(_Instant(self))
        self.now = 0.0

    def time(self) -> float:
        return self.now


class _Instant(selectors.DefaultSelector):
    def __init__(self, loop: JumpingLoop) -> None:
        super().__init__()
        self.loop = loop

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout:
            self.loop.now += timeout
        return super().select(0)


def simulate(scenario: Callable[[], Awaitable[None]]) -> None:
    with asyncio.Runner(loop_factory=JumpingLoop) as runner:
        runner.run(asyncio.wait_for(scenario(), 10_000))


async def drive(queue: WorkQueue[str], seconds: float) -> None:
    """Runs the queue for `seconds` of its own clock."""
    task = asyncio.ensure_future(queue.run())
    await asyncio.sleep(seconds)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


def test_fifty_events_become_two_runs() -> None:
    async def scenario() -> None:
        runs: list[float] = []

        async def work(key: str) -> None:
            runs.append(asyncio.get_running_loop().time())
            await asyncio.sleep(1)

        queue = WorkQueue[str](work, workers=4)

        async def storm() -> None:
            for _ in range(50):
                queue.add("a")
                await asyncio.sleep(0.01)

        await asyncio.gather(drive(queue, 10), storm())
        assert len(runs) == 2

    simulate(scenario)


def test_a_key_never_runs_twice_at_once() -> None:
    async def scenario() -> None:
        active, most, total = 0, 0, 0

        async def work(key: str) -> None:
            nonlocal active, most, total
            active, total = active + 1, total + 1
            most = max(most, active)
            await asyncio.sleep(0.3)
            active -= 1

        queue = WorkQueue[str](work, workers=8)

        async def storm() -> None:
            for _ in range(40):
                queue.add("a")
                await asyncio.sleep(0.1)

        await asyncio.gather(drive(queue, 20), storm())
        assert most == 1
        assert total >= 10

    simulate(scenario)


def test_workers_bound_what_runs_at_once_and_nobody_starves() -> None:
    async def scenario() -> None:
        active, most = 0, 0
        order: list[str] = []

        async def work(key: str) -> float | None:
            nonlocal active, most
            active += 1
            most = max(most, active)
            order.append(key)
            await asyncio.sleep(1)
            active -= 1
            return 0.0 if key == "greedy" else None  # asks to be run again at once, for ever

        queue = WorkQueue[str](work, workers=2)
        queue.add("greedy")
        for name in "abcdef":
            queue.add(name)
        await drive(queue, 8)
        assert most == 2
        assert set("abcdef") <= set(order)

    simulate(scenario)


def test_failures_back_off_and_success_forgets_them() -> None:
    async def scenario() -> None:
        at: list[float] = []

        async def work(key: str) -> None:
            at.append(asyncio.get_running_loop().time())
            if len(at) < 5:
                raise Unavailable("postgres", "down")

        queue = WorkQueue[str](work, workers=1, jitter=lambda: 0.0)
        queue.add("a")
        await drive(queue, 100)
        gaps = [round(b - a, 3) for a, b in itertools.pairwise(at)]
        assert gaps == [1, 2, 4, 8]
        assert queue.backoff(50) == 300

    simulate(scenario)


def test_an_error_may_name_its_own_delay() -> None:
    async def scenario() -> None:
        at: list[float] = []

        async def work(key: str) -> None:
            at.append(asyncio.get_running_loop().time())
            if len(at) == 1:
                raise NotReady("volume", retry_after=7)

        queue = WorkQueue[str](work, workers=1)
        queue.add("a")
        await drive(queue, 30)
        assert [round(t, 3) for t in at] == [0, 7]

    simulate(scenario)


def test_what_others_work_on_is_asked_for_again_soon_however_often() -> None:
    async def scenario() -> None:
        at: list[float] = []

        async def work(key: str) -> None:
            at.append(asyncio.get_running_loop().time())
            if len(at) < 8:
                raise NotReady("the commit is being applied", retry_after=2.0)

        queue = WorkQueue[str](work, workers=1, jitter=lambda: 0.0)
        queue.add("a")
        await drive(queue, 100)
        gaps = [round(b - a, 3) for a, b in itertools.pairwise(at)]
        assert gaps == [2, 2, 4, 8, 8, 8, 8]

    simulate(scenario)


def test_a_service_that_says_when_is_asked_no_sooner_whatever_happens() -> None:
    async def scenario() -> None:
        at: list[float] = []

        async def work(key: str) -> None:
            at.append(asyncio.get_running_loop().time())
            queue.add(key)  # as an event of what a run has written
            if len(at) < 3:
                raise Throttled("Kubernetes API", "429", 4.0)

        queue = WorkQueue[str](work, workers=1, rest=0.5)
        queue.add("a")
        asyncio.get_running_loop().call_later(1.0, queue.add, "a")
        await drive(queue, 8.2)
        assert [round(t, 3) for t in at] == [0, 4, 8]

    simulate(scenario)


def test_a_crash_in_one_key_leaves_the_others_alone() -> None:
    async def scenario() -> None:
        done: list[str] = []

        async def work(key: str) -> None:
            if key == "bad":
                raise ZeroDivisionError
            done.append(key)

        queue = WorkQueue[str](work, workers=1)
        for name in ("bad", "a", "b"):
            queue.add(name)
        await drive(queue, 5)
        assert done == ["a", "b"]

    simulate(scenario)


def test_an_event_comes_before_a_timer_and_cancels_it() -> None:
    async def scenario() -> None:
        at: list[float] = []

        async def work(key: str) -> float | None:
            at.append(asyncio.get_running_loop().time())
            return 60.0 if len(at) == 1 else None

        queue = WorkQueue[str](work, workers=1)
        queue.add("a")

        async def event() -> None:
            await asyncio.sleep(5)
            queue.add("a")

        await asyncio.gather(drive(queue, 200), event())
        assert [round(t, 3) for t in at] == [0, 5]

    simulate(scenario)


def test_fifty_edits_within_a_second_are_three_looks_and_the_last_one_is_seen() -> None:
    async def scenario() -> None:
        spec = 0
        runs: list[tuple[float, int]] = []

        async def work(key: str) -> None:
            runs.append((asyncio.get_running_loop().time(), spec))
            await asyncio.sleep(0.01)

        queue = WorkQueue(work, workers=4, rest=0.5)

        async def edit() -> None:
            nonlocal spec
            for _ in range(50):
                spec += 1
                queue.add("a")
                await asyncio.sleep(0.02)

        await asyncio.gather(drive(queue, 10), edit())
        assert len(runs) <= 3
        assert runs[0][0] == 0  # one that is rested waits for nothing
        assert runs[-1][1] == 50
        assert all(later - sooner >= 0.5 for (sooner, _), (later, _) in itertools.pairwise(runs))

    simulate(scenario)


def test_one_that_rests_holds_up_no_other() -> None:
    async def scenario() -> None:
        runs: list[tuple[str, float]] = []

        async def work(key: str) -> None:
            runs.append((key, asyncio.get_running_loop().time()))

        queue = WorkQueue(work, workers=1, rest=5.0)
        queue.add("a")

        async def later() -> None:
            await asyncio.sleep(1)
            queue.add("a")
            queue.add("b")

        await asyncio.gather(drive(queue, 20), later())
        assert runs == [("a", 0.0), ("b", 1.0), ("a", 5.0)]

    simulate(scenario)
