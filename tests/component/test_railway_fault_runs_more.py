"""The second hundred provisions on bad days (railway_bad_days.py)."""

from __future__ import annotations

import pytest

from component.railway_bad_days import SECOND, bad_days


@pytest.mark.parametrize("number", SECOND)
async def test_a_bad_day_ends_with_one_of_each_or_says_why(number: int) -> None:
    await bad_days(number)
