"""What the platform does for restores alone: asks the archive and the API server, starts Jobs."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from postbase_operator.api.database import Database
from postbase_operator.api.restore_status import RestorePlan
from postbase_operator.archive.run import RecoveryProgress
from postbase_operator.desired import meta
from postbase_operator.kube.cache import Cache
from postbase_operator.kube.fills import Fills
from postbase_operator.kube.kinds import POD, STATEFUL_SET
from postbase_operator.kube.loads import Loads
from postbase_operator.kube.recoveries import Recoveries
from postbase_operator.kube.rehearsals import Rehearsals
from postbase_operator.kube.restore_jobs import RestoreJobs
from postbase_operator.kube.session import Session
from postbase_operator.kube.stores import Stores
from postbase_operator.planning import plan as steps
from postbase_operator.planning.archived import Offer, Stopped, Wish
from postbase_operator.planning.restore_rehearsal import Rehearsal
from postbase_operator.planning.restore_seen import Rehearsed
from postbase_operator.settings import Settings


class Restores:
    """Implements platforms.Restoring."""

    def __init__(
        self,
        api: Session,
        cache: Cache,
        settings: Settings,
        now: Callable[[], datetime],
    ) -> None:
        self._cache = cache
        jobs = RestoreJobs(api, cache, settings, now)
        self.fills = Fills(api, cache, settings, jobs)
        self.loads = Loads(api, cache, settings, jobs)
        self._rehearsals = Rehearsals(api, settings, self.fills, self.loads)
        stores = Stores(api, settings)
        self._recoveries = Recoveries(cache, stores, settings.cluster_name, now)

    async def rehearse(self, wanted: Rehearsal) -> Rehearsed:
        return await self._rehearsals.ask(wanted)

    async def offer(self, db: Database, wish: Wish) -> Offer:
        return await self._recoveries.offer(db, wish)

    async def offer_for(self, db: Database) -> Offer:
        """What the archive says that spec.bootstrap names, of a Database that is to begin."""
        return await self._recoveries.offer_for(db)

    async def stopped(self, db: Database, plan: RestorePlan) -> Stopped | None:
        known = meta.names_of(db)
        workload = self._cache.get(STATEFUL_SET, known.namespace, known.statefulset)
        if workload is not None and workload["spec"].get("replicas") != 0:
            return None  # its pod is away for another reason, and will write again
        if self._cache.get(POD, known.namespace, known.pod) is not None:
            return None
        return await self._recoveries.stopped(db, plan)

    async def progress(
        self, db: Database, plan: RestorePlan, restore: str
    ) -> RecoveryProgress | None:
        return await self._recoveries.progress(db, plan.object_key or "", restore)

    async def take(
        self, db: Database, step: steps.PinLog | steps.FillVolume | steps.LoadBackup
    ) -> None:
        match step:
            case steps.PinLog():
                await self._recoveries.pin(db, step)
            case steps.FillVolume():
                await self.fills.start(db, step)
            case steps.LoadBackup():
                await self.loads.start(db, step, self.loads.here(db))
