"""What runs on a volume on Railway: image, variables, limits, proxy, deployments.

Variables and limits are set before the proxy: the commit of that one deploys the service as well,
so that a deployment of our own comes only where none did. The second would stop the first in the
middle of initdb.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import timedelta

from postbase_operator.api.database import Database
from postbase_operator.errors import NotReady, PostbaseError
from postbase_operator.planning import plan as steps
from postbase_operator.railway import fill_service, plans, services
from postbase_operator.railway.graphql import changes, patches
from postbase_operator.railway.graphql.deployments import Standing
from postbase_operator.railway.graphql.faults import UnknownOutcome
from postbase_operator.railway.graphql.models import (
    EnvironmentState,
    ServiceInstance,
    VolumeInstance,
)
from postbase_operator.railway.graphql.values import NULL
from postbase_operator.railway.ground import Ground
from postbase_operator.railway.lifecycle.making import DEPLOYMENT
from postbase_operator.railway.observe import one_volume
from postbase_operator.railway.support import is_private

FAILED_AGAIN = timedelta(minutes=5)
"""After which a deployment that failed, and nobody has mended, is tried once more."""


class Builder:
    """Each method may be killed anywhere and run again."""

    def __init__(self, ground: Ground) -> None:
        self._ground = ground
        self._sight = ground.sight

    async def apply(
        self,
        db: Database,
        step: steps.ApplyWorkload,
        password: str,
        before_stop: Callable[[], Awaitable[None]],
    ) -> None:
        """Everything as the spec has it; asks Railway for nothing where that is so already."""
        state, service = await self._there(db)
        await self._set_variables(
            service.service_id, services.variables(db, self._ground.cluster, password)
        )
        await self._set_instance(db, service, one_volume(state, service))
        if step.stopped or db.spec.paused:
            if goes(service):
                await before_stop()
                await self.stop(service)
            return
        await self._set_limits(db, service)
        if is_private(db):
            self._begin_alone(service)
        elif state.proxy_of(service.service_id) is None:
            await self._open(db, service)
        if self.lacks_deployment(service):
            await self.deploy(service)

    async def _there(
        self, db: Database, *, fresh: bool = False
    ) -> tuple[EnvironmentState, ServiceInstance]:
        state, service = await self._ground.look(db, fresh=fresh)
        if service is None:
            raise NotReady(f"the service {self._ground.name(db)} is not seen", 2.0)
        return state, service

    async def _set_variables(self, service_id: str, wanted: dict[str, str]) -> None:
        """They count from the next deployment; none is made for them. A password that is there
        stays: the server has it, and a Secret that was edited must not overwrite the last copy."""
        held = await self._sight.variables(service_id)
        missing = {
            name: value
            for name, value in wanted.items()
            if held.get(name) != value and not (name == services.PASSWORD and held.get(name))
        }
        if missing:
            self._sight.changed(service_id)
            await changes.set_variables(
                self._ground.client, self._ground.place, service_id, missing
            )

    async def _set_instance(
        self, db: Database, service: ServiceInstance, volume: VolumeInstance | None
    ) -> None:
        """The image that the next deployment runs; the region stays the volume's."""
        region = (volume.region if volume is not None else None) or service.region
        right = service.image == services.image(db) and not service.start_command
        if region is None or (right and service.region == region):
            return
        self._sight.changed(service.service_id)
        wanted = services.instance(db, region)
        if service.start_command:
            wanted["startCommand"] = NULL
        await changes.update_instance(
            self._ground.client, self._ground.place, service.service_id, wanted
        )

    async def _set_limits(self, db: Database, service: ServiceInstance) -> None:
        wanted, held = services.limits(db), await self._sight.limits(service.service_id)
        if not services.limits_differ(wanted, held):
            return
        plan, resources = await self._sight.plan(), db.spec.resources
        plans.check_resources(resources.cpu, resources.memory, plan)
        self._sight.changed(service.service_id)
        await changes.set_limits(
            self._ground.client,
            self._ground.place,
            service.service_id,
            wanted.cpu,
            wanted.memory_gb,
        )

    async def _open(self, db: Database, service: ServiceInstance) -> None:
        """The way in; Railway deploys the service along with it."""
        self._ground.asked(DEPLOYMENT, service.service_id)
        message = f"postbase: {self._ground.name(db)} is reached through a TCP proxy"
        await self._ground.commits.make(
            patches.public_port(service.service_id, open_=True), message
        )

    def _begin_alone(self, service: ServiceInstance) -> None:
        """Nothing deploys it but we, and a process of ours that was killed at it may have: a second
        one would stop the first in the middle of initdb."""
        if service.latest_deployment is None:
            self._ground.is_met(DEPLOYMENT, service.service_id)

    def lacks_deployment(self, service: ServiceInstance) -> bool:
        """Nothing runs of it, and nothing is on its way to."""
        latest = service.latest_deployment
        if latest is None or latest.standing is Standing.STOPPED or latest.status == "REMOVED":
            return True
        since = latest.status_updated_at
        failed = latest.standing is Standing.FAILED and since is not None
        return failed and since is not None and self._ground.now() - since > FAILED_AGAIN

    async def deploy(self, service: ServiceInstance) -> None:
        """A new process, with the image and the variables of now. Raises NotReady where one that
        was asked for may still show."""
        ground, service_id = self._ground, service.service_id
        ground.wait_for(DEPLOYMENT, service_id)
        ground.asked(DEPLOYMENT, service_id)
        self._sight.changed()
        try:
            await changes.deploy(ground.client, ground.place, service_id)
        except UnknownOutcome:
            raise
        except PostbaseError:
            ground.was_not_done(DEPLOYMENT, service_id)
            raise

    async def stop(self, service: ServiceInstance) -> None:
        """Takes its process down."""
        self._sight.changed()
        if service.latest_deployment is not None:
            await changes.stop(self._ground.client, service.latest_deployment.id)

    async def current(self, db: Database, identity: str) -> ServiceInstance | None:
        """The service, as of now, where its process is still the one that is meant."""
        _, service = await self._there(db, fresh=True)
        latest = service.latest_deployment
        return service if latest is not None and latest.id == identity else None

    async def resize(self, db: Database) -> None:
        _, service = await self._there(db)
        await self._set_limits(db, service)

    async def replace(self, db: Database) -> None:
        _, service = await self._there(db, fresh=True)
        await self.deploy(service)

    async def record(self, db: Database, system_id: str) -> None:
        """Whose data it is, beside the marker."""
        _, service = await self._there(db)
        if system_id:
            await self._set_variables(service.service_id, {fill_service.SYSTEM_ID: system_id})


def goes(service: ServiceInstance) -> bool:
    """It runs, or is about to."""
    latest = service.latest_deployment
    return latest is not None and latest.standing in (Standing.COMING, Standing.RUNNING)
