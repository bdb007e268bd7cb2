"""How many requests pass: exactly so many, alone and over replicas."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from postbase_operator.api.account import Plan
from postbase_operator.gateway.buckets import SWEEP_AT, Buckets, headers
from postbase_operator.gateway.limiter import Members, members, owner, signed
from postbase_operator.gateway.plans import LIMITS, Rate

FREE, PRO = LIMITS[Plan.FREE].rate, LIMITS[Plan.PRO].rate


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.mark.parametrize("rate", [FREE, PRO])
def test_a_burst_and_then_the_rate(clock: Clock, rate: Rate) -> None:
    buckets = Buckets(clock)
    passed = sum(buckets.take("k", rate).allowed for _ in range(rate.burst * 3))
    assert passed == rate.burst
    for _ in range(rate.per_minute):
        clock.now += 60 / rate.per_minute
        assert buckets.take("k", rate).allowed
        assert not buckets.take("k", rate).allowed


@given(st.lists(st.floats(0.0, 0.2), min_size=1, max_size=400))
def test_never_more_than_rate_and_burst(pauses: list[float]) -> None:
    clock = Clock()
    buckets = Buckets(clock)
    passed = 0
    for pause in pauses:
        clock.now += pause
        passed += buckets.take("k", FREE).allowed
        assert passed <= FREE.per_minute / 60 * (clock.now - 1000.0) + FREE.burst + 1e-6


def test_what_is_told(clock: Clock) -> None:
    buckets = Buckets(clock)
    first = headers(FREE, buckets.take("k", FREE))
    assert first["RateLimit-Policy"] == '"free";q=60;w=60'
    assert first["RateLimit"] == '"free";r=9;t=1'
    assert (first["X-RateLimit-Limit"], first["X-RateLimit-Remaining"]) == ("60", "9")
    assert "Retry-After" not in first
    for _ in range(9):
        last = buckets.take("k", FREE)
    assert (last.allowed, last.remaining) == (True, 0)
    refused = buckets.take("k", FREE)
    assert headers(FREE, refused)["Retry-After"] == "1"
    assert headers(FREE, refused)["X-RateLimit-Remaining"] == "0"


def test_waiting_as_told_is_enough(clock: Clock) -> None:
    buckets = Buckets(clock)
    while (verdict := buckets.take("k", FREE)).allowed:
        pass
    clock.now += verdict.retry_after
    assert buckets.take("k", FREE).allowed


def test_others_are_not_touched_and_full_ones_forgotten(clock: Clock) -> None:
    buckets = Buckets(clock)
    for number in range(SWEEP_AT):
        assert buckets.take(str(number), FREE).allowed
    clock.now += 60
    assert buckets.take("another", FREE).allowed
    assert len(buckets) == 1


def test_shares_of_two_add_up_to_one(clock: Clock) -> None:
    left, right = Buckets(clock), Buckets(clock)
    passed = sum(each.take("k", FREE, share=2).allowed for each in (left, right) for _ in range(20))
    assert passed == FREE.burst


# -- owners ---------------------------------------------------------------------------------------


def test_each_key_has_one_owner_and_only_a_lost_ones_keys_move() -> None:
    three = ["10.0.0.1:8081", "10.0.0.2:8081", "10.0.0.3:8081"]
    keys = [f"account:{n}" for n in range(3000)]
    before = {key: owner(key, three) for key in keys}
    assert min(Counter(before.values()).values()) > 800
    after = {key: owner(key, three[:2]) for key in keys}
    assert all(after[key] == before[key] for key in keys if before[key] != three[2])
    assert owner("k", list(reversed(three))) == owner("k", three)
    assert owner("k", []) is None


def slice_of(*addresses: str, ready: bool = True, port: str = "peers") -> dict[str, object]:
    return {
        "metadata": {"name": "-".join(addresses)},
        "ports": [{"name": port, "port": 8081}],
        "endpoints": [{"addresses": [each], "conditions": {"ready": ready}} for each in addresses],
    }


def test_members_are_the_ready_ones() -> None:
    assert members(slice_of("10.0.0.1", "fd00::1")) == ["10.0.0.1:8081", "[fd00::1]:8081"]
    assert members(slice_of("10.0.0.1", ready=False)) == []
    assert members(slice_of("10.0.0.1", port="http")) == []
    found = Members()
    found.put(slice_of("10.0.0.2"))
    found.put(slice_of("10.0.0.1"))
    assert list(found.all) == ["10.0.0.1:8081", "10.0.0.2:8081"]
    found.drop(slice_of("10.0.0.2"))
    assert list(found.all) == ["10.0.0.1:8081"]
    found.replace([])
    assert not found.all


def test_a_question_is_signed_whole() -> None:
    assert signed(b"key", b"a") != signed(b"key", b"b") != signed(b"other", b"b")
