"""A token sends no more than Railway allows, in whatever order the answers come."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from postbase_operator.errors import Throttled, Unavailable
from postbase_operator.railway.graphql.budget import (
    HOBBY,
    LOOK_AGAIN,
    SECOND,
    SLACK,
    Budget,
    Budgets,
    Rates,
    Said,
    Turn,
    said,
)

WALL = 1_795_000_000.0


@dataclass
class Clock:
    now: float = 1000.0

    def __call__(self) -> float:
        return self.now


@dataclass
class Railway:
    """Counts by windows of its own; answers are told at any later time, in any order."""

    clock: Clock
    limit: int
    window: float
    ends: float
    used: int = 0
    refused: int = 0
    answers: list[tuple[Turn, int, float]] = field(default_factory=list)

    def serve(self, turn: Turn) -> None:
        while self.clock.now >= self.ends:
            self.ends += self.window
            self.used = 0
        self.used += 1
        self.refused += self.used > self.limit
        self.answers.append((turn, max(0, self.limit - self.used), self.ends))

    def outsider(self) -> None:
        self.used = min(self.limit, self.used + 1)

    def told(self, index: int) -> tuple[Turn, Said]:
        turn, left, ends = self.answers.pop(index)
        # In whole seconds, rounded down, as such headers are.
        return turn, Said(self.limit, left, float(int(max(0.0, ends - self.clock.now))))


MOVES = st.lists(
    st.tuples(st.sampled_from(["ask", "ask", "ask", "arrive", "answer", "wait"]), st.floats(0, 1)),
    max_size=300,
)


@given(MOVES, st.integers(2, 12), st.floats(1, 30))
@pytest.mark.trap("rate-limits")
def test_never_more_than_the_window_allows(
    moves: list[tuple[str, float]], limit: int, offset: float
) -> None:
    clock = Clock()
    railway = Railway(clock, limit, 30.0, clock.now + offset)
    budget = Budget(Rates(10, limit, 30.0, reserve=0.0), clock)
    on_the_way: list[Turn] = []
    for move, share in moves:
        if move == "ask":
            with suppress(Throttled):
                on_the_way.append(budget.enter(urgent=True))
        elif move == "arrive" and on_the_way:
            railway.serve(on_the_way.pop(int(share * (len(on_the_way) - 1))))
        elif move == "answer" and railway.answers:
            budget.settle(*railway.told(int(share * (len(railway.answers) - 1))))
        else:
            clock.now += share * 20
    assert not railway.refused


def test_waiting_as_told_is_enough() -> None:
    clock = Clock()
    budget = Budget(Rates(10, 5, 60.0, reserve=0.0), clock)
    for _ in range(5):
        budget.settle(budget.enter(urgent=True), Said())
    with pytest.raises(Throttled) as stopped:
        budget.enter(urgent=True)
    clock.now += stopped.value.seconds
    budget.enter(urgent=True)


def test_what_railway_says_stands_over_what_was_counted() -> None:
    clock = Clock()
    budget = Budget(HOBBY, clock)
    budget.settle(budget.enter(urgent=True), Said(10_000, 9_000, 100.0))
    assert budget.left == 9_000
    budget.settle(budget.enter(urgent=True), Said(10_000, 12, 99.0))  # others use it too
    assert budget.left == 12
    clock.now += 99.0 + SLACK
    budget.enter(urgent=True)
    assert budget.left == 9_999


def two_at_once() -> tuple[Budget, Turn, Turn]:
    budget = Budget(Rates(10, 10, 60.0, reserve=0.0), Clock())
    return budget, budget.enter(urgent=True), budget.enter(urgent=True)


def test_answers_that_overtake_each_other_do_not_lend() -> None:
    budget, first, second = two_at_once()
    budget.settle(second, Said(10, 8))
    budget.settle(first, Said(10, 9))  # written down before the second was counted
    assert budget.left == 8


def test_requests_that_overtake_each_other_do_not_lend() -> None:
    budget, first, second = two_at_once()
    budget.settle(first, Said(10, 8))
    budget.settle(second, Said(10, 9))  # served before the first was
    assert budget.left == 8


def test_what_is_under_way_at_the_turn_of_a_window_counts_in_the_next() -> None:
    clock = Clock()
    budget = Budget(Rates(10, 5, 60.0, reserve=0.0), clock)
    budget.enter(urgent=True)
    clock.now += 61
    budget.enter(urgent=True)
    assert budget.left == 3


def test_a_window_is_over_when_it_is_surely_over() -> None:
    clock = Clock()
    budget = Budget(Rates(10, 5, 60.0, reserve=0.0), clock)
    budget.settle(budget.enter(urgent=True), Said(5, 0, 10.0))
    clock.now += 10  # in whole seconds, rounded down: it may be a fraction more
    with pytest.raises(Throttled):
        budget.enter(urgent=True)
    clock.now += SLACK
    budget.enter(urgent=True)


def test_a_reset_that_has_passed_begins_nothing() -> None:
    clock = Clock()
    budget = Budget(Rates(10, 5, 60.0, reserve=0.0), clock)
    budget.settle(budget.enter(urgent=True), Said(5, 0, 0.0))
    clock.now += 2 * SLACK
    with pytest.raises(Throttled):
        budget.enter(urgent=True)


def test_the_reserve_is_for_what_is_urgent() -> None:
    budget = Budget(HOBBY, Clock())
    budget.settle(budget.enter(urgent=True), Said(1000, 101, 3000.0))
    budget.settle(budget.enter(urgent=False), Said(1000, 100, 3000.0))
    with pytest.raises(Unavailable) as held:
        budget.enter(urgent=False)
    assert not isinstance(held.value, Throttled)  # a deletion that comes meanwhile must not wait
    assert held.value.retry_after == LOOK_AGAIN
    budget.enter(urgent=True)


def test_a_pause_counts_for_all() -> None:
    clock = Clock()
    budget = Budget(HOBBY, clock)
    budget.settle(budget.enter(urgent=True), Said(retry_after=30.0))
    clock.now += 29
    with pytest.raises(Throttled) as paused:
        budget.enter(urgent=True)
    assert paused.value.seconds == pytest.approx(1.0)
    clock.now += 1
    budget.enter(urgent=True)


def test_a_seconds_limit_is_not_waited_for_by_the_hour() -> None:
    clock = Clock()
    budget = Budget(HOBBY, clock)
    budget.settle(budget.enter(urgent=True), Said(1000, 0, 3600.0, retry_after=2.0))
    with pytest.raises(Throttled):
        budget.enter(urgent=True)
    clock.now += 2.1
    budget.enter(urgent=True)


@pytest.mark.trap("rate-limits")
def test_half_of_a_window_is_enough_for_looks() -> None:
    budget = Budget(HOBBY, Clock())
    assert budget.pace == 7.2
    budget.settle(budget.enter(urgent=True), Said(limit=10_000))
    assert budget.pace == 0.72


def test_an_answer_from_the_window_before_says_nothing_of_this_one() -> None:
    clock = Clock()
    budget = Budget(Rates(10, 100, 60.0, reserve=0.0), clock)
    late = budget.enter(urgent=True)
    clock.now += 61
    budget.settle(budget.enter(urgent=True), Said(100, 97, 50.0))
    left = budget.left
    budget.settle(late, Said(100, 3, 0.0))
    assert budget.left == left


@given(
    st.lists(st.floats(0, 0.4), min_size=1, max_size=60),
    st.integers(1, 5),
)
@pytest.mark.trap("rate-limits")
def test_never_more_than_so_many_in_a_second(pauses: list[float], most: int) -> None:
    clock = Clock()
    budget = Budget(Rates(per_second=most), clock)
    left = []
    for pause in pauses:
        clock.now += pause
        left.append(clock.now + budget._depart())
    for index, moment in enumerate(left):
        assert sum(moment - 1.0 <= other <= moment for other in left[: index + 1]) <= most
    assert left == sorted(left)


async def test_one_that_is_cancelled_while_it_waits_is_not_under_way() -> None:
    budget = Budget(Rates(per_second=1))
    budget.settle(await budget.take(urgent=True), Said())
    waiting = asyncio.ensure_future(budget.take(urgent=True))
    await asyncio.sleep(0)
    assert budget._under_way == 1
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert budget._under_way == 0
    assert SECOND > 1


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("120", 120.0),
        (str(WALL + 30), 30.0),
        (str(int((WALL + 30) * 1000)), 30.0),
        ("2026-11-18T09:47:10+00:00", None),
        ("Wed, 18 Nov 2026 09:47:10 GMT", None),
        (str(WALL - 30), 0.0),
        ("soon", "nothing"),
        ("-5", "nothing"),
        ("nan", "nothing"),
        ("inf", "nothing"),
        ("", "nothing"),
    ],
)
def test_reset_is_read_in_any_notation(header: str, seconds: object) -> None:
    heard = said({"X-RateLimit-Reset": header}, WALL).reset
    if seconds == "nothing":
        assert heard is None
    elif seconds is None:  # the same moment in both
        assert heard == said({"x-ratelimit-reset": "2026-11-18T09:47:10Z"}, WALL).reset
        assert heard is not None
    else:
        assert heard == pytest.approx(seconds)


def test_our_own_clock_does_no_harm() -> None:
    headers = {
        "Date": "Sat, 28 Nov 2026 12:00:00 GMT",
        "X-RateLimit-Reset": "2026-11-28T12:10:00Z",
        "X-RateLimit-Limit": "1000",
        "X-RateLimit-Remaining": "999",
        "Retry-After": "Sat, 28 Nov 2026 12:00:30 GMT",
    }
    assert said(headers, 0.0) == Said(1000, 999, 600.0, 30.0)


@given(st.dictionaries(st.sampled_from(["retry-after", "x-ratelimit-reset", "date"]), st.text()))
def test_any_header_is_read(headers: dict[str, str]) -> None:
    heard = said(headers, WALL)
    for value in (heard.reset, heard.retry_after):
        assert value is None or value >= 0


def test_a_token_has_one_budget() -> None:
    budgets = Budgets()
    assert budgets.of("a") is budgets.of("a") is not budgets.of("b")


async def test_it_waits_by_the_clock_that_it_was_given() -> None:
    clock, waited = Clock(), []

    async def sleep(seconds: float) -> None:
        waited.append(seconds)
        clock.now += seconds

    budget = Budgets(Rates(per_second=1), clock, sleep).of("a")
    for _ in range(3):
        budget.settle(await budget.take(urgent=True), Said())
    assert waited == [pytest.approx(SECOND)] * 2
