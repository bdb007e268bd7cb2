"""Which Backups of a Database are over, and which never go; how much room they may take. PURE.

One planner for the schedule's backups and for those of point-in-time recovery: two would delete
each other's anchors. What stays, whatever its age:

- the recovery window's anchor, that is the newest physical backup that was complete when the window
  begins, and every physical backup after it. With it, and the log from it on, each second of the
  window can be restored;
- what an unfinished restore has pinned;
- the last verified backup: the last verified physical one while the log is archived, as only that
  one can be rolled forward, else the last verified of any method. Where none has ever been
  verified, the last complete one.

A physical backup with damaged pages takes the place of a sound one in none of these.
A Backup without bytes (failed, or expired before and brought back by Git) keeps nothing and is kept
by nothing. What is being deleted counts as gone already.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from postbase_operator.api.backup import Backup, BackupOrigin
from postbase_operator.api.policies import BackupMethod, BackupPolicy, PitrPolicy
from postbase_operator.api.project import Project
from postbase_operator.api.runs import RunPhase

FAILED_FOR = timedelta(days=7)
"""How long a failed Backup stays to be looked at, where a later one has succeeded."""


@dataclass(frozen=True, slots=True)
class Policies:
    """The Database's settings in force. Of one that is gone: as they last were, without PITR."""

    backup: BackupPolicy
    pitr: PitrPolicy

    def lifetime(self, backup: Backup) -> timedelta | None:
        """How long it is kept after its completion; None: until somebody deletes it."""
        days = backup.spec.retention_days
        if days is None and backup.origin is BackupOrigin.SCHEDULE:
            days = self.backup.retention_days
        if days is None and backup.origin is BackupOrigin.PITR:
            days = self.pitr.retention_days
        return None if days is None else timedelta(days=days)


@dataclass(frozen=True, slots=True)
class Expiry:
    """A Backup that is to be deleted. `bytes`: what it stored goes with it."""

    name: str
    bytes: bool
    reason: str  # Expired | FailedLongAgo


def expired(
    backups: Sequence[Backup], policies: Policies, now: datetime, pinned: Collection[str] = ()
) -> list[Expiry]:
    """Of all Backups of one Database, those that are over, the oldest first.

    `pinned` are names of Backups that unfinished restores read from.
    """
    there = sorted((b for b in backups if not b.metadata.is_deleting), key=_age)
    kept = {*pinned, *(backup.metadata.name for backup in _kept(there, policies, now))}
    over = [
        Expiry(backup.metadata.name, bytes=True, reason="Expired")
        for backup in _complete(there)
        if _is_old(backup, policies, now) and backup.metadata.name not in kept
    ]
    return over + [
        Expiry(backup.metadata.name, bytes=False, reason="FailedLongAgo")
        for backup in _failures(there, now)
        if backup.metadata.name not in kept
    ]


def expires_at(backup: Backup, policies: Policies, completed_at: datetime) -> datetime | None:
    """When it is deleted by itself, at the earliest: what a window still needs stays longer."""
    lifetime = policies.lifetime(backup)
    return None if lifetime is None else completed_at + lifetime


def anchor(backups: Sequence[Backup], pitr: PitrPolicy, now: datetime) -> Backup | None:
    """The backup that the recovery window begins with, from whose start on the log is needed.

    The newest physical one that was complete at the window's begin; while there is none so old, the
    oldest there is. None without point-in-time recovery or a physical backup.
    """
    if not pitr.enabled:
        return None
    physical = [backup for backup in _complete(backups) if _is_physical(backup)]
    begin = now - timedelta(days=pitr.retention_days)
    before = [backup for backup in physical if _completed(backup) <= begin]
    if before:
        return max([b for b in before if _is_sound(b)] or before, key=_completed)
    return min(physical, key=_completed, default=None)


def is_needed(
    backup: Backup,
    backups: Sequence[Backup],
    policies: Policies,
    now: datetime,
    pinned: Collection[str] = (),
) -> bool:
    """Whether the recovery window or a restore needs its bytes: then no deletion takes them yet."""
    if backup.metadata.name in pinned:
        return True
    window = _window([*backups], policies.pitr, now)
    return any(each.metadata.name == backup.metadata.name for each in window)


