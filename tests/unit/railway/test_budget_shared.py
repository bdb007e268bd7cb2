"""Operators that do not know of each other send with one token: looks get rarer, and something is
left for a change."""

from __future__ import annotations

import asyncio
import heapq
from dataclasses import dataclass, field
from random import Random

import pytest

from postbase_operator.errors import Unavailable
from postbase_operator.railway.graphql.budget import HOBBY, LONGEST_PACE, Budget, Said
from railway.clock import VirtualClock
from railway.virtual_loop import VirtualLoop

HOUR = 3600.0
ALONE = 2 * HOUR / HOBBY.per_window


@dataclass
class Token:
    """As Railway counts it; all of them look whenever a look is due."""

    operators: int
    now: float = 0.0
    window: float = 0.0
    used: int = 0
    per_window: list[int] = field(default_factory=list)
    budgets: list[Budget] = field(default_factory=list)
    looks: list[int] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.budgets = [Budget(HOBBY, lambda: self.now) for _ in range(self.operators)]
        self.looks = [0] * self.operators

    def send(self, budget: Budget, *, urgent: bool) -> None:
        turn = budget.enter(urgent=urgent)
        if self.now >= self.window + HOUR:
            self.window, self.used = self.now, 0
            self.per_window.append(0)
        self.used += 1
        assert self.used <= HOBBY.per_window, "refused"
        self.per_window = self.per_window or [0]
        self.per_window[-1] += 1
        left = HOBBY.per_window - self.used
        budget.settle(turn, Said(HOBBY.per_window, left, self.window + HOUR - self.now))

    def run(self, hours: float) -> None:
        due = [(self.now + 0.1 * n, n) for n in range(self.operators)]
        ends = self.now + hours * HOUR
        while due[0][0] < ends:
            self.now, number = heapq.heappop(due)
            try:
                self.send(self.budgets[number], urgent=False)
                self.looks[number] += 1
                again = self.budgets[number].pace
            except Unavailable as error:
                again = error.retry_after or 1.0
            heapq.heappush(due, (self.now + again, number))


@pytest.mark.parametrize("operators", [1, 2, 5, 10])
@pytest.mark.trap("rate-limits")
def test_looks_of_all_take_half_of_each_window(operators: int) -> None:
    token = Token(operators)
    token.run(4)
    half = HOBBY.per_window / 2
    assert all(count <= half * 1.1 for count in token.per_window[1:]), token.per_window
    assert token.per_window[0] <= half * 1.3  # nobody knows of the others yet
    assert min(token.looks) > 0.5 * max(token.looks), "one of them does not see anything"


@pytest.mark.trap("rate-limits")
def test_a_change_finds_room_whenever_it_comes() -> None:
    token = Token(10)
    for _ in range(12):
        token.run(1 / 3)
        for _ in range(100):
            token.send(token.budgets[0], urgent=True)


def test_who_comes_later_gets_a_share_and_who_is_alone_again_all_of_it() -> None:
    token = Token(10)
    token.run(2)
    late = Budget(HOBBY, lambda: token.now)
    token.budgets.append(late)
    token.looks.append(0)
    token.operators += 1
    token.run(2)
    assert token.looks[-1] > 10
    token.budgets, token.operators, token.looks = [late], 1, [0]
    token.run(8)
    assert late.pace == pytest.approx(ALONE, rel=0.1)


def test_however_many_there_are_looks_do_not_end() -> None:
    clock = [0.0]
    budget = Budget(HOBBY, lambda: clock[0])
    for left in (999, 200):
        budget.settle(budget.enter(urgent=False), Said(1000, left, HOUR))
    assert budget.crowd > 100
    assert budget.pace == LONGEST_PACE


@dataclass
class Second:
    """Railway's limit of a second: it serves ten, and refuses the others until the next one."""

    begins: float = 0.0
    served: int = 0
    refused: int = 0

    def answer(self, now: float) -> Said:
        if now >= self.begins + 1:
            self.begins, self.served = now, 0
        self.served += 1
        if self.served <= HOBBY.per_second:
            return Said(1_000_000, 999_000, HOUR)
        self.refused += 1
        return Said(1_000_000, 0, HOUR, retry_after=1.0)


async def run_of(budget: Budget, second: Second, requests: int) -> None:
    """As a look at one Database asks: one request after another, none twice."""
    clock = asyncio.get_running_loop().time
    for _ in range(requests):
        while True:
            turn = await budget.take(urgent=True)
            heard = second.answer(clock())
            await asyncio.sleep(0.2)
            budget.settle(turn, heard)
            if heard.retry_after is None:
                break


@pytest.mark.trap("rate-limits")
def test_who_was_refused_together_is_not_refused_together_again() -> None:
    clock, second = VirtualClock(), Second()

    async def fleet() -> float:
        time = asyncio.get_running_loop().time
        began = time()
        async with asyncio.TaskGroup() as group:
            for number in range(10):
                draw = Random(number).random  # noqa: S311 - that can be repeated
                budget = Budget(HOBBY, time, asyncio.sleep, draw)
                for _ in range(10):
                    group.create_task(run_of(budget, second, 5))
        return time() - began

    with asyncio.Runner(loop_factory=lambda: VirtualLoop(clock)) as runner:
        took = runner.run(asyncio.wait_for(fleet(), HOUR))
    assert took < 4 * 500 / HOBBY.per_second  # at best it takes a second for each ten
    assert second.refused < 500


async def test_a_share_comes_back_once_nobody_is_refused() -> None:
    clock = [0.0]
    budget = Budget(HOBBY, lambda: clock[0])
    for _ in range(20):
        budget.settle(budget.enter(urgent=True), Said(1000, 900, HOUR, retry_after=1.0))
        clock[0] += 2
    assert budget._depart() == 0
    assert budget._depart() > 1
    for _ in range(300):
        budget.settle(budget.enter(urgent=True), Said(1000, 900, HOUR))
    clock[0] += 60
    assert [budget._depart() for _ in range(9)] == [0] * 9


def test_a_refusal_tells_nothing_of_how_many_others_there_are() -> None:
    clock = [0.0]
    budget = Budget(HOBBY, lambda: clock[0])
    for heard in (Said(1000, 999, HOUR), Said(1000, 0, HOUR, retry_after=1.0)):
        budget.settle(budget.enter(urgent=True), heard)
    clock[0] += 1.1
    budget.settle(budget.enter(urgent=True), Said(1000, 997, HOUR))
    assert budget.crowd == 1
