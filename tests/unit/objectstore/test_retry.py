"""How often, how long, and that progress counts."""

from __future__ import annotations

import random
import time

import pytest

from postbase_operator.objectstore.retry import Limits, repeated
from postbase_operator.objectstore.store import Reason, StoreUnavailable

PASSING = StoreUnavailable(Reason.UNREACHABLE, "503", passing=True)


class Clock:
    def __init__(self) -> None:
        self.now, self.pauses = 0.0, list[float]()

    def sleep(self, seconds: float) -> None:
        self.pauses.append(seconds)
        self.now += seconds


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """Time that passes by sleeping alone, and the longest of random pauses."""
    clock = Clock()
    monkeypatch.setattr(time, "sleep", clock.sleep)
    monkeypatch.setattr(time, "monotonic", lambda: clock.now)
    monkeypatch.setattr(random, "uniform", lambda _, longest: longest)
    return clock


def failing(error: StoreUnavailable, asked: list[int], seconds: float = 0.0) -> None:
    asked.append(len(asked))
    time.sleep(seconds)
    raise error


def test_pauses_grow_to_a_bound(clock: Clock) -> None:
    limits = Limits(attempts=6, first_pause=0.5, longest_pause=3.0)
    asked: list[int] = []
    with pytest.raises(StoreUnavailable):
        repeated(limits, lambda: failing(PASSING, asked))
    assert len(asked) == 6
    assert [pause for pause in clock.pauses if pause] == [1.0, 2.0, 3.0, 3.0, 3.0]


def test_no_attempt_begins_after_the_deadline(clock: Clock) -> None:
    limits = Limits(attempts=1000, first_pause=0.5, longest_pause=3.0, deadline=30.0)
    asked: list[int] = []
    with pytest.raises(StoreUnavailable):
        repeated(limits, lambda: failing(PASSING, asked, seconds=9.0))
    assert len(asked) == 3
    assert clock.now <= 30 + 9


def test_what_does_not_pass_is_asked_once(clock: Clock) -> None:
    asked: list[int] = []
    with pytest.raises(StoreUnavailable):
        repeated(Limits(), lambda: failing(StoreUnavailable(Reason.TLS_FAILED, "no"), asked))
    assert (asked, clock.now) == ([0], 0.0)


def test_the_answer_is_handed_on(clock: Clock) -> None:
    answers = iter([PASSING, PASSING, "there"])

    def request() -> str:
        answer = next(answers)
        if isinstance(answer, StoreUnavailable):
            raise answer
        return str(answer)

    assert repeated(Limits(), request) == "there"
