"""Restores out of the archive: to a moment, a position, or all that there is. PURE.

`latest` in place loses nothing: the log is followed while the Database serves; then PostgreSQL is
stopped cleanly, its last word is waited for, and the log is replayed up to that very byte.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta

from postbase_operator.api.backup import Backup
from postbase_operator.api.base import Empty
from postbase_operator.api.bootstrap import Bootstrap, Origin, RestoreFrom
from postbase_operator.api.database import Database
from postbase_operator.api.pitr_restore import PitrRestore, Source
from postbase_operator.api.restore_status import (
    PitrRestoreStatus,
    RestorePlan,
    RestoreReason,
    RestoreStep,
)
from postbase_operator.archive.keys import PhysicalFolder, RecoveryEndKey
from postbase_operator.archive.lsn import Lsn
from postbase_operator.archive.run import RecoveryTask
from postbase_operator.errors import InvalidSpec, PostbaseError
from postbase_operator.planning import plan as steps
from postbase_operator.planning import restore_status as tell
from postbase_operator.planning.archived import Offer, Stopped, Wish, task_of
from postbase_operator.planning.backup_observed import RunState
from postbase_operator.planning.observed import Observed, ProcessState
from postbase_operator.planning.plan import Plan, Step
from postbase_operator.planning.recovery import PATIENCE

AGAIN = 2.0

FLUSH_PATIENCE = timedelta(minutes=3)
"""How long the archive may take, after PostgreSQL was stopped, to hold all of its log."""
NOT_IN_A_BACKUP = "Replication slots, statistics and the rows of unlogged tables are not restored"


class Waits(PostbaseError):
    """Not yet; `reason` is the condition's word."""

    def __init__(self, reason: str, why: str) -> None:
        super().__init__(why)
        self.reason = reason


def wish_of(source: Source) -> Wish | None:
    """None where the archive is not asked."""
    if source.target_time is not None:
        return Wish(time=source.target_time, timeline=source.timeline)
    if source.lsn is not None:
        return Wish(lsn=Lsn.parse(source.lsn), timeline=source.timeline)
    return Wish() if source.latest is not None else None


def recovery_plan(
    restore: PitrRestore, db: Database, offer: Offer | None, now: datetime
) -> RestorePlan:
    """Raises InvalidSpec for what cannot be, Waits for what may be in a moment."""
    if offer is None:
        raise Waits("Pending", "The archive has not been asked yet")
    if offer.plan is None:
        if offer.passing and _may_wait(restore, offer, now):
            raise Waits(RestoreReason.WAITING_FOR_ARCHIVE.value, offer.message)
        raise InvalidSpec("spec.source", offer.message, offer.reason)
    theirs, ours = (v.split(".")[0] for v in (offer.version, db.status.version or ""))
    if restore.spec.target.in_place is not None and ours and theirs != ours:
        why = f"the archive's data is of PostgreSQL {theirs}, and the Database of {ours}"
        raise InvalidSpec("spec.source", why, "VersionMismatch")
    return offer.plan.model_copy(update={"warnings": warnings(restore, offer.plan)})


def _may_wait(restore: PitrRestore, offer: Offer, now: datetime) -> bool:
    """A hole that is being filled is soon a gap or none, also for one that had to wait its turn."""
    made = restore.metadata.creation_timestamp or now
    return offer.reason == RestoreReason.WAL_GAP.value or now - made < PATIENCE


def warnings(restore: PitrRestore, plan: RestorePlan) -> tuple[str, ...]:
    found = [*plan.warnings, NOT_IN_A_BACKUP]
    if restore.spec.target.in_place is None:
        return tuple(found)
    if restore.spec.source.latest is not None:
        found.append("PostgreSQL is stopped for the last part of the log, and nothing is lost")
    else:
        found.append(
            "What was committed after the target, and is until the switch, stays on the previous "
            "volume: spec.source.previous brings it back within keepPrevious"
        )
    return tuple(found)


def bootstrap_of(restore: PitrRestore, db: Database) -> Bootstrap:
    """What the new Database begins with: the same wish, of this very Database's archive, and of the
    branch that was planned, though the archive may come to look otherwise."""
    source, plan = restore.spec.source, restore.status.plan
    if source.backup_ref is not None:
        return Bootstrap(backup_ref=source.backup_ref)
    return Bootstrap(
        restore=RestoreFrom(
            from_=Origin(database_uid=db.metadata.uid),
            target_time=source.target_time,
            lsn=source.lsn,
            latest=Empty() if source.latest is not None else None,
            timeline=plan.timelines[-1] if plan and plan.timelines else source.timeline,
        )
    )


def has_begun(restore: PitrRestore, db: Database, found: Bootstrap) -> bool:
    """A new Database that begins so is this restore's: on any branch, where none was named."""
    wanted = bootstrap_of(restore, db)
    if restore.spec.source.timeline is None:
        wanted, found = _of_any_branch(wanted), _of_any_branch(found)
    return wanted == found


def _of_any_branch(bootstrap: Bootstrap) -> Bootstrap:
    if bootstrap.restore is None:
        return bootstrap
    origin = bootstrap.restore.model_copy(update={"timeline": None})
    return bootstrap.model_copy(update={"restore": origin})


