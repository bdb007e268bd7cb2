"""What a PitrRestore's status tells: phase, conditions, plan and progress. PURE."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from postbase_operator.api import conditions as cond
from postbase_operator.api.base import Reference
from postbase_operator.api.conditions import Condition, ConditionType
from postbase_operator.api.database import Database
from postbase_operator.api.pitr_restore import PitrRestore
from postbase_operator.api.restore_status import (
    PitrRestoreStatus,
    PreviousVolume,
    RestoreMeasured,
    RestorePlan,
    RestoreProgress,
    RestoreStep,
)
from postbase_operator.api.runs import RunPhase
from postbase_operator.planning.backup_observed import JobState, RunState
from postbase_operator.planning.observed import Fill, Volume
from postbase_operator.planning.plan import Notice

PERCENT = {
    RestoreStep.PLANNING: 0,
    RestoreStep.FILLING: 10,
    RestoreStep.RECOVERING: 40,
    RestoreStep.STOPPING: 85,
    RestoreStep.VERIFYING: 85,
    RestoreStep.SWITCHING: 90,
}
"""Shares of the whole, as the steps usually take them."""
QUIET = frozenset({"Queued", "Filling", "Recovering"})


def waiting(restore: PitrRestore, reason: str, message: str, now: datetime) -> PitrRestoreStatus:
    held = _reconciling(restore, reason, message, now)
    return _status(restore, RunPhase.PENDING, held)


def running(
    restore: PitrRestore,
    plan: RestorePlan | None,
    step: RestoreStep,
    message: str,
    now: datetime,
    fill: Fill | None = None,
) -> PitrRestoreStatus:
    """The message goes into the condition, which is written where it differs: no moving figures."""
    held = _reconciling(restore, step.value, message, now)
    progress = advanced(restore.status, plan, step, fill, now)
    return _status(
        restore,
        RunPhase.RUNNING,
        held,
        plan=plan,
        progress=progress,
        started_at=restore.status.started_at or now,
    )


def advanced(
    before: PitrRestoreStatus,
    plan: RestorePlan | None,
    step: RestoreStep,
    fill: Fill | None,
    now: datetime,
) -> RestoreProgress:
    """As of now where something has moved; while PostgreSQL is stopped as of then."""
    told = before.progress
    if step is RestoreStep.STOPPING and told is not None and told.step is step:
        return told
    files = fill.progress if fill is not None else None
    percent = PERCENT[step]
    if step is RestoreStep.RECOVERING and files is not None and plan is not None:
        share = min(1.0, files.wal_files / max(1, plan.wal_files or 1))
        span = PERCENT[RestoreStep.STOPPING] - percent
        percent += round(share * span)
    started = before.started_at or now
    seconds = plan.estimated_seconds if plan is not None else None
    ends = started + timedelta(seconds=seconds) if seconds is not None else None
    if ends is not None and ends <= now:
        ends = None  # it takes longer than was thought: no end is better than a wrong one
    made = RestoreProgress(
        step=step,
        percent=percent,
        bytes_done=files.bytes if files is not None else None,
        wal_files_done=files.wal_files if files is not None else None,
        estimated_completion_time=ends,
    )
    if told is not None and told.model_copy(update={"observed_at": None}) == made:
        return told
    moves = files is not None or step is RestoreStep.STOPPING
    return made.model_copy(update={"observed_at": now if moves else None})


def with_bytes(after: PitrRestoreStatus, done: int, now: datetime) -> PitrRestoreStatus:
    """Told in steps of a tenth, so that a restore that goes on costs some writes and not many."""
    held = after.progress
    if held is None or done <= 0:
        return after
    step = 10 ** max(0, len(str(done)) - 2)
    told = done // step * step
    progress = held.model_copy(update={"bytes_done": told, "observed_at": now})
    return after.model_copy(update={"progress": progress})


def with_times(
    restore: PitrRestore, job: JobState | None, measured: RestoreMeasured
) -> PitrRestore:
    """As its status will have it. Of several attempts the last one's times do not say it all."""
    if job is None or job.attempt != 1 or job.state is not RunState.SUCCEEDED:
        return restore
    status = restore.status.model_copy(update={"measured": measured})
    return restore.model_copy(update={"status": status})


