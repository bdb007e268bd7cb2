"""How long a restore takes, by rates: those that earlier ones of this Database came to. PURE.

Where nothing has been measured yet the usual ones stand in: taken from the slow side of what
operators report of replay (36 to 120 MB a second), so that a restore which ends sooner disappoints
nobody. What does not depend on sizes (volumes, pods, checkpoints, the switch) is what is left of an
earlier restore's time when its parts are taken away.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime

from postbase_operator.api.backup import Backup
from postbase_operator.api.pitr_restore import PitrRestore
from postbase_operator.api.policies import BackupMethod
from postbase_operator.api.restore_status import RestoreMeasured, RestorePlan
from postbase_operator.api.runs import RunPhase

MIB = 2**20
FETCH = 120 * MIB
"""Bytes of a backup's content that are fetched, unpacked, verified and synced, a second."""
LOAD = 20 * MIB
"""Bytes of a database that pg_restore makes anew, a second, indexes and all."""
REPLAY = 60 * MIB
"""Bytes of the log that PostgreSQL replays, a second: one thread."""
REST = 17.0
"""Seconds that do not depend on sizes."""
LATEST = 5
"""Runs that count: machines and databases change."""
LONG = 3
"""Seconds from which on a part says something of a rate: a container's times are whole seconds."""
USUAL = "usual speeds: nothing of this Database has been measured yet"


@dataclass(frozen=True, slots=True)
class Rates:
    """Bytes a second of content and of log, seconds for the rest; `said`: whose they are."""

    content: float
    replay: float
    rest: float
    said: str

    def seconds(self, plan: RestorePlan) -> float:
        """From the first step to accepting connections."""
        return self.rest + self.of_sizes(plan)

    def of_sizes(self, plan: RestorePlan) -> float:
        return (plan.content_bytes or 0) / self.content + (plan.log_bytes or 0) / self.replay


@dataclass(frozen=True, slots=True)
class Run:
    """A restore in place that is done, with what was measured of it."""

    plan: RestorePlan
    measured: RestoreMeasured
    seconds: float
    ended: datetime

    @classmethod
    def of(cls, restore: PitrRestore) -> Run | None:
        """None where it tells nothing."""
        told = restore.status
        if told.phase is not RunPhase.COMPLETED or told.plan is None or told.measured is None:
            return None
        if told.started_at is None or told.completed_at is None:
            return None
        took = (told.completed_at - told.started_at).total_seconds()
        return cls(told.plan, told.measured, took, told.completed_at)


def rates(
    restores: Iterable[PitrRestore], backups: Iterable[Backup], *, logical: bool, follows: bool
) -> Rates:
    """For a restore of this kind, by those before it of the same Database."""
    known = [run for each in restores if (run := Run.of(each)) is not None]
    runs = sorted((r for r in known if r.measured.logical is logical), key=lambda r: r.ended)
    runs = runs[-LATEST:]
    content = _rate((r.plan.content_bytes or 0, r.measured.content_seconds) for r in runs)
    by_backups = 0.0 if content or logical else _by_backups(backups)
    # What follows the log waits for it: that says nothing of the speed of replay.
    replayed = [r for r in runs if not r.measured.follows]
    replay = _rate((r.plan.log_bytes or 0, r.measured.replay_seconds) for r in replayed)
    content = content or by_backups or (LOAD if logical else FETCH)
    found = Rates(content, replay or REPLAY, REST, _said(len(runs), backups=by_backups > 0))
    alike = [r for r in runs if r.measured.follows is follows] or runs
    rest = [max(1.0, r.seconds - found.of_sizes(r.plan)) for r in alike]
    return replace(found, rest=statistics.median(rest)) if rest else found


def _said(runs: int, *, backups: bool) -> str:
    if runs:
        return f"the last {runs} restores of this Database" if runs > 1 else "its last restore"
    return "the speed of its backups, and usual ones for the rest" if backups else USUAL


def _by_backups(backups: Iterable[Backup]) -> float:
    """A backup reads, packs, stores and reads back what a fill fetches and unpacks."""
    done = [
        each.status
        for each in backups
        if each.spec.method is BackupMethod.PHYSICAL and each.status.phase is RunPhase.COMPLETED
    ]
    return _rate((told.source_bytes or 0, told.duration_seconds or 0) for told in done)


def _rate(parts: Iterable[tuple[int, int]]) -> float:
    """0.0 where nothing took long enough to tell."""
    long = [(size, seconds) for size, seconds in parts if seconds >= LONG and size > 0]
    taken = sum(seconds for _, seconds in long)
    return sum(size for size, _ in long) / taken if long else 0.0
