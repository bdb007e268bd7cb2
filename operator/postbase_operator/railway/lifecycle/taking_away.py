"""A Database leaves Railway: the proxy, then the service, then the volume where it is not kept.

Each by itself, for Railway deletes none along with another. A volume that is deleted is shown, and
can be had back from Railway, for 48 hours; it counts as gone.
"""

from __future__ import annotations

from postbase_operator.api.database import Database
from postbase_operator.railway.generations import Part
from postbase_operator.railway.graphql import changes
from postbase_operator.railway.graphql.models import (
    EnvironmentState,
    ServiceInstance,
    TcpProxy,
    VolumeInstance,
)
from postbase_operator.railway.ground import Ground
from postbase_operator.railway.lifecycle.making import SERVICE, VOLUME
from postbase_operator.railway.observe import part_name, volume_name


async def delete_service(
    ground: Ground, db: Database, part: Part, state: EnvironmentState, *, whole: bool
) -> None:
    """First of all each volume gets its name: once the service is gone, and the marker with it,
    nothing else tells whose it is, and whether it is to be kept as a `whole` database. Raises
    NotReady within the time in which one may still show."""
    service = part.service
    volumes = state.volumes_of(service.service_id)
    if not volumes:
        ground.is_met(VOLUME, service.service_id)
        ground.wait_for(VOLUME, service.service_id)
    for volume in volumes:
        wanted = (volume_name if whole else part_name)(ground.name(db), volume.volume_id)
        if volume.volume.name != wanted:
            ground.sight.changed()
            await changes.rename_volume(ground.client, volume.volume_id, wanted)
    ground.sight.changed(service.service_id)
    proxy = state.proxy_of(service.service_id)
    if proxy is not None:
        await changes.delete_tcp_proxy(ground.client, proxy.id)
    await changes.delete_service(ground.client, ground.place, service.service_id)
    ground.was_not_done(SERVICE, service.service_name)


async def close(ground: Ground, service: ServiceInstance, proxy: TcpProxy) -> None:
    """The way in from the internet goes; the service runs on."""
    ground.sight.changed(service.service_id)
    await changes.delete_tcp_proxy(ground.client, proxy.id)


async def remove(ground: Ground, db: Database, part: Part, state: EnvironmentState) -> None:
    """A service of which nothing is kept, beside one that serves. Killed in between, its volume is
    found by its name."""
    await delete_service(ground, db, part, state, whole=False)
    await delete_volumes(ground, state.volumes_of(part.service_id))


def wait_for_service(ground: Ground, db: Database) -> None:
    """Of one that is not seen. Raises NotReady within the time in which it may still show: asked
    for a moment ago, also by a process that was killed, it would be left behind."""
    ground.is_met(SERVICE, ground.name(db))
    ground.wait_for(SERVICE, ground.name(db))


async def delete_volumes(ground: Ground, volumes: tuple[VolumeInstance, ...]) -> None:
    for each in volumes:
        ground.sight.changed()
        await changes.delete_volume(ground.client, each.volume_id)