def planned(
    restore: PitrRestore, plan: RestorePlan, serving: Volume | None, now: datetime
) -> PitrRestoreStatus:
    """With the volume that will be replaced: afterwards nothing else tells which it was."""
    after = running(restore, plan, RestoreStep.PLANNING, "Planned", now)
    if serving is None:
        return after
    return after.model_copy(update={"previous_volume": PreviousVolume(claim_name=serving.name)})


def dry_run(restore: PitrRestore, plan: RestorePlan, now: datetime) -> PitrRestoreStatus:
    said = ("Planned", "status.plan says what would be done; nothing was", now)
    held = cond.set_ready(restore.status.conditions, *said, restore.metadata.generation)
    return _status(restore, RunPhase.COMPLETED, held, plan=plan, completed_at=now)


def done_before(restore: PitrRestore, now: datetime) -> PitrRestoreStatus:
    message = "Was done before, under this name; another name does it once more"
    said = ("DoneBefore", message, now, restore.metadata.generation)
    held = cond.set_ready(restore.status.conditions, *said)
    return _status(restore, RunPhase.COMPLETED, held, completed_at=now)


def completed(
    restore: PitrRestore, target: Reference, former: Sequence[Volume], now: datetime
) -> PitrRestoreStatus:
    told = restore.status.previous_volume
    named = [each for each in former if told is not None and each.name == told.claim_name]
    latest = max(named or former, key=lambda each: each.generation, default=None)
    message = f"Database {target.name} holds what was restored"
    held = cond.set_ready(
        restore.status.conditions, "Completed", message, now, restore.metadata.generation
    )
    facts: dict[str, Any] = {}
    plan = restore.status.plan
    if latest is not None:
        until = latest.delete_after
        facts["previous_volume"] = PreviousVolume(claim_name=latest.name, kept_until=until)
    return _status(
        restore,
        RunPhase.COMPLETED,
        held,
        database_ref=target,
        completed_at=now,
        progress=RestoreProgress(percent=100),
        recovered_lsn=plan.target_lsn if plan else None,
        recovered_to=plan.last_commit_time if plan else None,
        wal_files_applied=plan.wal_files if plan else None,
        **facts,
    )


def failed(restore: PitrRestore, reason: str, message: str, now: datetime) -> PitrRestoreStatus:
    generation = restore.metadata.generation
    held = cond.set_stalled(restore.status.conditions, reason, message, now, generation)
    ended: dict[str, Any] = {"completed_at": now, "progress": None}
    ended |= {"previous_volume": None, "previous_database": None}
    return _status(restore, RunPhase.FAILED, held, **ended)


def ready_of(db: Database) -> Condition | None:
    """The condition Ready, where it is about the present spec."""
    if db.status.observed_generation != db.metadata.generation:
        return None
    return cond.find_condition(db.status.conditions, ConditionType.READY)


def notices(before: PitrRestoreStatus, after: PitrRestoreStatus) -> tuple[Notice, ...]:
    """An Event at each change of the Ready condition's reason to one that is news."""
    old, new = (cond.find_condition(s.conditions, ConditionType.READY) for s in (before, after))
    if new is None or new.reason in QUIET or (old is not None and old.reason == new.reason):
        return ()
    type = "Warning" if after.phase is RunPhase.FAILED else "Normal"
    return (Notice(type, new.reason, new.message),)


def _reconciling(
    restore: PitrRestore, reason: str, message: str, now: datetime
) -> tuple[Condition, ...]:
    generation = restore.metadata.generation
    return cond.set_reconciling(restore.status.conditions, reason, message, now, generation)


def _status(
    restore: PitrRestore, phase: RunPhase, conditions: tuple[Condition, ...], **facts: Any
) -> PitrRestoreStatus:
    update = {
        "id": restore.id,
        "phase": phase,
        "observed_generation": restore.metadata.generation,
        "conditions": conditions,
        **facts,
    }
    return restore.status.model_copy(update=update)
