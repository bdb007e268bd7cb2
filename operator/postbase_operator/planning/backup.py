"""The plan of one Backup: Pending, Running, then Completed or Failed for good. PURE.

Level-triggered: each look decides anew from the status, the attempt that is there, and the record
in the store. The record decides: with it the backup is complete, even where its process was killed
right after; without it there is none, whatever the process says.

Every way ends. Who cannot begin for an hour fails; queuing does not count, as those in front end by
their own deadlines. A run ends by its deadline, all attempts together. What has ended for good
never runs again, and one that was completed before under this name is not run either
(backup_done.py).

A step that cannot be done (a Job that the cluster refuses) must not keep the clock from running:
the caller plans once more with the refusal as `hindrance`, and writes that plan's status only.

A failure is written down in the same look that stops the process. What that one still manages to
store is a leftover like those of a kill: no Backup refers to it, and the archive's sweep finds it.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from postbase_operator.api import conditions as cond
from postbase_operator.api.backup import Backup, BackupDeletionPolicy
from postbase_operator.api.database_status import FinishedRun
from postbase_operator.api.runs import RunPhase
from postbase_operator.planning import backup_status as tell
from postbase_operator.planning.backup_observed import BackupSeen, Limits, place_of
from postbase_operator.planning.backup_queue import QUEUED
from postbase_operator.planning.backup_run import (
    answer,
    fail,
    follow,
    is_source_gone,
    start,
    stop,
    with_source,
)
from postbase_operator.planning.backup_steps import (
    AbortLeftovers,
    BackupPlan,
    BackupStep,
    DeleteBytes,
    Release,
)
from postbase_operator.planning.retention import Policies

TURN_AGAIN = 10.0
"""Seconds until the next look of one that queues …"""
WAIT_AGAIN = 30.0
"""… and of one that cannot begin."""
STOP_AGAIN = 2.0
NEEDED_AGAIN = 600.0
SAID_RIGHT_BEFORE = timedelta(hours=1)
"""By two clocks: ours, and that of the API server."""
STOP_GRACE = timedelta(minutes=5)
"""How long a deletion waits for a process that does not end, as on a node that is lost."""


def plan_backup(
    backup: Backup, seen: BackupSeen, policies: Policies, limits: Limits, now: datetime
) -> BackupPlan:
    """What is done now for one Backup, and what its status tells."""
    if backup.metadata.is_deleting:
        return _deletion(backup, seen, now)
    if backup.is_done():
        return _rest(backup, seen)
    if seen.record is not None:
        after = tell.completed(backup, seen.record, policies, now, seen.verified_at)
        return answer(backup, after)
    attempts = max(backup.status.attempts, seen.job.attempt if seen.job else 0)
    if attempts:
        return follow(backup, seen, limits, now, attempts)
    if seen.done is not None and not seen.record_unknown:
        return _again(backup, seen, seen.done, policies, now)
    return _begin(backup, seen, limits, now)


def _rest(backup: Backup, seen: BackupSeen) -> BackupPlan:
    """It has ended for good: what still runs is stopped, what was verified is told."""
    held, found = backup.status, seen.verified_at
    if found is not None and held.object_key is not None:
        newest = max(found, held.verified_at or found)
        held = held.model_copy(update={"verified_at": newest})
    complete = held.phase is RunPhase.COMPLETED  # its process ends by itself, in a moment
    return BackupPlan(held, () if complete else tuple(stop(seen.job)))


def _again(
    backup: Backup, seen: BackupSeen, done: FinishedRun, policies: Policies, now: datetime
) -> BackupPlan:
    """It was completed before, and came back: complete it is, without a run."""
    if seen.done_record is None:
        return answer(backup, tell.gone(backup, done, now))
    return answer(backup, tell.completed(backup, seen.done_record, policies, now, seen.verified_at))


def _begin(backup: Backup, seen: BackupSeen, limits: Limits, now: datetime) -> BackupPlan:
    """The first attempt begins, unless something is in the way."""
    reason, message = _obstacle(backup, seen)
    if not reason:
        return start(backup, seen, limits, now)
    after = with_source(tell.waiting(backup, reason, message, now), seen)
    since = tell.waiting_since(after) or now
    late = now - since >= limits.waiting
    if reason == QUEUED:
        if late:
            message = f"{message}. It has waited since {since:%Y-%m-%dT%H:%M:%SZ}"
            after = with_source(tell.waiting(backup, reason, message, now), seen)
        return answer(backup, after, again=TURN_AGAIN)
    if late or reason == "DatabaseDeleted":
        return fail(backup, seen, reason, message, now)
    return answer(backup, after, again=WAIT_AGAIN)


def _obstacle(backup: Backup, seen: BackupSeen) -> tuple[str, str]:
    """The first thing that is in the way of a beginning: reason and sentence; "" where none is."""
    name = backup.spec.database_ref.name
    if is_source_gone(backup, seen):
        return "DatabaseDeleted", f"Database {name!r} was deleted before its backup began"
    if seen.source is None:
        return "DatabaseNotFound", f"There is no Database {name!r} in this namespace"
    if not seen.source.project_id:
        return "ProjectNotFound", f"The Project of Database {name!r} is not there"
    if seen.hindrance is not None:
        return seen.hindrance.reason, seen.hindrance.message
    if seen.store is not None:
        return seen.store.reason, seen.store.message
    if seen.record_unknown:
        return "StoreUnavailable", seen.record_unknown
    if seen.over_quota:
        return "PlanLimitExceeded", seen.over_quota
    if not seen.source.is_running:
        return "DatabaseNotReady", f"PostgreSQL of Database {name!r} does not answer"
    return (QUEUED, seen.queued) if seen.queued else ("", "")


def _deletion(backup: Backup, seen: BackupSeen, now: datetime) -> BackupPlan:
    """What runs is stopped; what is stored stays or goes, as spec.deletionPolicy or retention says.

    In a namespace that is going nothing is deleted from the bucket: who deletes a namespace has not
    been asked about backups.
    """
    held, asked = backup.status, backup.metadata.deletion_timestamp or now
    ending = stop(seen.job)
    if seen.namespace_going:
        return BackupPlan(held, (*ending, Release()))
    runs = seen.job is not None and not seen.job.has_ended
    if runs and now - asked < STOP_GRACE:
        return BackupPlan(held, tuple(ending), STOP_AGAIN)
    place = place_of(backup, seen.source) if _has_stored(backup, seen) else None
    if place is None:
        return BackupPlan(held, (*ending, Release()))
    if _takes_bytes(backup, asked):
        if seen.is_needed:
            return _needed(backup, now)
        return BackupPlan(held, (*ending, DeleteBytes(place.prefix), Release()))
    leftovers: list[BackupStep] = []
    if held.phase is not RunPhase.COMPLETED:
        leftovers.append(AbortLeftovers(place.prefix, needed=False))
    return BackupPlan(held, (*ending, *leftovers, Release()))


def _takes_bytes(backup: Backup, asked: datetime) -> bool:
    """Retention says so right before it deletes: one that was killed in between, and whose days a
    person has made more since, has said nothing of what that person deletes."""
    expired = backup.status.expired_at
    by_retention = expired is not None and abs(asked - expired) < SAID_RIGHT_BEFORE
    return by_retention or backup.spec.deletion_policy is BackupDeletionPolicy.DELETE


def _has_stored(backup: Backup, seen: BackupSeen) -> bool:
    """Something of it may lie in the store: of one that expired before nothing does."""
    if backup.status.phase is RunPhase.COMPLETED:
        return backup.status.object_key is not None
    return backup.status.attempts > 0 or seen.job is not None


def _needed(backup: Backup, now: datetime) -> BackupPlan:
    message = "The recovery window or a restore needs it: it goes as soon as they do not"
    if backup.status.expired_at is None:
        message += (
            ". With spec.deletionPolicy: Retain the object goes now, and what it stored stays"
        )
    generation = backup.metadata.generation
    said = ("NeededForRecovery", message, now, generation)
    held = cond.set_reconciling(backup.status.conditions, *said)
    after = backup.status.model_copy(update={"conditions": held})
    return answer(backup, after, again=NEEDED_AGAIN)
