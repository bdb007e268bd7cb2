"""What an account's plan allows and what it gives where nothing is said. PURE.

The API page has the rates; Postbase Cloud's documentation has databases, retention and space.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from postbase_operator.api.account import Plan
from postbase_operator.gateway.problems import Code, Problem


@dataclass(frozen=True, slots=True)
class Rate:
    """A token bucket: `per_minute` requests on end, `burst` at once."""

    name: str
    per_minute: int
    burst: int


@dataclass(frozen=True, slots=True)
class Size:
    """cpu in cores, memory in MiB, storage in GiB."""

    cpu: float
    memory: int
    storage: int


@dataclass(frozen=True, slots=True)
class Limits:
    """Of one plan. `databases` is per project; None is no limit. Days and GiB."""

    rate: Rate
    databases: int | None
    backup_days: int
    backup_gib: int
    pitr_days: int
    least: Size
    most: Size
    default: Size


LEAST = Size(0.25, 256, 1)
LIMITS: Mapping[Plan, Limits] = {
    Plan.FREE: Limits(
        Rate("free", 60, 10),
        databases=3,
        backup_days=3,
        backup_gib=10,
        pitr_days=7,
        least=LEAST,
        most=Size(2, 4096, 50),
        default=Size(0.5, 512, 1),
    ),
    Plan.PRO: Limits(
        Rate("pro", 1000, 100),
        databases=None,
        backup_days=30,
        backup_gib=100,
        pitr_days=30,
        least=LEAST,
        most=Size(16, 65536, 1000),
        default=Size(1, 2048, 10),
    ),
}
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
