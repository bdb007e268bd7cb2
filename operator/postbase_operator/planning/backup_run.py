"""The run of a Backup: its attempts one after the other, each way to an end, and the end. PURE."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

from postbase_operator.api.backup import Backup, BackupOrigin, BackupStatus
from postbase_operator.planning import backup_status as tell
from postbase_operator.planning.backup_failure import back_off, can_help, told
from postbase_operator.planning.backup_observed import (
    BackupSeen,
    JobState,
    Limits,
    RunState,
    place_of,
)
from postbase_operator.planning.backup_steps import (
    AbortLeftovers,
    BackupPlan,
    BackupStep,
    StartRun,
    StopRun,
)

LOOK_AGAIN = 30.0
"""Seconds until the next look at a run that no event tells of."""
RUNNING = "The backup is being taken"
STARTING = "The backup is being begun"
STOPPING = "The backup is being stopped"


def answer(
    backup: Backup, after: BackupStatus, *steps: BackupStep, again: float | None = None
) -> BackupPlan:
    """The plan with this status, and the events that it is worth."""
    return BackupPlan(after, steps, again, tell.notices(backup.status, after))


def stop(job: JobState | None) -> list[BackupStep]:
    """Ends an attempt that has not ended."""
    if job is None or job.has_ended or job.state is RunState.STOPPING:
        return []
    return [StopRun(job.attempt)]


def is_source_gone(backup: Backup, seen: BackupSeen) -> bool:
    """The Database that this backup is of is gone, or is going and this is not its last one."""
    known = backup.status.database_uid
    if seen.source is None:
        return known is not None
    if known is not None and seen.source.uid != known:
        return True
    return seen.source.is_deleting and backup.origin is not BackupOrigin.FINAL


def with_source(after: BackupStatus, seen: BackupSeen) -> BackupStatus:
    """The status with the Database that it is of: from then on no other one counts."""
    if seen.source is None:
        return after
    return after.model_copy(update={"database_uid": seen.source.uid})


def start(
    backup: Backup, seen: BackupSeen, limits: Limits, now: datetime, attempt: int = 1
) -> BackupPlan:
    """An attempt begins, in a place where nothing of an earlier one lies: other bytes under the
    same key would be a conflict."""
    begun = backup.status.started_at or now
    place = place_of(backup, seen.source)
    steps: list[BackupStep] = []
    if attempt > 1 and place is not None:
        steps.append(AbortLeftovers(place.prefix))
    steps.append(StartRun(attempt, until=_deadline(begun, seen, limits)))
    which = f", for attempt {attempt} of {limits.attempts}" if attempt > 1 else ""
    after = tell.running(
        backup,
        "Starting",
        f"{STARTING}{which}",
        now,
        started_at=begun,
        attempts=attempt,
        object_key=place.object_key if place else None,
        progress=None,
    )
    return answer(backup, with_source(after, seen), *steps, again=LOOK_AGAIN)


def follow(
    backup: Backup, seen: BackupSeen, limits: Limits, now: datetime, attempts: int
) -> BackupPlan:
    """Begun this many times, and not known to be complete."""
    job = seen.job
    begun = backup.status.started_at or (job.since if job else now)
    backup = _noted(backup, seen, begun, attempts)
    end = _deadline(begun, seen, limits)
    if is_source_gone(backup, seen):
        message = f"Database {backup.spec.database_ref.name!r} was deleted while its backup ran"
        return fail(backup, seen, "DatabaseDeleted", message, now)
    if now >= end:
        why = (seen.record_unknown or job.message or job.reason) if job else "what ran it is gone"
        message = f"Not complete by {end:%Y-%m-%dT%H:%M:%SZ}" + (f": {why}" if why else "")
        return fail(backup, seen, "DeadlineExceeded", message, now)
    again = min(LOOK_AGAIN, (end - now).total_seconds())
    if seen.hindrance is not None:
        after = tell.running(backup, seen.hindrance.reason, seen.hindrance.message, now)
        return answer(backup, after, again=again)
    if job is None or job.has_ended:
        if seen.record_unknown:  # it may well be complete
            after = tell.running(backup, "StoreUnavailable", seen.record_unknown, now)
            return answer(backup, after, again=again)
        return _next(backup, seen, limits, now, _end(job))
    if job.state is RunState.WAITING and now - job.since >= limits.starting:
        message = f"It did not start: {job.message or 'no reason is given'}"
        return fail(backup, seen, job.reason or "NotStarted", message, now)
    reason, message = _doing(job)
    progress = tell.progress(backup.status.progress, job.progress)
    after = tell.running(backup, reason, message, now, progress=progress)
    return answer(backup, after, again=again)


def fail(backup: Backup, seen: BackupSeen, reason: str, message: str, now: datetime) -> BackupPlan:
    """Failed for good, in the same look that stops what still runs."""
    steps = stop(seen.job)
    place = place_of(backup, seen.source)
    if backup.status.attempts and place is not None and not seen.record_unknown:
        # Where the store does not answer it may be complete all the same: the sweep will know.
        steps.append(AbortLeftovers(place.prefix, needed=False))
    return answer(backup, tell.failed(backup, reason, told(reason, message), now), *steps)


def _noted(backup: Backup, seen: BackupSeen, begun: datetime, attempts: int) -> Backup:
    """With what the look noted that began the attempt; a kill may have kept it from doing so."""
    place = place_of(backup, seen.source)
    facts = {
        "started_at": begun,
        "attempts": attempts,
        "object_key": place.object_key if place else None,
    }
    status = backup.status.model_copy(update=facts)
    if status.database_uid is None:
        status = with_source(status, seen)
    return backup.model_copy(update={"status": status})


def _deadline(begun: datetime, seen: BackupSeen, limits: Limits) -> datetime:
    return begun + limits.running(seen.source.size_bytes if seen.source else None)


def _end(job: JobState | None) -> JobState | None:
    """How the attempt failed, without a record; None where nothing is left that could tell."""
    if job is None or job.state is RunState.FAILED:
        return job
    message = "It ended well, and there is no record of it in the store"
    return replace(job, state=RunState.FAILED, reason="RecordMissing", message=message)


def _next(
    backup: Backup, seen: BackupSeen, limits: Limits, now: datetime, ended: JobState | None
) -> BackupPlan:
    """After a failed attempt: another one, in a while where one may help."""
    attempts = backup.status.attempts
    reason = (ended.reason or "RunFailed") if ended else "RunLost"
    message = ended.message if ended else "What ran the backup is gone, and nobody knows why"
    if not can_help(reason) or attempts >= limits.attempts:
        return fail(backup, seen, reason, message, now)
    pause = back_off(attempts)
    since = (ended.ended_at or ended.since) if ended else now - pause
    wait = min(pause, since + pause - now)
    if wait <= timedelta():
        return start(backup, seen, limits, now, attempts + 1)
    message = f"Attempt {attempts} of {limits.attempts} failed ({reason}: {message})"
    after = tell.running(backup, "Retrying", f"{message}; the next follows", now)
    return answer(backup, after, again=wait.total_seconds())


def _doing(job: JobState) -> tuple[str, str]:
    match job.state:
        case RunState.WAITING:
            return "Starting", job.message or STARTING
        case RunState.STOPPING:
            return "Stopping", STOPPING
    return "Running", RUNNING
