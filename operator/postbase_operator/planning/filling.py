"""A volume out of a physical backup: made, filled and recovered, promoted. PURE.

The one machinery of all restores: of a new Database that begins with a backup, and of one in place.
Nothing that serves is touched before the volume is whole; what fails is told, and goes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from postbase_operator.api.pitr_restore import PitrRestore
from postbase_operator.api.restore_status import RestoreStep
from postbase_operator.archive.run import RecoveryTask
from postbase_operator.planning import plan as steps
from postbase_operator.planning.archived import falls_short
from postbase_operator.planning.backup_failure import back_off, can_help
from postbase_operator.planning.backup_observed import JobState, RunState
from postbase_operator.planning.observed import Fill, Observed, Volume, VolumeRole
from postbase_operator.planning.plan import Step

ATTEMPTS = 3
LOST = "RecoveryFailed"
"""Of a run that gave no reason."""
RECOVERING_AGAIN = 3.0
"""Seconds between looks at how far a recovery is: no event tells."""
NEVER_AGAIN = frozenset(
    {
        "BackupDamaged",
        "BackupMissing",
        "BackupNotPhysical",
        "ChecksumMismatch",
        "ImageMismatch",
        "WalGap",
        "VersionMismatch",
        "VolumeFull",
    }
)
"""Reasons of a fill that another attempt would only find again."""


@dataclass(frozen=True, slots=True)
class Filling:
    """Where it stands. `ready`: the volume is whole and may be promoted."""

    step: RestoreStep
    message: str
    todo: tuple[Step, ...] = ()
    ready: Volume | None = None
    system_id: str = ""
    failed: str = ""
    """The reason for which it is given up."""
    again: float = 15.0


def filling(
    seen: Observed,
    restore: str,
    object_key: str,
    now: datetime,
    recovery: RecoveryTask | None = None,
) -> Filling:
    """What is done now for the restore with this UID."""
    mine = [each for each in seen.volumes if each.restore == restore and not each.deleting]
    volume = max(mine, key=lambda each: each.generation, default=None)
    if volume is None:
        make = steps.CreateVolume(seen.highest_generation + 1, restore=restore)
        return Filling(RestoreStep.FILLING, "A volume is being made", (make,), again=0.0)
    if volume.role is not VolumeRole.FILLING:
        return Filling(RestoreStep.SWITCHING, "", ready=volume, system_id=volume.system_id)
    fill = seen.fill if seen.fill is not None and seen.fill.volume == volume.name else None
    if fill is None:
        return _start(volume, object_key, 1, recovery)
    return _judge(volume, object_key, fill, now, recovery)


def _start(volume: Volume, object_key: str, attempt: int, recovery: RecoveryTask | None) -> Filling:
    todo = (steps.FillVolume(volume.name, volume.restore, object_key, attempt, recovery),)
    return Filling(RestoreStep.FILLING, "The backup is being fetched", todo, again=5.0)


def _judge(
    volume: Volume, object_key: str, fill: Fill, now: datetime, recovery: RecoveryTask | None
) -> Filling:
    job = fill.job
    if job.state is RunState.SUCCEEDED and fill.system_id:
        short = falls_short(fill.task or recovery, fill.last_commit)
        if short:
            return Filling(RestoreStep.VERIFYING, short, failed="RecoveryFailed")
        step = RestoreStep.SWITCHING
        return Filling(step, "Recovered", ready=volume, system_id=fill.system_id, again=0.0)
    if fill.staged and not job.has_ended:
        recover = steps.RecoverVolume(volume.name, volume.restore)
        message = "PostgreSQL is started on the copy"
        return Filling(RestoreStep.RECOVERING, message, (recover,), again=RECOVERING_AGAIN)
    if job.state not in (RunState.FAILED, RunState.SUCCEEDED):
        message = job.message or "The backup is being fetched and recovered"
        step = RestoreStep.RECOVERING if fill.recovers else RestoreStep.FILLING
        return Filling(step, message, again=RECOVERING_AGAIN if fill.recovers else 15.0)
    reason = job.reason or LOST
    if is_given_up(job):
        return Filling(RestoreStep.FILLING, job.message, failed=reason)
    due = (job.ended_at or job.since) + back_off(job.attempt)
    if now < due:
        wait = max(1.0, (due - now).total_seconds())
        message = f"Attempt {job.attempt} of {ATTEMPTS} failed ({reason}: {job.message})"
        return Filling(RestoreStep.FILLING, message, again=wait)
    return _start(volume, object_key, job.attempt + 1, recovery)


def is_given_up(job: JobState) -> bool:
    """Of one that has failed: no attempt follows."""
    reason = job.reason or LOST
    return reason in NEVER_AGAIN or not can_help(reason) or job.attempt >= ATTEMPTS


def orphans(seen: Observed, restores: Sequence[PitrRestore]) -> list[Step]:
    """What was being filled for a restore which is gone, or has ended otherwise: volumes, and runs
    that were started at the very moment at which their volume was given up."""
    wanted = {each.metadata.uid for each in restores if not each.is_done()}
    volumes: list[Step] = [
        steps.FailVolume(each.name)
        for each in seen.volumes
        if each.role is VolumeRole.FILLING and not each.deleting and each.restore not in wanted
    ]
    return volumes + [steps.EndFill(run) for run in seen.stray_fills]


def left_halfway(seen: Observed, restores: Sequence[PitrRestore]) -> list[Step]:
    """The second mark of a switch whose restore was deleted after the first: else the volume that
    was replaced counts as serving for ever, and no undo finds it. It is nobody's to delete."""
    marked = [v for v in seen.volumes if v.role is VolumeRole.CURRENT and not v.deleting]
    under_way = any(not each.is_done() and not each.spec.dry_run for each in restores)
    current = seen.current
    if current is None or len(marked) < 2 or under_way:
        return []
    return [steps.PromoteVolume(current.name, current.system_id, current.restore)]
