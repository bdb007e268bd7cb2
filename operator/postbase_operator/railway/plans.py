"""What a workspace's plan allows a database, as Railway's documents said on AS_OF. PURE.

Railway says no itself, but late: a commit is accepted, and rejected whole in the background. What
is known beforehand is told at the spec, with the figure that would do.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from decimal import Decimal

from postbase_operator.api.quantity import parse_quantity, whole_bytes
from postbase_operator.errors import InvalidSpec

AS_OF = date(2026, 8, 21)
MB = 1_000_000
"""Bytes of Railway's MB: its 5 GB are "5000 MB". Were it more, a volume would only be larger."""
GB = 1_000_000_000


@dataclass(frozen=True, slots=True)
class Plan:
    """None: no limit is known, so Railway decides."""

    name: str
    first_mb: int | None = None
    """The size of each new volume; Railway takes no other at the beginning."""
    most_mb: int | None = None
    volumes: int | None = None
    """In one project."""
    cpu: int | None = None
    memory_gb: int | None = None


_PLANS = {
    "free": Plan("Free", first_mb=500, most_mb=500, volumes=1),
    "trial": Plan("Trial", first_mb=500, most_mb=500, volumes=3),
    "hobby": Plan("Hobby", 5_000, 5_000, volumes=10, cpu=48, memory_gb=48),
    "pro": Plan("Pro", 50_000, 1_000_000, volumes=20, cpu=1_000, memory_gb=1_000),
    "enterprise": Plan("Enterprise"),
}


def plan_of(word: str) -> Plan:
    """By Railway's word for it, in any case; one that is not known has no limits that we know."""
    return _PLANS.get(word.lower(), Plan(word or "unknown"))


def megabytes(size: str) -> int:
    """A quantity (10Gi) in Railway's MB, never less than was asked for."""
    return -(-whole_bytes(size) // MB)


def check_volume(size: str, plan: Plan, held_mb: int | None) -> int:
    """The size to have, in MB. `held_mb`: of the volume that is there. Raises InvalidSpec.

    A volume that is larger because the plan makes them so is none that was to shrink.
    """
    wanted = megabytes(size)
    if plan.most_mb is not None and wanted > max(plan.most_mb, held_mb or 0):
        raise InvalidSpec(
            "spec.storage.size",
            f"{size} is {wanted} MB, and Railway's plan {plan.name} allows {plan.most_mb} MB: set "
            f"{plan.most_mb}M or less, or take a larger plan",
            reason="PlanLimitExceeded",
        )
    if held_mb is not None and wanted < held_mb and held_mb > (plan.first_mb or 0):
        raise InvalidSpec(
            "spec.storage.size",
            f"{size} is less than the {held_mb} MB of the volume, and none of Railway's can "
            f"shrink: set {held_mb}M, or restore into a new Database with a smaller size",
            reason="VolumeCannotShrink",
        )
    return max(wanted, held_mb or plan.first_mb or 0)


def check_resources(cpu: str, memory: str, plan: Plan) -> None:
    """What one service may use. Raises InvalidSpec."""
    if plan.cpu is not None and parse_quantity(cpu) > plan.cpu:
        raise InvalidSpec(
            "spec.resources.cpu",
            f"{cpu} is more than the {plan.cpu} of Railway's plan {plan.name}: set {plan.cpu} or "
            "less",
            reason="PlanLimitExceeded",
        )
    if plan.memory_gb is not None and whole_bytes(memory) > Decimal(plan.memory_gb) * GB:
        raise InvalidSpec(
            "spec.resources.memory",
            f"{memory} is more than the {plan.memory_gb} GB of Railway's plan {plan.name}: set "
            f"{plan.memory_gb}G or less",
            reason="PlanLimitExceeded",
        )


def check_room(plan: Plan, volumes: int, wanted: int = 1) -> None:
    """Whether a project that has so many volumes takes `wanted` more. Raises InvalidSpec."""
    if plan.volumes is not None and volumes + wanted > plan.volumes:
        raise InvalidSpec(
            "spec.projectRef",
            f"its Railway project has {volumes} volumes, this Database takes {wanted} more, and "
            f"the plan {plan.name} allows {plan.volumes}: delete some there, or take a larger plan",
            reason="PlanLimitExceeded",
        )
