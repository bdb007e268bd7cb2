"""Variables of a service, and what Railway makes of them for its container."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from railway.state import Deployment, Instance, State

if TYPE_CHECKING:
    from railway.world import World

REFERENCE = re.compile(r"\$\{\{\s*([^}]+?)\s*\}\}")
DEPTH = 5


def rendered(state: State, world: World, service_id: str, environment_id: str) -> dict[str, str]:
    """All that the container gets: its own, references resolved, and RAILWAY_*."""
    instance = state.instance(service_id, environment_id)
    if instance is None:
        return {}
    every = provided(state, world, instance) | instance.variables
    return {name: _render(state, world, instance, text) for name, text in every.items()}


def provided(state: State, world: World, instance: Instance) -> dict[str, str]:
    """Railway's own (§3 template values, hard checks)."""
    service = state.services[instance.service_id]
    environment = state.environments[instance.environment_id]
    own = {
        "RAILWAY_PROJECT_ID": service.project_id,
        "RAILWAY_ENVIRONMENT_ID": environment.id,
        "RAILWAY_ENVIRONMENT_NAME": environment.name,
        "RAILWAY_SERVICE_ID": service.id,
        "RAILWAY_SERVICE_NAME": service.name,
        "RAILWAY_PRIVATE_DOMAIN": f"{world.dns_name(instance)}.railway.internal",
    }
    volume = state.volume_of(service.id, environment.id)
    if volume is not None:
        own["RAILWAY_VOLUME_MOUNT_PATH"] = volume.mount_path
        own["RAILWAY_VOLUME_NAME"] = state.volumes[volume.volume_id].name
    proxy = state.live_proxy(service.id, environment.id)
    if proxy is not None and proxy.status == "ACTIVE":
        own["RAILWAY_TCP_PROXY_DOMAIN"] = world.settings.public_address
        own["RAILWAY_TCP_PROXY_PORT"] = str(proxy.proxy_port)
        own["RAILWAY_TCP_APPLICATION_PORT"] = str(proxy.port)
    return own


def _render(state: State, world: World, instance: Instance, text: str, depth: int = DEPTH) -> str:
    """§4: `${{VAR}}`, `${{Name.VAR}}` by the service's name, `${{shared.VAR}}`."""

    def resolve(found: re.Match[str]) -> str:
        owner, _, name = found.group(1).rpartition(".")
        if owner == "shared":
            return state.environments[instance.environment_id].shared.get(name, "")
        other = _named(state, instance, owner) if owner else instance
        if other is None or depth == 0:
            return ""
        value = (provided(state, world, other) | other.variables).get(name, "")
        return _render(state, world, other, value, depth - 1)

    return REFERENCE.sub(resolve, text)


def _named(state: State, instance: Instance, name: str) -> Instance | None:
    """A renamed service is not found under its old name (§4 "no rename-safe references")."""
    project = state.services[instance.service_id].project_id
    for service in state.services.values():
        if (service.name, service.project_id, service.deleted_at) == (name, project, None):
            return state.instance(service.id, instance.environment_id)
    return None


def draining_seconds(world: World, deployment: Deployment) -> float:
    """§3: a variable of the template, else the service's setting, else 0."""
    told = (deployment.variables or {}).get("RAILWAY_DEPLOYMENT_DRAINING_SECONDS", "")
    if told.isdigit():
        return float(told)
    instance = world.state.instance(deployment.service_id, deployment.environment_id)
    return float(instance.draining_seconds) if instance else 0.0
