"""A Database's archiving, in one look: what is told and done, and when to look again. PURE."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from postbase_operator.api import conditions as cond
from postbase_operator.api.backup import Backup
from postbase_operator.api.base import Reference
from postbase_operator.api.conditions import Condition, ConditionType
from postbase_operator.api.database import Database
from postbase_operator.api.database_status import (
    ArchiveStatus,
    Archiving,
    PitrStatus,
    Receiver,
    RecoveryWindow,
)
from postbase_operator.api.policies import PitrPolicy
from postbase_operator.archive.receiver import ReceiverReport
from postbase_operator.archive.wish import ArchivingWish
from postbase_operator.planning import plan as steps
from postbase_operator.planning.archiving import (
    Around,
    archive_of,
    archive_status,
    around,
    wish,
)
from postbase_operator.planning.archiving_health import (
    Health,
    Restorable,
    degraded,
    health,
    is_failing,
)
from postbase_operator.planning.base_backups import base_backup, failures, reason
from postbase_operator.planning.database_backups import is_of
from postbase_operator.planning.observed import Observed
from postbase_operator.planning.plan import Step
from postbase_operator.planning.refusal import Context
from postbase_operator.planning.window import Log, Window, bases_of, told_since, window

AGAIN = 5.0
"""Seconds until the next look where archiving is not as it should be, or not yet."""
UNWATCHED = 20.0
"""Likewise where all is well and nobody calls for a look: a change is told within half a minute."""


@dataclass(frozen=True, slots=True)
class ArchivingOutlook:
    """`told` is None where there is no news of archiving."""

    wish: ArchivingWish
    around: Around
    pitr: PitrStatus
    archive: ArchiveStatus | None
    told: Health | None
    degraded: tuple[str, str] | None
    steps: tuple[Step, ...] = ()
    again: float | None = None

    def conditions(
        self, held: Sequence[Condition], now: datetime, generation: int
    ) -> tuple[Condition, ...]:
        """Archiving, and Degraded where archiving is its cause."""
        if self.told is None:
            return tuple(held)
        if self.told.archiving is Archiving.OFF and self.told.reason == "Off":
            return cond.remove_condition(held, ConditionType.ARCHIVING, ConditionType.DEGRADED)
        told, why = self.told, self.told.message
        before = cond.find_condition(held, ConditionType.ARCHIVING)
        if before is not None and told.up is False and before.reason == told.reason:
            why = before.message  # each attempt fails in other words
        said = (told.up, told.reason, why, now, generation)
        after = cond.set_condition(held, ConditionType.ARCHIVING, *said)
        if self.degraded is None:
            return cond.remove_condition(after, ConditionType.DEGRADED)
        cause, message = self.degraded
        was = cond.find_condition(held, ConditionType.DEGRADED)
        if was is not None and was.reason == cause and told.up is False:
            message = was.message
        return cond.set_condition(
            after, ConditionType.DEGRADED, True, cause, message, now, generation
        )


def archiving_outlook(db: Database, seen: Observed, context: Context) -> ArchivingOutlook:
    policy, now = db.pitr_policy(context.defaults), context.now
    wanted = wish(db, seen, context, policy)
    sure = context.project is not None
    told = health(db, seen, policy, now) if sure else None
    own = [each for each in context.backups.all if is_of(each, db.metadata.uid)]
    log, found = _restorable(db, seen, own)
    known = Restorable(
        is_known=log is not None,
        has_window=bool(found.bases),
        had_window=_had_window(db),
        failed=bool(failures(own)),
    )
    todo: list[Step] = []
    if told is not None and told.up and log is not None:
        why = reason(own, found, log, policy, now)
        todo += [steps.CreateBackup(base_backup(db, why, now))] if why else []
    if _is_to_be_entered(seen, policy, own):
        todo.append(steps.EnterCatalogue())
    pitr = _pitr(db, seen, policy, told, found if log is not None else None, own)
    return ArchivingOutlook(
        wish=wanted,
        around=around(seen, wanted, policy, sure=sure),
        pitr=_worth_telling(db.status.pitr, pitr, seen, now),
        archive=archive_status(db, seen),
        told=told,
        degraded=degraded(told, seen, policy, known) if told is not None else None,
        steps=tuple(todo),
        again=_again(policy, told, seen, log),
    )


def is_ready_no_more(db: Database, conditions: Sequence[Condition], now: datetime) -> str:
    """Why the Database does not count as Ready for its archiving; "" where it does."""
    if not is_failing(conditions, db.spec.archiving_grace, now):
        return ""
    held = cond.find_condition(conditions, ConditionType.ARCHIVING)
    return f"Archiving is down ({held.reason}): {held.message}" if held is not None else ""


def _restorable(db: Database, seen: Observed, own: Sequence[Backup]) -> tuple[Log | None, Window]:
    if seen.archive is None or seen.archive.log is None or seen.current is None:
        return None, Window()
    log = told_since(seen.archive.log, seen.archive.report)
    archive = archive_of(db, seen.current.system_id)
    return log, window(bases_of(own, archive), log)


def _had_window(db: Database) -> bool:
    return db.status.pitr is not None and db.status.pitr.base_backup_ref is not None


def _is_to_be_entered(seen: Observed, policy: PitrPolicy, own: Sequence[Backup]) -> bool:
    if seen.archive is None or seen.archive.is_entered:
        return False
    return bool(seen.current and seen.current.system_id) and (policy.enabled or bool(own))


def _again(
    policy: PitrPolicy, told: Health | None, seen: Observed, log: Log | None
) -> float | None:
    """Whoever asks the sidecars calls for a look when an answer is another; not so while things
    are on their way."""
    if not policy.enabled or seen.archive is None:
        return None
    well = told is not None and told.up and told.archiving is Archiving.STREAMING
    if not well or log is None:
        return AGAIN
    return None if seen.archive.watched else UNWATCHED


# -- the status ----------------------------------------------------------------------------


def _pitr(
    db: Database,
    seen: Observed,
    policy: PitrPolicy,
    told: Health | None,
    found: Window | None,
    own: Sequence[Backup],
) -> PitrStatus:
    """As it is now, moving figures and all."""
    held = db.status.pitr or PitrStatus()
    report = seen.archive.report if seen.archive is not None else None
    changes: dict[str, object] = {
        "enabled": policy.enabled,
        "retention_days": policy.retention_days,
        "rpo": policy.rpo,
        "archiving": told.archiving if told is not None else held.archiving,
    }
    if not policy.enabled:
        changes["receiver"] = None
        changes |= _still_there(held, own)
    elif report is not None:
        changes["receiver"] = receiver(report)
        changes["latest_wal_time"] = report.last_commit_at or held.latest_wal_time
    if policy.enabled and found is not None:
        changes |= _window(found)
    return held.model_copy(update=changes)


def receiver(report: ReceiverReport) -> Receiver:
    """What the status tells of the report."""
    return Receiver(
        state=report.state,
        started_at=report.started_at,
        last_wal_file=report.last_segment,
        segments_archived=report.segments_archived,
        bytes_received=report.bytes_received,
        errors=report.errors,
        lag_seconds=round(report.lag_seconds, 1),
        lag_bytes=report.lag_bytes,
        durable_lsn=report.durable_lsn,
    )


def _window(found: Window) -> dict[str, object]:
    live, base = found.live, found.bases[0] if found.bases else None
    whole = live is not None and base is not None
    return {
        "recovery_window": RecoveryWindow(from_=live.from_, to=live.to) if whole and live else None,
        "branches": found.branches,
        "base_backup_ref": Reference(name=base.name) if base is not None else None,
        "base_backup_time": base.completed_at if base is not None else None,
    }


def _still_there(held: PitrStatus, own: Sequence[Backup]) -> dict[str, object]:
    """What was archived before it was switched off can be restored until its base is gone."""
    names = {each.metadata.name for each in own}
    if held.base_backup_ref is None or held.base_backup_ref.name in names:
        return {}
    return {"recovery_window": None, "branches": (), "base_backup_ref": None}


def _worth_telling(
    held: PitrStatus | None, fresh: PitrStatus, seen: Observed, now: datetime
) -> PitrStatus:
    """`fresh` where a state has changed, or moving figures may be told; else what was told last."""
    if held is None:
        return fresh.model_copy(update={"observed_at": _moment(fresh, now)})
    moved = _durable(held) != _durable(fresh)
    due = moved and seen.archive is not None and seen.archive.may_tell
    if not due and _standing(held) == _standing(fresh):
        return held
    return fresh.model_copy(update={"observed_at": _moment(fresh, now)})


def _moment(fresh: PitrStatus, now: datetime) -> datetime | None:
    """Whole seconds; only where there are figures that were true at some moment."""
    return now.replace(microsecond=0) if fresh.receiver is not None else fresh.observed_at


def _durable(told: PitrStatus) -> str | None:
    return told.receiver.durable_lsn if told.receiver is not None else None


def _standing(told: PitrStatus) -> PitrStatus:
    """Without what moves as long as all is well."""
    moving = {
        "last_wal_file": None,
        "segments_archived": None,
        "bytes_received": None,
        "errors": None,
        "lag_seconds": None,
        "lag_bytes": None,
        "durable_lsn": None,
    }
    window, engine = told.recovery_window, told.receiver
    still = {
        "observed_at": None,
        "latest_wal_time": None,
        "receiver": engine.model_copy(update=moving) if engine is not None else None,
        "recovery_window": window.model_copy(update={"to": None}) if window is not None else None,
        "branches": tuple(
            each.model_copy(update={"to": None}) if each.live else each for each in told.branches
        ),
    }
    return told.model_copy(update=still)
