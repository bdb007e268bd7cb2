"""The service that receives a Database's log, made and taken away: asks Railway for as little as it
takes, and for nothing where all is so already.

The order is the same as for the database's own: first the service, with the marker of whose it is
in the same request, and once it shows, one commit of all the rest, which Railway deploys. It has no
volume and no proxy, so that nothing of it is left behind by itself.
"""

from __future__ import annotations

import logging

from postbase_operator.api.database import Database
from postbase_operator.errors import Denied, NotReady
from postbase_operator.railway import receiver_service, services
from postbase_operator.railway.graphql import changes
from postbase_operator.railway.graphql.deployments import Standing
from postbase_operator.railway.graphql.faults import Refused
from postbase_operator.railway.graphql.models import ServiceInstance
from postbase_operator.railway.ground import Ground
from postbase_operator.railway.lifecycle.building import Builder, goes
from postbase_operator.railway.lifecycle.making import DEPLOYMENT, SERVICE, create_service
from postbase_operator.railway.receiver_service import Wanted

logger = logging.getLogger(__name__)


class Receiving:
    """Each method may be killed anywhere and run again."""

    def __init__(self, ground: Ground) -> None:
        self._ground = ground
        self._sight = ground.sight

    async def apply(self, db: Database, wanted: Wanted) -> None:
        """Raises NotReady until it is as wanted, and what Railway refuses."""
        ground = self._ground
        _, service = await ground.look_receiver(db)
        if service is None:
            _, service = await ground.look_receiver(db, fresh=True)
        if service is None:
            name = ground.receiver_name(db)
            marker = {services.MARKER: services.marker(db, ground.cluster)}
            await create_service(ground, db, name, marker)
            raise NotReady(f"Railway does not show the service {name} yet", 2.0)
        told_otherwise = ground.told.get(service.service_id) not in (None, wanted.revision)
        if told_otherwise or not await self._is_right(service, wanted):
            # Of this moment: what was seen before the commit of the last look was applied would
            # make it twice, and two deployments; or pass for what is wanted once more.
            self._sight.changed(service.service_id)
            _, service = await ground.look_receiver(db, fresh=True)
            if service is None or not await self._is_right(service, wanted):
                await self._describe(db, service, wanted)
            elif told_otherwise:  # that may be applied yet
                ground.wait_for(DEPLOYMENT, service.service_id)
                ground.told[service.service_id] = wanted.revision
        builder = Builder(ground)
        if service is not None and builder.lacks_deployment(service):
            await builder.deploy(service)

    async def _is_right(self, service: ServiceInstance, wanted: Wanted) -> bool:
        held = await self._sight.variables(service.service_id)
        return receiver_service.is_as_wanted(service, held, wanted)

    async def _describe(
        self, db: Database, service: ServiceInstance | None, wanted: Wanted
    ) -> None:
        """Railway deploys what a commit changes: a deployment of our own would be a second one."""
        if service is None:
            raise NotReady(f"{self._ground.receiver_name(db)} is gone", 2.0)
        held = await self._sight.variables(service.service_id)
        self._ground.asked(DEPLOYMENT, service.service_id)
        self._ground.told[service.service_id] = wanted.revision
        self._sight.changed(service.service_id)
        message = f"postbase: {service.service_name} becomes {wanted.revision}"
        await self._ground.commits.make(receiver_service.patch(service, wanted, held), message)

    async def stop(self, service: ServiceInstance | None) -> None:
        """Its process goes, and all else stays: a paused database has no log to receive."""
        if service is not None and goes(service):
            await Builder(self._ground).stop(service)

    async def restart(self, service: ServiceInstance | None) -> None:
        """The process anew: same image, same variables, no deployment. A repeat restarts again.

        One that has failed, or that Railway does not restart for us, is deployed. One that comes,
        or is stopped, is left to what it waits for.
        """
        latest = service.latest_deployment if service is not None else None
        if service is None or latest is None:
            return
        if latest.standing is Standing.RUNNING:
            self._sight.changed(service.service_id)
            try:
                await changes.restart(self._ground.client, latest.id)
            except (Refused, Denied) as error:
                logger.info("Railway does not restart it", extra={"error": str(error)})
                await Builder(self._ground).deploy(service)
            else:
                # Meanwhile it may look stopped: that is no reason for a deployment.
                self._ground.asked(DEPLOYMENT, service.service_id)
        elif latest.standing is Standing.FAILED:
            await Builder(self._ground).deploy(service)

    async def remove(self, db: Database) -> bool:
        """True where there is none."""
        ground = self._ground
        _, service = await ground.look_receiver(db)
        if service is None:
            return True
        self._sight.changed(service.service_id)
        await changes.delete_service(ground.client, ground.place, service.service_id)
        ground.was_not_done(SERVICE, ground.receiver_name(db))
        return False
