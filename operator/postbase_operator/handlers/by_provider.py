"""Which platform a Database is on: the one place where spec.provider decides anything.

Without Railway (there is no token) such a Database is shown to nobody: nothing is seen of it, and
the planner says what is missing. One that had been made there is not forgotten, but waits.
"""

from __future__ import annotations

from collections.abc import Sequence

from postbase_operator.api.database import Database, DatabaseStatus
from postbase_operator.api.database_spec import Provider
from postbase_operator.api.policies import BackupMethod
from postbase_operator.api.restore_status import RestorePlan
from postbase_operator.archive.run import RecoveryProgress
from postbase_operator.errors import InvalidSpec
from postbase_operator.planning.archived import Offer, Stopped, Wish
from postbase_operator.planning.elsewhere import UNSERVED
from postbase_operator.planning.observed import Observed
from postbase_operator.planning.plan import Plan, Step
from postbase_operator.planning.restore_rehearsal import Rehearsal
from postbase_operator.planning.restore_seen import Rehearsed
from postbase_operator.platforms import BackingUp, BackupRuns, BackupServer, Platform, Restoring


class ByProvider:
    """Implements platforms.Platform by passing each Database on to its own."""

    def __init__(self, kubernetes: Platform, railway: Platform | None) -> None:
        self._kubernetes = kubernetes
        self._railway = railway
        self.restoring: Restoring = _RestoringByProvider(self)
        self.backing_up: BackingUp = _BackingUpByProvider(self)

    def of(self, db: Database) -> Platform | None:
        return self._kubernetes if db.spec.provider is Provider.KUBERNETES else self._railway

    def served(self, db: Database) -> Platform:
        """Raises InvalidSpec where nobody serves it."""
        platform = self.of(db)
        if platform is None:
            raise InvalidSpec(
                "spec.provider",
                UNSERVED,
                reason="NotImplemented",
            )
        return platform

    async def observe(self, db: Database) -> Observed:
        platform = self.of(db)
        return Observed() if platform is None else await platform.observe(db)

    async def execute(self, db: Database, plan: Plan[DatabaseStatus]) -> None:
        if plan.steps or self.of(db) is not None:
            await self.served(db).execute(db, plan)

    async def carry_out(self, db: Database, steps: Sequence[Step]) -> None:
        if steps:
            await self.served(db).carry_out(db, steps)

    async def destroy(self, db: Database, *, keep: bool = False) -> bool:
        if self.of(db) is None and db.status.railway is None:
            return True  # it was never made
        return await self.served(db).destroy(db, keep=keep)


class _RestoringByProvider:
    """Implements platforms.Restoring likewise."""

    def __init__(self, platforms: ByProvider) -> None:
        self._platforms = platforms

    async def rehearse(self, wanted: Rehearsal) -> Rehearsed:
        return await self._platforms.served(wanted.db).restoring.rehearse(wanted)

    async def offer(self, db: Database, wish: Wish) -> Offer:
        return await self._platforms.served(db).restoring.offer(db, wish)

    async def stopped(self, db: Database, plan: RestorePlan) -> Stopped | None:
        return await self._platforms.served(db).restoring.stopped(db, plan)

    async def progress(
        self, db: Database, plan: RestorePlan, restore: str
    ) -> RecoveryProgress | None:
        return await self._platforms.served(db).restoring.progress(db, plan, restore)


class _BackingUpByProvider:
    """Implements platforms.BackingUp likewise."""

    def __init__(self, platforms: ByProvider) -> None:
        self._platforms = platforms

    async def server(self, db: Database, method: BackupMethod) -> BackupServer:
        return await self._platforms.served(db).backing_up.server(db, method)

    def runs(self, db: Database) -> BackupRuns | None:
        """Where nobody serves it Jobs are looked for: there are none."""
        platform = self._platforms.of(db)
        return None if platform is None else platform.backing_up.runs(db)
