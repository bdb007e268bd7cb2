"""Backup and point-in-time recovery: as settings of a Project or a Database, and as they result.

A Database's word stands over its Project's, and that over the product's. So the settings have no
schema defaults (a default could not be told from a choice); what results is shown in the status.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from typing import Annotated, Any

from pydantic import Field

from postbase_operator.api.base import Model
from postbase_operator.api.rules import Rule
from postbase_operator.api.scalars import (
    CronSchedule,
    Duration,
    TimeZoneName,
    ZeroOrDuration,
    between,
)


class BackupMethod(StrEnum):
    """How a backup is taken."""

    LOGICAL = "Logical"
    PHYSICAL = "Physical"


class RecoveryPoint(StrEnum):
    """How much a lost volume may cost."""

    ASYNC = "Async"
    ZERO = "Zero"


class BackupSettings(Model):
    """When backups are made by themselves, how, and how long they are kept."""

    schedule: CronSchedule | None = Field(
        None,
        description="When to back up: five cron fields or a macro such as @daily. Missed runs are "
        "made once, never one by one. Default: the Project's, else `0 3 * * *`.",
    )
    time_zone: TimeZoneName | None = Field(
        None,
        description="Zone of the schedule, by its IANA name, e.g. Europe/Berlin. "
        "Default: the Project's, else UTC.",
    )
    suspend: bool | None = Field(
        None,
        description="True stops scheduled backups; backups on request still run. "
        "Default: the Project's, else false.",
    )
    method: BackupMethod | None = Field(
        None,
        description="Logical is a pg_dump, which any major version can restore; Physical is a copy "
        "of the files, quicker for large databases. Default: the Project's, else Logical.",
    )
    retention_days: int | None = Field(
        None,
        ge=1,
        le=3650,
        description="Days until a scheduled backup is deleted. The last verified one, and what "
        "point-in-time recovery still needs, always stay. Default: the Project's, else 30.",
    )
    spread: (
        Annotated[
            ZeroOrDuration,
            between(
                "backup.spread",
                "0s",
                "24h",
                "a backup a day must still be one a day",
                of="string(self)",
            ),
        ]
        | None
    ) = Field(
        None,
        description="Backups start within this time after the schedule, each Database at a fixed "
        "moment of its own, so that not all begin at once. 0 starts on the minute. "
        "Default: the Project's, else 30m.",
    )


class PitrSettings(Model):
    """Continuous archiving of the write-ahead log, and with it recovery to any second."""

    rules = (
        Rule(
            "!has(self.fallbackAfter) || (has(self.rpo) && self.rpo == 'Zero')",
            message="pitr.fallbackAfter has a meaning only with rpo Zero: set rpo: Zero beside it "
            "or remove fallbackAfter",
        ),
    )

    enabled: bool | None = Field(
        None,
        description="True archives every change within a second; switching on or off never "
        "restarts PostgreSQL. Default: the Project's, else false.",
    )
    retention_days: int | None = Field(
        None,
        ge=1,
        le=365,
        description="Length of the recovery window in days: any second within it can be restored. "
        "Default: the Project's, else 7.",
    )
    rpo: RecoveryPoint | None = Field(
        None,
        description="What the loss of a volume may cost. Async: less than a second of commits. "
        "Zero: nothing; each commit waits until the object store has it. "
        "Default: the Project's, else Async.",
    )
    fallback_after: (
        Annotated[
            Duration,
            between("pitr.fallbackAfter", "1s", "8760h", "with no wait at all set rpo: Async"),
        ]
        | None
    ) = Field(
        None,
        description="With rpo Zero: after this time without the object store, commits no longer "
        "wait for it (as with Async) until it is back. Default: they wait.",
    )


@dataclass(frozen=True, slots=True)
class BackupPolicy:
    """What the settings come to, with the product's own values below them."""

    schedule: str = "0 3 * * *"
    time_zone: str = "UTC"
    suspend: bool = False
    method: BackupMethod = BackupMethod.LOGICAL
    retention_days: int = 30
    spread: timedelta = timedelta(minutes=30)

    @classmethod
    def of(cls, database: BackupSettings, project: BackupSettings) -> BackupPolicy:
        return cls(**_chosen(project) | _chosen(database))


@dataclass(frozen=True, slots=True)
class PitrPolicy:
    """What the settings come to, with the product's own values below them."""

    enabled: bool = False
    retention_days: int = 7
    rpo: RecoveryPoint = RecoveryPoint.ASYNC
    fallback_after: timedelta | None = None

    @classmethod
    def of(cls, database: PitrSettings, project: PitrSettings) -> PitrPolicy:
        chosen = _chosen(project) | _chosen(database)
        if chosen.get("rpo") is not RecoveryPoint.ZERO:
            chosen.pop("fallback_after", None)  # a Project's, under a Database that says Async
        return cls(**chosen)


def _chosen(settings: Model) -> dict[str, Any]:
    return {name: value for name, value in settings if value is not None}
