"""Operators that do not know of each other send with one token: looks get rarer, and something is
left for a change."""

from __future__ import annotations

import heapq
from dataclasses import dataclass, field

import pytest

from postbase_operator.errors import Unavailable
from postbase_operator.railway.budget import HOBBY, LONGEST_PACE, Budget, Said

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