def log_needed(
    backups: Sequence[Backup], policies: Policies, now: datetime, pinned: Collection[str] = ()
) -> list[Backup]:
    """The physical backups from whose start on the log is kept: those of the recovery window, also
    of one that is no longer written, the last verified one, and those that a restore reads from."""
    there = [backup for backup in backups if not backup.metadata.is_deleting]
    window = replace(policies.pitr, enabled=True)
    last = _last_good(there, window)
    kept = {*pinned, *(each.metadata.name for each in _window(there, window, now))}
    kept |= {last.metadata.name} if last is not None else set()
    complete = _complete(there)
    return [each for each in complete if _is_physical(each) and each.metadata.name in kept]


def physical(backups: Sequence[Backup]) -> list[Backup]:
    """Those that a recovery can begin with, the oldest first."""
    return sorted(filter(_is_physical, _complete(backups)), key=_age)


def quota(used_bytes: int, project: Project) -> str | None:
    """Why no backup may begin in the Project, for the reason PlanLimitExceeded; None: one may."""
    limit = project.spec.quota.backup_gib
    if limit is None or used_bytes < limit * 2**30:
        return None
    return (
        f"The backups of the Project {project.metadata.name!r} take {used_bytes / 2**30:.1f} GiB, "
        f"and spec.quota.backupGiB allows {limit}: raise it, or delete backups"
    )


def _kept(there: Sequence[Backup], policies: Policies, now: datetime) -> list[Backup]:
    last = _last_good(there, policies.pitr)
    return [*_window(there, policies.pitr, now), *([last] if last else [])]


def _window(there: Sequence[Backup], pitr: PitrPolicy, now: datetime) -> list[Backup]:
    """The anchor and all physical backups after it."""
    first = anchor(there, pitr, now)
    if first is None:
        return []
    complete = _complete(there)
    return [b for b in complete if _is_physical(b) and _completed(b) >= _completed(first)]


def _last_good(there: Sequence[Backup], pitr: PitrPolicy) -> Backup | None:
    complete = _complete(there)
    verified = [backup for backup in complete if backup.status.verified_at is not None]
    sound = [backup for backup in verified if _is_sound(backup)]
    physical = [backup for backup in sound if _is_physical(backup)]
    best = (physical if pitr.enabled else []) or sound or verified or complete
    return max(best, key=_completed, default=None)


def _is_old(backup: Backup, policies: Policies, now: datetime) -> bool:
    over = expires_at(backup, policies, _completed(backup))
    return over is not None and over <= now


def _failures(there: Sequence[Backup], now: datetime) -> list[Backup]:
    """Failed Backups that nobody needs to look at any more: a later one has succeeded."""
    failed = [b for b in there if b.status.phase is RunPhase.FAILED and b.status.completed_at]
    newest = max(failed, key=_completed, default=None)
    successes = [_completed(backup) for backup in _complete(there)]
    if newest is not None and not any(success > _completed(newest) for success in successes):
        failed.remove(newest)
    return [backup for backup in failed if _completed(backup) + FAILED_FOR <= now]


def _complete(there: Sequence[Backup]) -> list[Backup]:
    """Those that have something to restore from."""
    return [
        backup
        for backup in there
        if backup.status.phase is RunPhase.COMPLETED
        and backup.status.completed_at is not None
        and backup.status.object_key is not None
    ]


def _completed(backup: Backup) -> datetime:
    """When it was complete or failed. It was consistent before that, so no window is promised
    that begins too early."""
    if backup.status.completed_at is None:
        raise ValueError(f"{backup.metadata.name} has not ended")
    return backup.status.completed_at


def _age(backup: Backup) -> tuple[float, str]:
    at = backup.status.completed_at
    return (at.timestamp() if at else 0.0, backup.metadata.name)


def _is_sound(backup: Backup) -> bool:
    """Without a page that is known to be damaged."""
    return backup.status.checksums_verified is not False


def _is_physical(backup: Backup) -> bool:
    return backup.spec.method is BackupMethod.PHYSICAL
