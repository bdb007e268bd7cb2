"""What the planner of a Backup asks of the platform and of the store, and its whole answer.

As in plan.py: values, platform-neutral, each idempotent. They are done in their order, and before
the status is written; a kill in between costs a repetition.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from postbase_operator.api.backup import BackupStatus
from postbase_operator.planning.plan import Notice


@dataclass(frozen=True, slots=True)
class StartRun:
    """The run begins, as this attempt. Leaves: the run, by a name made from Backup and attempt.

    It ends by itself at `until`, also while no operator is there.
    """

    attempt: int
    until: datetime


@dataclass(frozen=True, slots=True)
class StopRun:
    """The attempt's run is ended, also where it hangs. Leaves: nothing of it but what it stored."""

    attempt: int


@dataclass(frozen=True, slots=True)
class AbortLeftovers:
    """What an unfinished run has stored under the prefix goes, uploads in progress too.

    Nothing goes where there is a record: that is a backup. Not `needed`: a store that does not
    answer is no reason to hold up the status; the sweep of the archive finds what stays.
    """

    prefix: str
    needed: bool = True


@dataclass(frozen=True, slots=True)
class DeleteBytes:
    """All that the backup has stored under the prefix goes: the record first, so that what a kill
    leaves is no backup that lacks a piece."""

    prefix: str


@dataclass(frozen=True, slots=True)
class DeleteObject:
    """The Backup is deleted, in the name of retention. `bytes`: status.expiredAt is set before, so
    that what it stored goes too."""

    name: str
    bytes: bool


@dataclass(frozen=True, slots=True)
class Release:
    """A deleted Backup may go: nothing is left to do for it. Leaves: no finalizer of ours."""


BackupStep = StartRun | StopRun | AbortLeftovers | DeleteBytes | DeleteObject | Release


@dataclass(frozen=True, slots=True)
class BackupPlan:
    """As plan.Plan, with the steps of a Backup. `requeue_after` is in seconds."""

    status: BackupStatus
    steps: tuple[BackupStep, ...] = ()
    requeue_after: float | None = None
    notices: tuple[Notice, ...] = ()
