"""Conditions as metav1 and kstatus have them: what Flux, Argo CD, Helm and kubectl wait for.

kstatus: Reconciling and Stalled are there only while true; Stalled means that a person must act.
`now` and `generation` are always arguments, so that every answer can be computed again in a test.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from enum import StrEnum
from typing import Annotated

from pydantic import Field

from postbase_operator.api.base import Model
from postbase_operator.api.scalars import Instant


class ConditionType(StrEnum):
    """Conditions that this product sets."""

    READY = "Ready"
    RECONCILING = "Reconciling"
    STALLED = "Stalled"
    ACCEPTED = "Accepted"
    ARCHIVING = "Archiving"
    BACKUP_HEALTHY = "BackupHealthy"
    DEGRADED = "Degraded"


class ConditionStatus(StrEnum):
    """Whether a condition holds."""

    TRUE = "True"
    FALSE = "False"
    UNKNOWN = "Unknown"


class Condition(Model):
    """One aspect of the object's state, in the form of metav1.Condition."""

    type: Annotated[
        str,
        Field(
            max_length=316,
            description="Which aspect: Ready, Reconciling, Stalled, Accepted, Archiving, "
            "BackupHealthy, Degraded.",
        ),
    ]
    status: Annotated[ConditionStatus, Field(description="Whether it holds.")]
    reason: Annotated[
        str,
        Field(
            min_length=1,
            max_length=1024,
            pattern=r"^[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?$",
            description="Why, in one CamelCase word that a machine can match.",
        ),
    ]
    message: Annotated[
        str, Field(max_length=32768, description="Why, in a sentence for people; may be empty.")
    ]
    last_transition_time: Annotated[
        Instant, Field(description="When `status` last changed from one value to another.")
    ]
    observed_generation: Annotated[
        int | None,
        Field(ge=0, description="The metadata.generation that this was found for."),
    ] = None


Conditions = Annotated[
    tuple[Condition, ...],
    Field(
        max_length=32,
        description="The state in aspects; `Ready` is the one to wait for.",
        json_schema_extra={
            "x-kubernetes-list-type": "map",
            "x-kubernetes-list-map-keys": ["type"],
        },
    ),
]


def find_condition(conditions: Sequence[Condition], type: str) -> Condition | None:
    return next((c for c in conditions if c.type == type), None)


def is_true(conditions: Sequence[Condition], type: str) -> bool:
    found = find_condition(conditions, type)
    return found is not None and found.status is ConditionStatus.TRUE


def set_condition(  # noqa: PLR0913 - the fields of a condition
    conditions: Sequence[Condition],
    type: str,
    status: bool | None,
    reason: str,
    message: str,
    now: datetime,
    generation: int | None = None,
) -> tuple[Condition, ...]:
    """The conditions with this one set, in its old place; None stands for Unknown.

    The time of transition stays where the status does: a new message is no transition.
    """
    value = ConditionStatus("Unknown" if status is None else str(status))
    before = find_condition(conditions, type)
    kept = before is not None and before.status is value
    condition = Condition(
        type=type,
        status=value,
        reason=reason,
        message=message,
        last_transition_time=before.last_transition_time
        if before and kept
        else now.replace(microsecond=0),
        observed_generation=generation,
    )
    if before is None:
        return (*conditions, condition)
    return tuple(condition if c.type == type else c for c in conditions)


def remove_condition(conditions: Sequence[Condition], *types: str) -> tuple[Condition, ...]:
    return tuple(c for c in conditions if c.type not in types)


def set_ready(
    conditions: Sequence[Condition], reason: str, message: str, now: datetime, generation: int
) -> tuple[Condition, ...]:
    """kstatus "Current": as the spec wants it, nothing left to do."""
    conditions = remove_condition(conditions, ConditionType.RECONCILING, ConditionType.STALLED)
    return set_condition(conditions, ConditionType.READY, True, reason, message, now, generation)


def set_reconciling(
    conditions: Sequence[Condition], reason: str, message: str, now: datetime, generation: int
) -> tuple[Condition, ...]:
    """kstatus "InProgress": not there yet, and nobody but us needs to act."""
    conditions = remove_condition(conditions, ConditionType.STALLED)
    for type, status in ((ConditionType.READY, False), (ConditionType.RECONCILING, True)):
        conditions = set_condition(conditions, type, status, reason, message, now, generation)
    return tuple(conditions)


def set_stalled(
    conditions: Sequence[Condition], reason: str, message: str, now: datetime, generation: int
) -> tuple[Condition, ...]:
    """kstatus "Failed": it stays so until a person changes something."""
    conditions = remove_condition(conditions, ConditionType.RECONCILING)
    for type, status in ((ConditionType.READY, False), (ConditionType.STALLED, True)):
        conditions = set_condition(conditions, type, status, reason, message, now, generation)
    return tuple(conditions)


class KStatus(StrEnum):
    """What tools that know kstatus make of an object."""

    CURRENT = "Current"
    IN_PROGRESS = "InProgress"
    FAILED = "Failed"
    TERMINATING = "Terminating"


def kstatus(
    conditions: Sequence[Condition], *, generation: int, observed: int | None, deleting: bool
) -> KStatus:
    """The verdict of sigs.k8s.io/cli-utils' kstatus, in its order of questions."""
    if deleting:
        return KStatus.TERMINATING
    if observed is not None and observed != generation:
        return KStatus.IN_PROGRESS
    if is_true(conditions, ConditionType.RECONCILING):
        return KStatus.IN_PROGRESS
    if is_true(conditions, ConditionType.STALLED):
        return KStatus.FAILED
    ready = find_condition(conditions, ConditionType.READY)
    if ready is not None and ready.status is not ConditionStatus.TRUE:
        return KStatus.IN_PROGRESS
    return KStatus.CURRENT
