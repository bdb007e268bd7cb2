"""What the archive says to a wish: a recovery that can be, or why it cannot. PURE.

Asked by the platform, since it takes requests; told to the planners of Databases and PitrRestores.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from postbase_operator.api.bootstrap import RestoreFrom
from postbase_operator.api.database_status import RecoveryWindow
from postbase_operator.api.restore_status import RestorePlan
from postbase_operator.archive.lsn import Lsn
from postbase_operator.archive.run import RecoveryTask
from postbase_operator.planning.recovery_way import Recovery


@dataclass(frozen=True, slots=True)
class Wish:
    """A moment, a position, a backup as it is, or (all None) all that there is."""

    time: datetime | None = None
    lsn: Lsn | None = None
    backup_id: str | None = None
    timeline: int | None = None
    """Of the branch that is meant; None: the one that is written now."""
    live: int | None = None
    """The timeline that the server is known to write; None: the archive's own word is taken."""


def wish_from(wanted: RestoreFrom) -> Wish:
    """What spec.bootstrap.restore asks for."""
    lsn = Lsn.parse(wanted.lsn) if wanted.lsn is not None else None
    return Wish(wanted.target_time, lsn, wanted.backup_id, wanted.timeline)


@dataclass(frozen=True, slots=True)
class Offer:
    """The archive's answer. Without `plan` there is a `reason`."""

    plan: RestorePlan | None = None
    reason: str = ""
    message: str = ""
    passing: bool = False
    """It may be otherwise in a moment."""
    version: str = ""
    """PostgreSQL's, of the data."""


@dataclass(frozen=True, slots=True)
class Stopped:
    """Where the log of a server ends that was stopped; `cleanly`: with its own last word."""

    end: Lsn
    cleanly: bool


def offered(found: Recovery, wish: Wish) -> Offer:
    """The recovery as a status tells it, and as it is carried out from there."""
    plan = RestorePlan(
        backup_id=found.base.id,
        object_key=found.base.place.object_key,
        backup_time=found.base.completed_at,
        window=RecoveryWindow(from_=found.span.begin, to=found.span.until),
        target_time=wish.time,
        start_lsn=str(found.start),
        target_lsn=str(found.end),
        stop_at=found.stop_at,
        last_commit_time=found.last_commit,
        timelines=found.timelines,
        bytes=found.bytes,
        content_bytes=max(found.base.size_bytes, found.base.source_bytes),
        log_bytes=found.log_bytes,
        wal_files=found.wal_files,
        warnings=found.warnings,
    )
    return Offer(plan, version=found.base.postgres_version)


def task_of(
    plan: RestorePlan, restore: str, *, in_place: bool, follows: bool = False
) -> RecoveryTask | None:
    """What the volume's Job is told beside the backup; None where that is all there is to do.

    `follows`: the log goes on, and its end is said later.
    """
    if plan.target_lsn is None or plan.object_key is None or not plan.timelines:
        return None
    return RecoveryTask(
        restore=restore,
        timeline=plan.timelines[-1],
        end=None if follows else plan.target_lsn,
        stop_at=plan.stop_at,
        keeps_archive=in_place,
        last_commit=plan.last_commit_time,
        wal_files=plan.wal_files or 0,
    )


def falls_short(task: RecoveryTask | None, said: str) -> str:
    """Why what was recovered is not what was planned, by the server's own last commit; "" if it is.

    A server that says nothing (it was killed after its recovery, and started again) is believed.
    """
    if task is None or not said:
        return ""
    last = datetime.fromisoformat(said)
    if task.last_commit is not None and last < task.last_commit:
        return f"its last commit is of {said}, and {task.last_commit.isoformat()} was planned"
    if task.stop_at is not None and last > task.stop_at:
        return f"its last commit is of {said}, after the target"
    return ""
