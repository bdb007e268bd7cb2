"""When a Database is looked at again, where no event will call for it. PURE."""

from __future__ import annotations

from datetime import datetime

from postbase_operator.api.database import Database
from postbase_operator.planning import plan as steps
from postbase_operator.planning.observed import Observed, ProcessState
from postbase_operator.planning.plan import Step

SECRETS_AGAIN = 45.0
"""Seconds between looks at the Secrets, which are read and not watched: what is edited or deleted
is back within a minute."""
SOON = 0.3
"""Seconds until a look at what a step on the server has done."""
TURN_AGAIN = 10.0
"""Seconds until a sidecar asks again whether it is its turn to be upgraded."""
STOP_AGAIN = 15.0
"""Seconds between looks at a process that is being stopped."""
AT_ONCE = 0.0
"""What these steps do is done when they return: the next look belongs to the same run."""
DONE_AT_ONCE = (
    steps.CreateVolume,
    steps.AdoptVolume,
    steps.RecordOrigin,
    steps.BeginUpgrade,
    steps.SetUpAccess,
    steps.CreateExtensions,
    steps.BeginRotation,
    steps.FinishRotation,
)
DONE_SOON = (steps.PokeConfig, steps.ReloadConfig, steps.DropSlot)


def next_look(db: Database, seen: Observed, todo: list[Step], now: datetime) -> float:
    """Seconds until the next look, where no event will call for one."""
    facts = seen.server.facts if seen.server else None
    if facts and facts.rejected and facts.mounted_revision == seen.wanted_revision:
        return SECRETS_AGAIN  # a reload would be refused again, three times a second
    if any(isinstance(step, DONE_AT_ONCE) for step in todo):
        return AT_ONCE
    if any(isinstance(step, DONE_SOON) for step in todo):
        return SOON
    if any(isinstance(step, steps.UpgradeSidecar) for step in todo):
        return TURN_AGAIN
    if seen.process.ends_by is not None:
        return STOP_AGAIN  # no event tells that a node does not answer
    if not _is_on_its_way(seen, db):
        return SECRETS_AGAIN
    since = seen.process.since
    fresh = since is None or (now - since).total_seconds() < SECRETS_AGAIN
    return SOON if fresh else SECRETS_AGAIN / 6


def _is_on_its_way(seen: Observed, db: Database) -> bool:
    """PostgreSQL cannot be asked yet, or its files are still coming: no event will tell."""
    if db.spec.paused or seen.process.state is not ProcessState.RUNNING:
        return False
    return seen.server is None or seen.server.facts.mounted_revision != seen.wanted_revision
