"""What a test has left behind in the double."""

from __future__ import annotations

from collections.abc import Iterator

from railway.world import World


def behind(world: World) -> list[str]:
    return [*_services(world), *_volumes(world), *_running(world), *_staged(world)]


def _deleted(world: World, project_id: str) -> bool:
    project = world.state.projects.get(project_id)
    return project is None or project.deleted_at is not None


def _services(world: World) -> Iterator[str]:
    for service in world.state.services.values():
        if service.deleted_at is None and not _deleted(world, service.project_id):
            yield f"service {service.name}"


def _volumes(world: World) -> Iterator[str]:
    """Those in their 48 h are deleted (§1 Delete); those without instances are not (step 6)."""
    for volume in world.state.volumes.values():
        every = [v for v in world.state.volume_instances.values() if v.volume_id == volume.id]
        pending = every and all(v.deleted_at is not None for v in every)
        if not pending and not _deleted(world, volume.project_id):
            yield f"volume {volume.name}" + ("" if every else ", without an instance")


def _running(world: World) -> Iterator[str]:
    """Ports and containers."""
    services = world.state.services
    for proxy in world.state.proxies.values():
        if proxy.deleted_at is None:
            yield f"proxy {proxy.proxy_port} of {services[proxy.service_id].name}"
    for deployment_id, box in world.boxes.items():
        if not box.ended:
            owner = world.state.deployments[deployment_id].service_id
            yield f"container of {services[owner].name}"


def _staged(world: World) -> Iterator[str]:
    for patch in world.state.patches.values():
        if patch.status == "STAGED" and patch.patch:
            yield f"staged changes in {world.state.environments[patch.environment_id].name}"
