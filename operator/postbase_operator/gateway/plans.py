"""What a plan means for a request: sizes and days that it allows. PURE."""

from __future__ import annotations

from postbase_operator.api.plan_limits import LIMITS, Limits, Rate, Size
from postbase_operator.gateway.problems import Code, Problem

__all__ = ["ANONYMOUS", "LIMITS", "Limits", "Rate", "Size", "check_days", "check_size"]

ANONYMOUS = Rate("anonymous", 60, 20)
"""Of one address, for what needs no token, and for tokens that are none."""
STEP = 0.25
"""Cores come in these steps."""
PITR_DAYS = 7
"""Where nothing is said."""


def check_size(limits: Limits, size: Size) -> None:
    """Raises INVALID_REQUEST for what is no size, PLAN_LIMIT_EXCEEDED for one beyond the plan."""
    if (size.cpu / STEP) % 1:
        raise Problem(Code.INVALID_REQUEST, f"config.cpu comes in steps of {STEP} cores")
    for name, unit in (("cpu", "cores"), ("memory", "MiB"), ("storage", "GiB")):
        value, least, most = (getattr(each, name) for each in (size, limits.least, limits.most))
        if value < least:
            raise Problem(Code.INVALID_REQUEST, f"config.{name} must be at least {least} {unit}")
        if value > most:
            raise Problem(
                Code.PLAN_LIMIT_EXCEEDED,
                f"config.{name} may be at most {most} {unit} with this plan",
            )


def check_days(days: int, most: int, field: str) -> None:
    """Raises PLAN_LIMIT_EXCEEDED where the plan keeps less."""
    if days > most:
        raise Problem(Code.PLAN_LIMIT_EXCEEDED, f"{field} may be at most {most} with this plan")
