"""TCP proxies: one a service instance, a port that nobody chooses, raw TCP."""

from __future__ import annotations

from typing import Any

from railway.errors import IN_PROGRESS, Refused
from railway.state import Proxy, new_id
from railway.visit import Visit
from railway.world import World

SECOND = "A TCP proxy already exists for this service instance"
"""§2 Creating twice: refused, one a service instance [C]; [U] the words."""


def make(world: World, service_id: str, environment_id: str, port: int) -> Proxy:
    """CREATING at first, then ACTIVE (§1 step 12)."""
    made = Proxy(new_id(), service_id, environment_id, port, 0)
    world.listen(made)
    world.state.proxies[made.id] = made
    world.state.proxies_made.append(environment_id)

    def end() -> None:
        if made.deleted_at is None and made.status == "CREATING":
            made.status = "ACTIVE"

    world.clock.after(world.settings.delays.proxy, end)
    return made


def begin_removal(world: World, proxy: Proxy) -> None:
    """The row stays for a while, DELETING, then DELETED with `deletedAt` (§1 step 12)."""
    proxy.status, proxy.deleted_at = "DELETING", world.clock.now()
    world.close_port(proxy.id)

    def end() -> None:
        proxy.status = "DELETED"
        world.clock.after(world.settings.delays.deleted_seen, forget)

    def forget() -> None:
        world.state.proxies.pop(proxy.id, None)

    world.clock.after(world.settings.delays.removing, end)


def create(visit: Visit, args: dict[str, Any]) -> Proxy:
    """The deprecated mutation: carries nothing before the next deployment (operations.graphql)."""
    given = args["input"]
    instance = visit.instance(given["serviceId"], given["environmentId"])
    if visit.world.state.live_proxy(instance.service_id, instance.environment_id):
        raise Refused(SECOND)
    port = given["applicationPort"]
    made = make(visit.world, instance.service_id, instance.environment_id, port)
    made.needs_deploy = True
    return made


def delete(visit: Visit, args: dict[str, Any]) -> bool:
    """§1 Delete: "operation is already in progress" while it is being made: retry."""
    proxy = visit.proxy(args["id"])
    if proxy.status == "CREATING":
        raise Refused(IN_PROGRESS)
    begin_removal(visit.world, proxy)
    return True
