"""When a scheduled backup is due, and the Backup that is made then. PURE.

A run has two moments: the minute that the schedule names, and its begin, which is later by a part
of `spread` that each Database has for good. The run is named after the minute, in UTC: two
operators that both find it due make one object, and so does one whose clock was set back.

What was missed while nobody looked is made once: the latest minute that has passed, not each.
While suspended, minutes pass without a backup. One that passed less than RESUME_WITHIN before the
end of the suspension is still made, as with a CronJob's startingDeadlineSeconds; older ones are not
(only where no operator ran while it was suspended, it cannot be told from downtime).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from cronsim import CronSim, CronSimError

from postbase_operator.api.backup import (
    DATABASE_LABEL,
    ORIGIN_LABEL,
    Backup,
    BackupOrigin,
    BackupSpec,
)
from postbase_operator.api.base import ObjectMeta, Reference
from postbase_operator.api.database import Database
from postbase_operator.api.policies import BackupPolicy
from postbase_operator.errors import InvalidSpec

RESUME_WITHIN = timedelta(hours=1)
CREDIBLE = timedelta(days=1)
"""A clock that was set back finds its own marks ahead of it. Those further ahead than this were
written by a clock that was wrong, and would put off the next backup for as long as it was."""
LOOKBACK = (
    timedelta(hours=1),
    timedelta(days=1),
    timedelta(days=7),
    timedelta(days=32),
    timedelta(days=366),
)
"""How far back the latest minute is looked for, step by step: few minutes are gone through, however
dense the schedule and however long the downtime."""
MACROS = {
    "@hourly": "0 * * * *",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@weekly": "0 0 * * 0",
    "@monthly": "0 0 1 * *",
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
}


@dataclass(frozen=True, slots=True)
class Due:
    """All in UTC."""

    at: datetime | None
    """The scheduled minute whose backup is to be made now; None: none is due."""
    next: datetime | None
    """When the next one begins; None while suspended."""
    passed: datetime | None
    """The latest minute that is dealt with, made or passed over, once `at` is made: the caller
    keeps it, and gives it as `last_run` at the next look."""


def due(
    policy: BackupPolicy, uid: str, last_run: datetime | None, created: datetime, now: datetime
) -> Due:
    """What is due of a Database with this UID. Minutes up to its creation are none of its own.

    Raises InvalidSpec where schedule or zone mean nothing, or nothing that ever comes.
    """
    schedule = Schedule(policy.schedule, policy.time_zone)
    offset = delay(policy.spread, uid)
    known = _known(last_run, created, now)
    begun = now - offset
    if policy.suspend:
        passed = schedule.latest(known, begun - RESUME_WITHIN)
        return Due(at=None, next=None, passed=passed or last_run)
    at = schedule.latest(known, begun)
    following = schedule.following(max(known, begun))
    return Due(at=at, next=following + offset, passed=at or last_run)


def delay(spread: timedelta, uid: str) -> timedelta:
    """How long after the scheduled minute this Database begins: always the same, in seconds."""
    seconds = int(spread.total_seconds())
    if not seconds:
        return timedelta()
    digest = hashlib.sha256(uid.encode()).digest()
    return timedelta(seconds=int.from_bytes(digest[:8]) % seconds)


def backup_name(database: str, at: datetime) -> str:
    """`<db>-<YYYYMMDDhhmm>`: at most 53 characters, as a Database's name has at most 40."""
    return f"{database}-{at.astimezone(UTC):%Y%m%d%H%M}"


def scheduled_backup(db: Database, policy: BackupPolicy, due: Due) -> Backup | None:
    """The Backup that is to be created, where one is due. No owner: it outlives the Database.

    Whoever finds that there is one of this name already has nothing to do.
    """
    if due.at is None:
        return None
    return Backup(
        metadata=ObjectMeta(
            name=backup_name(db.metadata.name, due.at),
            namespace=db.metadata.namespace,
            labels={
                DATABASE_LABEL: db.metadata.name,
                ORIGIN_LABEL: BackupOrigin.SCHEDULE,
            },
        ),
        spec=BackupSpec(
            database_ref=Reference(name=db.metadata.name),
            method=policy.method,
            retention_days=policy.retention_days,
        ),
    )


@dataclass(frozen=True, slots=True)
class Schedule:
    """The minutes that five fields or a macro name, by the clock of a zone.

    As Debian's cron: what falls into the hour that is left out in spring is made right after it,
    and what falls into the hour that autumn has twice is made in the first of the two.
    """

    text: str
    zone: str = "UTC"

    def latest(self, after: datetime, until: datetime) -> datetime | None:
        """The last minute after the one moment and not after the other."""
        for start in (*(until - back for back in LOOKBACK), after):
            start = max(start, after)
            found = None
            for minute in self._from(start):
                if minute > until:
                    break
                found = minute
            if found is not None or start == after:
                return found
        return None

    def following(self, moment: datetime) -> datetime:
        """The first minute after a moment. Raises InvalidSpec where there is none."""
        for minute in self._from(moment):
            return minute
        raise _invalid("schedule", f"{self.text!r} names no day that ever comes")

    def _from(self, start: datetime) -> Iterator[datetime]:
        for local in self._cron(start):
            minute = local.astimezone(UTC)
            if minute > start:  # in the second of autumn's double hours it counts from the first
                yield minute

    def _cron(self, start: datetime) -> CronSim:
        fields = MACROS.get(self.text.lower(), self.text).replace("?", "*")
        try:
            zone = UTC if self.zone == "UTC" else ZoneInfo(self.zone)
        except (ZoneInfoNotFoundError, ValueError):
            raise _invalid(
                "timeZone", f"{self.zone!r} is no IANA time zone; write one such as Europe/Berlin"
            ) from None
        try:
            return CronSim(fields, start.astimezone(zone))
        except CronSimError as error:
            raise _invalid("schedule", f"{self.text!r} is no schedule ({error})") from None


def _invalid(field: str, why: str) -> InvalidSpec:
    return InvalidSpec(f"spec.backup.{field}", why, reason="InvalidSchedule")


def _known(last_run: datetime | None, created: datetime, now: datetime) -> datetime:
    """The moment up to which all minutes are dealt with."""
    marks = [mark for mark in (last_run, created) if mark is not None and mark <= now + CREDIBLE]
    return max(marks, default=now - CREDIBLE)
