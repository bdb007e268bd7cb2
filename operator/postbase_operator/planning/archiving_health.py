"""How archiving is doing, from what the receiver says: in one word, and in conditions. PURE.

What passes within seconds is no news: a sidecar that is replaced, a request that the store refuses
once. What stays is told within half a minute, and after `spec.archivingGrace` the Database is no
longer Ready.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from postbase_operator.api import conditions as cond
from postbase_operator.api.conditions import Condition, ConditionStatus, ConditionType
from postbase_operator.api.database import Database
from postbase_operator.api.database_status import Archiving, ReceiverState
from postbase_operator.api.policies import PitrPolicy, RecoveryPoint
from postbase_operator.archive.receiver import Failure, ReceiverReport
from postbase_operator.planning.observed import Observed, ProcessState

PATIENCE = timedelta(seconds=10)
"""What is over by then is not told."""
STARTING = timedelta(seconds=25)
"""How long a receiver may take to begin, after it was switched on or started anew."""
LAGGING_FROM, LAGGING_UNTIL = 10.0, 5.0
"""Seconds that the archive is behind …"""
DEGRADED_FROM = 30.0
NO_STORE = (
    "spec.pitr is enabled and there is no object store: set spec.objectStore of the Project, or "
    "objectStore of the chart"
)
NO_LONGER_WAITS = "commits no longer wait for the archive (fallbackAfter), until it is back"


@dataclass(frozen=True, slots=True)
class Health:
    """`up` is the status of the condition Archiving, None for Unknown."""

    archiving: Archiving
    up: bool | None
    reason: str
    message: str


OFF = Health(Archiving.OFF, None, "Off", "")
PAUSED = Health(Archiving.OFF, None, "Paused", "PostgreSQL is stopped because spec.paused is true")


FLUSH_PENDING = Health(
    Archiving.DOWN,
    False,
    "FlushPending",
    "PostgreSQL stops, and the archive does not have all of its log: what is missing stays on the "
    "volume, and is archived after the next start",
)
FLUSHED = Health(Archiving.OFF, None, "Stopping", "PostgreSQL stops; all of its log is archived")


def health(db: Database, seen: Observed, policy: PitrPolicy, now: datetime) -> Health | None:
    """None where there is no news: what was told last still counts."""
    if not policy.enabled:
        return OFF
    held = cond.find_condition(db.status.conditions, ConditionType.ARCHIVING)
    flush = _flush(db, seen, held)
    if flush is not None:
        return flush
    if db.spec.paused:
        return PAUSED
    if seen.archive is None:
        return Health(Archiving.DOWN, False, "NoObjectStore", NO_STORE)
    if seen.process.state is not ProcessState.RUNNING:
        return None
    if seen.archive.report is not None:
        return _reported(seen.archive.report, held, now)
    silence = seen.archive.silence
    if silence is None:
        return None if held is not None else _starting("The receiver is being told to begin")
    if _may_yet_begin(held, now) or now - silence.since < PATIENCE:
        return None if held is not None else _starting(silence.message)
    return Health(Archiving.DOWN, False, silence.reason, silence.message)


def _flush(db: Database, seen: Observed, held: Condition | None) -> Health | None:
    """What the end of a stop has left; None where that is nothing."""
    if seen.process.state is ProcessState.RUNNING or seen.archive is None:
        return None
    before = held is not None and held.reason == FLUSH_PENDING.reason
    if _is_pending(seen.archive.report, before=before):
        return FLUSH_PENDING
    return FLUSHED if before and not db.spec.paused else None


def _is_pending(report: ReceiverReport | None, *, before: bool) -> bool:
    """A stop that waits for longer than others, or one that waits no more."""
    if report is None:
        return before  # it has stopped so
    if report.lag_bytes == 0 and report.lag_seconds == 0:
        return False
    given_up = report.state is ReceiverState.STOPPED
    late = report.lag_seconds >= PATIENCE.total_seconds()
    return before or (report.stopping and (given_up or late))


def _starting(message: str) -> Health:
    return Health(Archiving.OFF, None, "Starting", message)


def _may_yet_begin(held: Condition | None, now: datetime) -> bool:
    """It has been switched on a moment ago."""
    starting = held is None or held.reason == "Starting"
    return starting and (held is None or now - held.last_transition_time < STARTING)


def _reported(report: ReceiverReport, held: Condition | None, now: datetime) -> Health | None:
    failure = report.last_error
    if report.stopping:
        return None
    match report.state:
        case ReceiverState.RUNNING:
            return _running(report, held, now)
        case ReceiverState.STARTING | ReceiverState.RESTARTING:
            if _may_yet_begin(held, now) or now - _since(report, failure) < PATIENCE:
                return None if held is not None else _starting("The receiver is starting")
        case ReceiverState.STOPPED if failure is None:
            return Health(Archiving.DOWN, False, "ReceiverStopped", "The receiver has stopped")
    return _down(failure, f"The receiver is {report.state.value.lower()}")


def _since(report: ReceiverReport, failure: Failure | None) -> datetime:
    """When it was last said to be well, at the latest."""
    return report.store_failing_since or (failure.at if failure else report.started_at)


def _running(report: ReceiverReport, held: Condition | None, now: datetime) -> Health | None:
    failing = report.store_failing_since
    if failing is not None and now - failing >= PATIENCE:
        return _down(report.last_error, "The object store does not take what the receiver sends")
    lagging = held is not None and held.reason == "Lagging"
    if report.lag_seconds >= (LAGGING_UNTIL if lagging else LAGGING_FROM):
        message = "The archive is behind the server; see status.pitr.receiver for how far"
        return Health(Archiving.LAGGING, True, "Lagging", message)
    if failing is not None and held is not None and held.status is not ConditionStatus.TRUE:
        return None
    return Health(Archiving.STREAMING, True, "Streaming", "The log is archived as it is written")


def _down(failure: Failure | None, otherwise: str) -> Health:
    if failure is None:
        return Health(Archiving.DOWN, False, "ReceiverDown", otherwise)
    return Health(Archiving.DOWN, False, failure.reason.value, failure.message)


@dataclass(frozen=True, slots=True)
class Restorable:
    """What the window says of base backups, for `degraded`."""

    is_known: bool
    """The archive has been listed."""
    has_window: bool
    had_window: bool
    failed: bool
    """The last base backup has failed."""


def degraded(
    told: Health, seen: Observed, policy: PitrPolicy, restorable: Restorable
) -> tuple[str, str] | None:
    """Reason and sentence of the condition Degraded; None where archiving is no cause for it."""
    report = seen.archive.report if seen.archive is not None else None
    if report is not None and report.suspended and policy.rpo is RecoveryPoint.ZERO:
        return "PromiseSuspended", f"{told.message}; {NO_LONGER_WAITS}"
    if told.up is False:
        return told.reason, told.message
    if told.up is not True or not restorable.is_known:
        return None
    if not restorable.has_window and report is not None and report.slot_lost:
        return "SlotLost", (
            "PostgreSQL removed log before it was archived (max_slot_wal_keep_size): the recovery "
            "window has a gap, and begins anew with the base backup that is being taken"
        )
    if not restorable.has_window and (restorable.had_window or restorable.failed):
        return "NoBaseBackup", (
            "No base backup from which the log is whole: nothing that is written now can be "
            "restored until there is one; see the Backups with the label postbase.sh/origin=pitr"
        )
    far = report is not None and report.lag_seconds >= DEGRADED_FROM
    if told.archiving is Archiving.LAGGING and far:
        return "ArchivingLagging", told.message
    return None


def is_failing(conditions: Sequence[Condition], grace: timedelta, now: datetime) -> bool:
    """Archiving has been down for longer than the spec bears."""
    held = cond.find_condition(conditions, ConditionType.ARCHIVING)
    if held is None or held.status is not ConditionStatus.FALSE:
        return False
    return now - held.last_transition_time >= grace
