"""The first hundred provisions on bad days (railway_bad_days.py), and that there are 200 in all."""

from __future__ import annotations

import pytest

from component import test_railway_fault_runs_more as more
from component.railway_bad_days import DAYS, FIRST, RUNS, SECOND, TESTS, Day, bad_days, seeds_of


@pytest.mark.parametrize("number", FIRST)
async def test_a_bad_day_ends_with_one_of_each_or_says_why(number: int) -> None:
    await bad_days(number)


@pytest.mark.parametrize("half", [FIRST, SECOND], ids=["first", "second"])
def test_each_half_meets_each_kind_of_day(half: range) -> None:
    days = [Day.of(seed)[0] for number in half for seed in seeds_of(number)]
    assert {name for day in days for name in day.names} == set(DAYS)
    assert {True, False} == {day.full for day in days} == {day.keeps for day in days}
    assert {day.plan for day in days} == {"HOBBY", "PRO"}


def test_both_files_together_have_two_hundred() -> None:
    (mark,) = more.test_a_bad_day_ends_with_one_of_each_or_says_why.pytestmark  # type: ignore[attr-defined]
    seeds = [seed for half in (FIRST, mark.args[1]) for number in half for seed in seeds_of(number)]
    assert len(set(seeds)) == len(seeds) == TESTS * RUNS == 200