# -- latest, in place ----------------------------------------------------------------------


def follows(restore: PitrRestore) -> bool:
    """The log goes on while it is replayed."""
    return restore.spec.source.latest is not None and restore.spec.target.in_place is not None


def is_stopping(restore: PitrRestore) -> bool:
    progress = restore.status.progress
    return progress is not None and progress.step is RestoreStep.STOPPING


def holds(restores: Iterable[PitrRestore]) -> bool:
    """PostgreSQL is to be stopped for one of these; it runs again once none says so any more."""
    return any(
        follows(each) and is_stopping(each) and not each.is_done() and not each.metadata.is_deleting
        for each in restores
    )


def has_caught_up(restore: PitrRestore, seen: Observed) -> bool:
    """All that the archive holds has been replayed: what follows needs PostgreSQL stopped, and
    keeps it so until the run has ended, whatever its pod looks like in between."""
    fill = seen.fill
    if not follows(restore) or fill is None or fill.job.has_ended:
        return False
    waits = fill.progress is not None and fill.progress.waits
    return is_stopping(restore) or (fill.recovers and waits)


def is_stopped(seen: Observed) -> bool:
    return seen.process.state is ProcessState.ABSENT


def end_of_log(
    restore: PitrRestore, stopped: Stopped | None, now: datetime
) -> tuple[RecoveryEndKey, str] | None:
    """Where to note that it ends, and where it does; None: to be waited for. Raises InvalidSpec."""
    plan, progress = restore.status.plan, restore.status.progress
    place = PhysicalFolder.read(plan.object_key or "") if plan is not None else None
    if place is None:
        raise InvalidSpec("status.plan", "was edited", RestoreReason.RECOVERY_FAILED.value)
    if stopped is not None and stopped.cleanly:
        return RecoveryEndKey(place.archive, restore.metadata.uid), str(stopped.end)
    since = progress.observed_at if progress is not None else None
    if since is not None and now - since > FLUSH_PATIENCE:
        why = (
            "PostgreSQL was stopped, and the archive does not hold the end of its log; it serves "
            "on as before. See the condition Archiving"
        )
        raise InvalidSpec("spec.source.latest", why, RestoreReason.FLUSH_PENDING.value)
    return None


def last_part(
    restore: PitrRestore, seen: Observed, stopped: Stopped | None, now: datetime
) -> Plan[PitrRestoreStatus] | None:
    """PostgreSQL rests, by this step in our status, until the volumes have changed places."""
    if is_cut_short(restore, seen):
        why = seen.fill.job.message if seen.fill is not None else ""
        return give_up(restore, seen, RestoreReason.RECOVERY_FAILED.value, why, now)
    if not has_caught_up(restore, seen):
        return None
    message = "PostgreSQL is stopped for the last part of its log"
    todo: tuple[Step, ...] = ()
    if is_stopping(restore) and is_stopped(seen):
        try:
            found = end_of_log(restore, stopped, now)
        except InvalidSpec as error:
            return give_up(restore, seen, error.reason, str(error), now)
        if found is not None:
            todo, message = (steps.PinLog(*found),), "The last part of the log is replayed"
    after = tell.running(restore, restore.status.plan, RestoreStep.STOPPING, message, now)
    return Plan(after, todo, AGAIN, tell.notices(restore.status, after))


def fill_of(restore: PitrRestore, backup: Backup | None) -> tuple[str, RecoveryTask | None]:
    """What a volume is filled with in place: the backup's place, and what is replayed after it."""
    plan, key = restore.status.plan, str(backup.status.object_key) if backup is not None else ""
    if plan is None:
        return key, None
    if restore.spec.source.backup_ref is None:
        task = task_of(plan, restore.metadata.uid, in_place=True, follows=follows(restore))
        return plan.object_key or "", task
    # It takes a timeline that nobody has in this archive, and notes it there: two such restores
    # once took the same one, and the receiver refused the second (SplitBrain).
    given = plan.model_copy(update={"object_key": key})
    alone = task_of(given, restore.metadata.uid, in_place=True)
    return key, alone.model_copy(update={"alone": True}) if alone is not None else None


def give_up(
    restore: PitrRestore, seen: Observed, reason: str, why: str, now: datetime
) -> Plan[PitrRestoreStatus]:
    """Nothing of it stays, and nothing that serves has been changed."""
    mine = [each for each in seen.volumes if each.restore == restore.metadata.uid]
    drop = tuple(steps.FailVolume(each.name) for each in mine)
    message = f"{why.rstrip('.')}. The Database was not touched"
    after = tell.failed(restore, reason, message, now)
    return Plan(after, drop, notices=tell.notices(restore.status, after))


def is_cut_short(restore: PitrRestore, seen: Observed) -> bool:
    """The log's end was said, and the run has failed: another one must not begin, as PostgreSQL
    would write beyond that end meanwhile."""
    volume, fill = seen.filling, seen.fill
    if not (follows(restore) and is_stopping(restore)) or volume is None:
        return False
    if volume.restore != restore.metadata.uid:
        return False
    whole = fill is not None and fill.job.state is RunState.SUCCEEDED and bool(fill.system_id)
    return not whole and (fill is None or fill.job.has_ended)
