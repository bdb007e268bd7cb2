"""What a plan means for a request: sizes and days that it allows. PURE."""

from __future__ import annotations

from postbase_operator.api.plan_limits import LIMITS, Limits, Rate, Size
from postbase_operator.gateway.problems import Code, Problem

__all__ = ["ANONYMOUS", "LIMITS", "Limits", "Rate", "Size", "check_days", "check_size"]

ANONYMOUS = Rate("anonymous", 60, 20)
"""Of one address, for what needs no token, and for tokens that are none."""
PITR_DAYS = 7
"""Where nothing is said."""


def check_size(limits: Limits, size: Size) -> None:
    """Raises PLAN_LIMIT_EXCEEDED for a size beyond the plan."""
    for name, unit in (("cpu", "cores"), ("memory", "MiB"), ("storage", "GiB")):
        most = getattr(limits.most, name)
        if getattr(size, name) > most:
            raise Problem(
                Code.PLAN_LIMIT_EXCEEDED,
                f"config.{name} may be at most {most} {unit} with this plan",
            )


def check_days(days: int, most: int, field: str) -> None:
    """Raises PLAN_LIMIT_EXCEEDED where the plan keeps less."""
    if days > most:
        raise Problem(Code.PLAN_LIMIT_EXCEEDED, f"{field} may be at most {most} with this plan")
