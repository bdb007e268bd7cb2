"""A Database's service and its volume on Railway, made step by step, each decided by what is there.

The order is the point. First the service, with the marker of whose it is in the same request: there
is no moment in which it is nobody's. Then its image and region, then the volume: an image that is
deployed before its volume exits. What runs on it comes after that (building.py).
"""

from __future__ import annotations

from dataclasses import dataclass

from postbase_operator.api.database import Database
from postbase_operator.errors import InvalidSpec, NotReady, PostbaseError
from postbase_operator.railway import fill_service, plans, services
from postbase_operator.railway.generations import Family
from postbase_operator.railway.graphql import changes, patches
from postbase_operator.railway.graphql.faults import PlanLimit, UnknownOutcome
from postbase_operator.railway.graphql.models import EnvironmentState
from postbase_operator.railway.ground import Ground
from postbase_operator.railway.lifecycle.making import DEPLOYMENT, VOLUME, create_service
from postbase_operator.railway.observe import (
    check_beginning,
    one_volume,
    volume_name,
    volumes_in,
)


@dataclass(frozen=True, slots=True)
class Restored:
    """A volume that is to be filled: for which restore, by its object's UID, and by which image."""

    restore: str
    image: str


class Volumes:
    """Each method may be killed anywhere and run again."""

    def __init__(self, ground: Ground) -> None:
        self._ground = ground
        self._sight = ground.sight

    async def create(
        self,
        db: Database,
        password: str,
        region: str | None,
        restored: Restored | None = None,
        generation: int = 1,
    ) -> None:
        """Service, image and region, volume. Raises NotReady until what was made shows.

        `restored`: it is to be filled first, and is marked so from its first moment on. Beside one
        that serves, for a restore in place, it is another service, of the next `generation`.
        """
        ground = self._ground
        state, family = await ground.family(db, fresh=True)
        name = ground.name(db, generation)
        service = state.named(name)
        beside = _region_of(state, family)
        if service is not None:
            service_id = service.service_id
            if one_volume(state, service) is not None:
                return
            ground.is_met(VOLUME, service_id)
            ground.wait_for(VOLUME, service_id)  # before all that it may make needless
            where = beside or await self._region(db, region)
        else:
            if not family.parts:
                check_beginning(state, ground.name(db), db)
            await self._check_plan(db, state)
            where = beside or await self._region(db, region)
            marks = fill_service.begun(restored.restore, generation) if restored else {}
            wanted = services.variables(db, ground.cluster, password) | marks
            service_id = await create_service(ground, db, name, wanted)
            for what in (VOLUME, DEPLOYMENT):
                ground.was_not_done(what, service_id)  # no other has had the time to
        instance = services.instance(db, where)
        if restored is not None:
            instance = fill_service.instance(restored.image, where)
        place, client = ground.place, ground.client
        await changes.update_instance(client, place, service_id, instance, young=True)
        await self._add(service_id, where)

    async def _region(self, db: Database, wanted: str | None) -> str:
        return services.region(db, wanted, await self._sight.regions())

    async def _check_plan(self, db: Database, state: EnvironmentState) -> None:
        """Before anything is made: what Railway would refuse when half of it is there."""
        plan, spec = await self._sight.plan(), db.spec
        plans.check_room(plan, volumes_in(state))
        plans.check_volume(spec.storage.size, plan, None)
        plans.check_resources(spec.resources.cpu, spec.resources.memory, plan)

    async def _add(self, service_id: str, region: str) -> None:
        """Not a second time for an outcome that is not known: it would be another one. Raises
        InvalidSpec where the project is full: others may have taken the place meanwhile."""
        ground = self._ground
        ground.asked(VOLUME, service_id)
        self._sight.changed()
        try:
            await changes.create_volume(
                ground.client, ground.place, service_id, services.MOUNT, region
            )
        except UnknownOutcome:
            raise
        except PlanLimit as error:
            ground.was_not_done(VOLUME, service_id)
            why = f"{error}: delete volumes of its Railway project, or take a larger plan"
            raise InvalidSpec("spec.projectRef", why, reason="PlanLimitExceeded") from error
        except PostbaseError:
            ground.was_not_done(VOLUME, service_id)
            raise

    async def name(self, db: Database, volume_id: str) -> None:
        wanted = volume_name(self._ground.name(db), volume_id)
        self._sight.changed()
        await changes.rename_volume(self._ground.client, volume_id, wanted)

    async def grow(self, db: Database, volume_id: str) -> None:
        """Live. Raises InvalidSpec where the plan does not allow the size."""
        state, _ = await self._ground.look(db)
        held = next((v for v in state.volumes if v.volume_id == volume_id and not v.gone), None)
        if held is None:
            raise NotReady(f"the volume {volume_id} is not seen")
        size = plans.check_volume(db.spec.storage.size, await self._sight.plan(), held.size_mb)
        if size <= held.size_mb:
            return
        message = f"postbase: {self._ground.name(db)} gets a volume of {size} MB"
        try:
            await self._ground.commits.make(patches.volume_size(volume_id, size), message)
        except PlanLimit as error:
            most = f"set {error.megabytes}M or less" if error.megabytes else "set less"
            why = f"Railway refuses {db.spec.storage.size}: {error}: {most}, or take a larger plan"
            raise InvalidSpec("spec.storage.size", why, reason="PlanLimitExceeded") from error


def _region_of(state: EnvironmentState, family: Family) -> str | None:
    """Where the Database is: what is made beside it must be there, as its receiver is."""
    held = [volume for part in family.parts for volume in state.volumes_of(part.service_id)]
    return next((each.region for each in held if each.region), None)
