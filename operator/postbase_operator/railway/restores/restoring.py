"""What restores ask of Railway: its archive, which lies where all others do, and whether a Database
that one would make is taken there. The Job that restores a dump is the cluster's to take."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from postbase_operator.api.database import Database
from postbase_operator.api.restore_status import RestorePlan
from postbase_operator.archive.run import RecoveryProgress
from postbase_operator.errors import InvalidSpec
from postbase_operator.planning import plan as steps
from postbase_operator.planning.archived import Offer, Stopped, Wish
from postbase_operator.planning.restore_rehearsal import Rehearsal
from postbase_operator.planning.restore_seen import Rehearsed
from postbase_operator.railway import plans, services
from postbase_operator.railway.ground import Ground
from postbase_operator.railway.observe import volumes_in
from postbase_operator.railway.restores.loading import Loading
from postbase_operator.railway.restores.refusing import LATEST
from postbase_operator.railway.restores.restore_books import RestoreBooks
from postbase_operator.railway.support import (
    PRIVATE_COPY,
    PRIVATE_RESTORE,
    UNSUPPORTED,
    check_support,
    is_private,
)


class Restoring:
    """Implements platforms.Restoring."""

    def __init__(
        self,
        ground: Callable[[], Awaitable[Ground]],
        archives: RestoreBooks,
        loading: Loading,
        region_of: Callable[[Database], str | None],
    ) -> None:
        self._ground = ground
        self._archives = archives
        self._loading = loading
        self._region_of = region_of

    async def rehearse(self, wanted: Rehearsal) -> Rehearsed:
        """By what is known of its limits: Railway has no way to try a request without an effect."""
        kinds = {type(each) for each in wanted.todo}
        if any(_follows(each) for each in wanted.todo):
            return Rehearsed(UNSUPPORTED, LATEST)
        if is_private(wanted.db):
            beside = steps.CreateDatabase in kinds
            where = "spec.target.newDatabase" if beside else "spec.target.inPlace"
            why = PRIVATE_COPY if beside else PRIVATE_RESTORE
            return Rehearsed(UNSUPPORTED, f"{where}: {why}")
        try:
            if steps.CreateVolume in kinds:
                await self._check(wanted.db, in_place=steps.CreateDatabase not in kinds)
        except InvalidSpec as error:
            return Rehearsed(error.reason, str(error))
        return await self._loading.rehearse(wanted)

    async def _check(self, db: Database, *, in_place: bool) -> None:
        """Raises InvalidSpec for what would be refused once it is there. In place the region is the
        one where it is."""
        check_support(db)
        sight = (await self._ground()).sight
        plan, spec = await sight.plan(), db.spec
        if not in_place:
            services.region(db, self._region_of(db), await sight.regions())
        plans.check_volume(spec.storage.size, plan, None)
        plans.check_resources(spec.resources.cpu, spec.resources.memory, plan)
        plans.check_room(plan, volumes_in(await sight.look("")))

    async def offer(self, db: Database, wish: Wish) -> Offer:
        return await self._archives.offer(db, wish)

    async def stopped(self, db: Database, plan: RestorePlan) -> Stopped | None:
        return await self._archives.stopped(db, plan)

    async def progress(
        self, db: Database, plan: RestorePlan, restore: str
    ) -> RecoveryProgress | None:
        return await self._archives.progress(db, plan.object_key or "", restore)


def _follows(step: steps.Step) -> bool:
    """The log goes on while it is replayed: for `latest` in place."""
    return isinstance(step, steps.FillVolume) and (
        step.recovery is not None and step.recovery.end is None
    )
