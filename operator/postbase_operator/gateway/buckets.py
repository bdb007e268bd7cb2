"""Token buckets: how many requests somebody may make, exactly. PURE but for the clock it is given.

The state of one is a single moment (GCRA): the time at which the bucket would be full again. So a
bucket costs a float, and one that is full is forgotten.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from postbase_operator.gateway.plans import Rate

SWEEP_AT = 20_000
"""Held buckets from which on full ones are thrown away."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """`remaining` requests may follow at once; `full_in` and `retry_after` are seconds."""

    allowed: bool
    remaining: int
    full_in: float
    retry_after: float = 0.0


class Buckets:
    """One per key; `now` is a clock in seconds that never goes back."""

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._full_at: dict[str, float] = {}

    def take(self, key: str, rate: Rate, *, share: int = 1) -> Verdict:
        """One request. `share` of n counts with an n-th of rate and burst: of n replicas that
        cannot ask each other, each lets an n-th through."""
        now = self._now()
        between = 60.0 / rate.per_minute * share
        room = max(1.0, rate.burst / share) * between
        full_at = max(self._full_at.get(key, now), now)
        spent = full_at + between - now
        # The tenth of a microsecond: sums of floats must not refuse the last of a burst.
        if spent > room + 1e-7:
            return Verdict(False, 0, full_at - now, spent - room)
        self._full_at[key] = full_at + between
        if len(self._full_at) > SWEEP_AT:
            self._forget_full(now)
        remaining = math.floor((room - spent) / between + 1e-7)
        return Verdict(True, remaining, spent)

    def _forget_full(self, now: float) -> None:
        self._full_at = {key: at for key, at in self._full_at.items() if at > now}

    def __len__(self) -> int:
        return len(self._full_at)


def headers(rate: Rate, verdict: Verdict) -> dict[str, str]:
    """draft-ietf-httpapi-ratelimit-headers, and the older names beside them."""
    full_in = math.ceil(verdict.full_in)
    told = {
        "RateLimit-Policy": f'"{rate.name}";q={rate.per_minute};w=60',
        "RateLimit": f'"{rate.name}";r={verdict.remaining};t={full_in}',
        "X-RateLimit-Limit": str(rate.per_minute),
        "X-RateLimit-Remaining": str(verdict.remaining),
        "X-RateLimit-Reset": str(full_in),
    }
    if not verdict.allowed:
        told["Retry-After"] = str(max(1, math.ceil(verdict.retry_after)))
    return told
