"""The rate limits of a plan, by token, and the headers that tell them (§2)."""

from __future__ import annotations

from dataclasses import dataclass, field
from math import ceil

from railway.settings import Plan

HOUR = 3600.0


@dataclass
class Budget:
    """Windows of an hour and of a second, both fixed; [U] how Railway's windows move."""

    plan: Plan
    hour: float = 0.0
    spent: int = 0
    second: float = 0.0
    burst: int = 0

    def spend(self, now: float) -> float | None:
        """None, or after how many seconds to come again."""
        if now >= self.hour + HOUR:
            self.hour, self.spent = now, 0
        if now >= self.second + 1:
            self.second, self.burst = now, 0
        if self.spent >= self.plan.per_hour:
            return self.hour + HOUR - now
        if self.plan.per_second is not None and self.burst >= self.plan.per_second:
            return self.second + 1 - now
        self.spent, self.burst = self.spent + 1, self.burst + 1
        return None

    @property
    def remaining(self) -> int:
        return max(0, self.plan.per_hour - self.spent)

    def headers(self) -> dict[str, str]:
        """§2: the names; [U] that Reset is in seconds since the epoch."""
        return {
            "X-RateLimit-Limit": str(self.plan.per_hour),
            "X-RateLimit-Remaining": str(self.remaining),
            "X-RateLimit-Reset": str(ceil(self.hour + HOUR)),
        }


@dataclass
class Unidentified:
    """§2: Cloudflare's, for callers without a source."""

    per_second: int
    _second: float = field(default=0.0)
    _count: int = field(default=0)

    def blocks(self, now: float) -> bool:
        if now >= self._second + 1:
            self._second, self._count = now, 0
        self._count += 1
        return self._count > self.per_second
