"""When a base backup is taken for point-in-time recovery. PURE.

At once where nothing of what is written now can be restored: archiving has just begun, or the log
has a gap. Then so often that the window holds and a replay stays short.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from itertools import takewhile
from operator import itemgetter

from postbase_operator.api.backup import (
    DATABASE_LABEL,
    ORIGIN_LABEL,
    Backup,
    BackupOrigin,
    BackupSpec,
)
from postbase_operator.api.base import ObjectMeta, Reference
from postbase_operator.api.database import Database
from postbase_operator.api.policies import BackupMethod, PitrPolicy
from postbase_operator.api.runs import RunPhase
from postbase_operator.planning.window import Log, Window

DAY = timedelta(days=1)
LONGEST = timedelta(days=7)
REPLAYED = 32 * 2**30
"""Bytes of log after the newest base backup that are worth another one: some minutes of replay."""
FIRST_PAUSE = timedelta(minutes=5)
LONGEST_PAUSE = timedelta(hours=6)


def interval(policy: PitrPolicy) -> timedelta:
    """Time between two: half the retention, at least a day, at most a week."""
    return min(LONGEST, max(DAY, timedelta(days=policy.retention_days) / 2))


def reason(
    own: Sequence[Backup], window: Window, log: Log, policy: PitrPolicy, now: datetime
) -> str:
    """Why a base backup is due now; "" where none is, or one is on its way.

    `own` are all Backups of the Database. The receiver must stream: what a backup needs of the log
    is then archived from before its beginning.
    """
    physical = [each for each in own if each.spec.method is BackupMethod.PHYSICAL]
    if any(not each.is_done() for each in physical) or _is_too_early(physical, now):
        return ""
    if not window.bases:
        return "NoBaseBackup"
    newest, last = window.bases[-1], log.last()
    age = now - newest.completed_at
    if age >= interval(policy):
        return "Due"
    if last is not None and newest.timeline != last.run.timeline:
        return "TimelineChanged"
    if last is not None and age >= DAY and last.run.end - newest.start >= REPLAYED:
        return "MuchToReplay"
    return ""


def failures(own: Sequence[Backup]) -> list[datetime]:
    """When the last physical backups failed, since the last one that did not; the latest first."""
    ended = [
        (each.status.completed_at, each.status.phase is RunPhase.FAILED)
        for each in own
        if each.spec.method is BackupMethod.PHYSICAL and each.status.completed_at is not None
    ]
    ended.sort(key=lambda end: end[0], reverse=True)
    failed = takewhile(itemgetter(1), ended)
    return [moment for moment, _ in failed]


def _is_too_early(own: Sequence[Backup], now: datetime) -> bool:
    """What has failed is tried again later, and each time later still."""
    failed = failures(own)
    if not failed:
        return False
    pause = min(LONGEST_PAUSE, FIRST_PAUSE * (1 << min(len(failed) - 1, 16)))
    return now < failed[0] + pause


def base_backup(db: Database, why: str, now: datetime) -> Backup:
    """One a minute at most, by its name: two operators make the same."""
    return Backup(
        metadata=ObjectMeta(
            name=f"{db.metadata.name}-base-{now:%Y%m%d%H%M}",
            namespace=db.metadata.namespace,
            labels={DATABASE_LABEL: db.metadata.name, ORIGIN_LABEL: BackupOrigin.PITR},
        ),
        spec=BackupSpec(
            database_ref=Reference(name=db.metadata.name),
            method=BackupMethod.PHYSICAL,
            description=f"For point-in-time recovery: {why}",
        ),
    )
