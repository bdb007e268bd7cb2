"""What an account's plan allows, for whoever enforces it: the gateway, the operator, the chart.

The API page has the rates; Postbase Cloud's documentation has databases, retention and space.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from postbase_operator.api.account import Plan


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
    """Of one plan. `databases` is per project, None is no limit; days, and GiB. `objects` is what
    the account's namespace holds of each kind, at most."""

    rate: Rate
    databases: int | None
    backup_days: int
    backup_gib: int
    pitr_days: int
    least: Size
    most: Size
    default: Size
    objects: Mapping[str, int]


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
        objects={"projects": 20, "databases": 30, "backups": 2_000, "pitrrestores": 1_000},
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
        objects={"projects": 1_000, "databases": 1_000, "backups": 20_000, "pitrrestores": 10_000},
    ),
}
