"""When PostgreSQL is started anew: on request, and where a change needs it and the spec allows it.

PURE. Restarting is replacing the process: what else waits for a new one takes effect with it.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

from postbase_operator.api.database import Database
from postbase_operator.api.upkeep import MaintenanceWindow, RestartPolicy, Weekday
from postbase_operator.planning.observed import Observed

REQUEST = "postbase.sh/request-restart"
VERB = "restart"
FOLLOWS_MEMORY = frozenset({"shared_buffers"})
"""Derived from the memory where the spec says nothing, and the memory changes without a restart:
these wait for whichever start comes next."""
SETTLED = timedelta(seconds=60)
"""A server that has just been restarted and still wants one would be restarted for ever."""


@dataclass(frozen=True, slots=True)
class Restart:
    """`due`: now. `reason` and `message` are the condition's, "" where nothing waits."""

    due: bool = False
    reason: str = ""
    message: str = ""
    opens_at: datetime | None = None
    """When the maintenance window begins that it waits for."""


def request(db: Database) -> str | None:
    """The value of the annotation where it has not been served yet."""
    asked = db.metadata.annotations.get(REQUEST)
    return asked if asked and asked != db.status.requests.get(VERB) else None


def restart(db: Database, seen: Observed, now: datetime) -> Restart:
    """What waits for a start of PostgreSQL, and whether it is made now."""
    running = seen.process.identity
    replaced = (db.status.restarting, seen.current.upgrading if seen.current else None)
    asked = bool(running) and running in replaced
    if seen.server is None:
        return Restart(due=asked)
    facts = seen.server.facts
    parameters, pod = facts.pending_restart, seen.process.waiting_changes
    if not parameters and not pod:
        return Restart(due=asked)
    reason = "ParametersChanged" if parameters else "PodTemplateChanged"
    waits = f"Take effect at the next start of PostgreSQL: {', '.join((*parameters, *pod))}"
    chosen = {p for p in parameters if p not in FOLLOWS_MEMORY or p in db.spec.parameters}
    by_itself = chosen and not facts.rejected
    if not by_itself:
        return Restart(asked, reason, f"{waits}. Ask for it by the annotation {REQUEST}")
    if db.spec.restart_policy is RestartPolicy.NEVER:
        told = f"{waits}. spec.restartPolicy is Never: ask for it by the annotation {REQUEST}"
        return Restart(asked, reason, told)
    opens_at = _opening(db.spec.maintenance_window, now)
    if opens_at is not None:
        told = f"{waits}. It is made in the window that begins {opens_at:%Y-%m-%dT%H:%M:%SZ}"
        return Restart(asked, reason, told, opens_at)
    fresh = now - facts.started_at < SETTLED
    return Restart(asked or not fresh, reason, f"{waits}. It is being made")


def _opening(window: MaintenanceWindow | None, now: datetime) -> datetime | None:
    return None if window is None else opening(window, now)


def opening(window: MaintenanceWindow, now: datetime) -> datetime | None:
    """When the window begins next (UTC); None where it is open.

    Begins by the zone's clock, also on the days on which that is set, and lasts in real time.
    """
    zone = ZoneInfo(window.time_zone)
    hour, minute = map(int, window.start.split(":"))
    days = {list(Weekday).index(day) for day in window.days} or set(range(7))
    today = now.astimezone(zone).date()
    back = window.duration.days + 1
    begins = []
    for offset in range(-back, 9):
        date = today + timedelta(days=offset)
        if date.weekday() in days:
            local = datetime.combine(date, time(hour, minute), zone)
            begins.append(local.astimezone(UTC))
    if any(begin <= now < begin + window.duration for begin in begins):
        return None
    return min(begin for begin in begins if begin > now)
