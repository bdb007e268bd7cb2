"""The Database goes over from one service to another, and what was replaced stays for an undo.

Never may two accept writes as the Database. So, each once the one before is seen to be done: the
new one is marked; of the former nothing can be started any more; what runs of it is stopped, and
has ended; then it is marked as replaced. Only from there on are clients, receiver and backups told
the other address (generations.Family.front). An operator that is killed anywhere goes on from what
stands on Railway.
"""

from __future__ import annotations

import asyncio
import logging
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime

from postbase_operator.api.database import Database
from postbase_operator.errors import NotReady, PostbaseError, Unavailable
from postbase_operator.planning import plan as steps
from postbase_operator.planning.observed import VolumeRole
from postbase_operator.railway import fill_service
from postbase_operator.railway.generations import FENCE, Family, Part, has_ended
from postbase_operator.railway.graphql import changes
from postbase_operator.railway.graphql.deployments import Standing
from postbase_operator.railway.graphql.models import EnvironmentState
from postbase_operator.railway.ground import Ground
from postbase_operator.railway.lifecycle import taking_away
from postbase_operator.railway.lifecycle.building import Builder
from postbase_operator.railway.observe import parts_of_volumes
from postbase_operator.railway.sql.servers import Servers

logger = logging.getLogger(__name__)
STOP = "stop"
AGAIN = 2.0


@dataclass(slots=True)
class Switching:
    """One for all Databases of the platform."""

    servers: Servers
    now: Callable[[], datetime]
    _locks: defaultdict[str, asyncio.Lock] = field(
        default_factory=lambda: defaultdict(asyncio.Lock)
    )
    """By UID: what is brought back is not taken away at the same moment."""
    _put_away: set[str] = field(default_factory=set)
    """Deployments that were removed, or are not to be."""

    def forget(self, db: Database) -> None:
        self._locks.pop(db.metadata.uid, None)

    # -- the switch ----------------------------------------------------------------------------

    async def bring_back(self, ground: Ground, db: Database, step: steps.PromoteVolume) -> None:
        """One that was replaced is marked again. It is started once the other one has left: its
        address is known to clients."""
        async with self._locks[db.metadata.uid]:
            state, family = await ground.family(db, marks=True)
            part = with_volume(state, family, step.volume)
            if part is None or part.role is not VolumeRole.PREVIOUS:
                raise NotReady(f"the volume {step.volume} is gone, or going", AGAIN)
            marks = fill_service.back(step.restore, step.system_id, family.highest + 1)
            await self._mark(ground, part, marks)

    async def hand_over(self, ground: Ground, db: Database, until: datetime | None) -> None:
        """What the current one has replaced leaves. Raises NotReady until it has."""
        _, family = await ground.family(db, marks=True)
        for former in family.leaving:
            if not former.is_fenced:
                await self._await_current(ground, family)
                await self._fence(ground, db, family, former)
                raise NotReady("PostgreSQL is being stopped on what was replaced", AGAIN)
            await self._mark(ground, former, fill_service.left(until))

    async def _await_current(self, ground: Ground, family: Family) -> None:
        """What was filled is up before the former is stopped: so little is down, and what does not
        come up takes nothing with it. One that comes back has to wait for the other one's end."""
        current = family.current
        if current is None or current.has_fence:
            return
        latest = current.service.latest_deployment
        if latest is None or latest.standing is not Standing.RUNNING:
            if Builder(ground).lacks_deployment(current.service):
                await Builder(ground).deploy(current.service)
            raise NotReady("the restored server is being started", AGAIN)

    async def _fence(self, ground: Ground, db: Database, family: Family, former: Part) -> None:
        service = former.service
        if not former.has_fence:
            ground.sight.changed(former.service_id)
            fence = {"startCommand": FENCE, "restartPolicyType": "NEVER"}
            await changes.update_instance(ground.client, ground.place, former.service_id, fence)
        latest = service.latest_deployment
        if latest is None or has_ended(service):
            return
        ground.wait_for(STOP, latest.id)
        if former is family.front:
            await self.servers.checkpoint(ground, db)
        ground.asked(STOP, latest.id)
        ground.sight.changed()
        await changes.stop(ground.client, latest.id)

    async def _mark(self, ground: Ground, part: Part, marks: dict[str, str]) -> None:
        ground.sight.changed(part.service_id)
        await changes.set_variables(ground.client, ground.place, part.service_id, marks)

    # -- what goes -----------------------------------------------------------------------------

    async def drop(self, ground: Ground, db: Database, volume: str) -> None:
        """What could not be filled, or is not wanted any more; nothing that ever served."""
        async with self._locks[db.metadata.uid]:
            state, family = await ground.family(db, marks=True)
            part = with_volume(state, family, volume)
            if part is not None and part.role is VolumeRole.FILLING:
                await taking_away.remove(ground, db, part, state)
        await self._sweep(ground, db)

    async def keep_up(self, ground: Ground, db: Database) -> None:
        """What was replaced stays fenced, and goes when its time is over. What is in the way the
        next look finds again: the Database serves."""
        try:
            _, family = await ground.family(db)
            for part in family.previous:
                if self._is_over(part):
                    await self._expire(ground, db, part.service_id)
                elif not part.is_fenced:
                    await self._fence(ground, db, family, part)
                elif part.restartable and part.restartable not in self._put_away:
                    await self._remove(ground, part.restartable)
            await self._sweep(ground, db)
        except PostbaseError as error:
            extra = {"object": str(db.metadata.name), "error": str(error)}
            logger.info("what was replaced is not as it should be yet", extra=extra)

    async def _remove(self, ground: Ground, deployment: str) -> None:
        """The fence counts from the next deployment on; so what was stopped must not come back.
        Where Railway refuses, it is not asked for at each look: a restart is stopped again."""
        try:
            ground.sight.changed()
            await changes.remove(ground.client, deployment)
        except Unavailable:
            raise
        except PostbaseError:
            self._put_away.add(deployment)
            raise
        self._put_away.add(deployment)

    async def _expire(self, ground: Ground, db: Database, service_id: str) -> None:
        """By its marks of this moment: an undo may have taken it meanwhile."""
        async with self._locks[db.metadata.uid]:
            state, family = await ground.family(db, marks=True)
            part = family.of_service(service_id)
            if part is not None and part.role is VolumeRole.PREVIOUS and self._is_over(part):
                await taking_away.remove(ground, db, part, state)

    def _is_over(self, part: Part) -> bool:
        return part.keep_until is not None and part.keep_until <= self.now()

    async def _sweep(self, ground: Ground, db: Database) -> None:
        """Volumes of services that were removed, by an operator that was killed after that."""
        state, _ = await ground.family(db)
        parts = parts_of_volumes(state, ground.name(db))
        await taking_away.delete_volumes(
            ground, tuple(each for each in parts if each.service_id is None)
        )


def with_volume(state: EnvironmentState, family: Family, volume: str) -> Part | None:
    """The service that has this volume; or the one itself, where it has none yet (observe.py)."""
    for part in family.parts:
        held = (each.volume_id for each in state.volumes_of(part.service_id))
        if volume in (*held, part.service_id):
            return part
    return None
