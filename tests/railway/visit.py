"""One call's view: by which token, of which state; what it finds, and what it may not see."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from railway.errors import NOT_AUTHORIZED, PROJECT_TOKEN_NOT_FOUND, Refused, not_found
from railway.state import (
    Deployment,
    Environment,
    Instance,
    Project,
    Proxy,
    Service,
    State,
    Token,
    Volume,
    VolumeInstance,
)

if TYPE_CHECKING:
    from railway.world import World


def token_of(state: State, headers: Mapping[str, str]) -> Token:
    """§2 Authentication: account and workspace tokens are Bearer, project tokens have a header of
    their own; a `Team-Access-Token` is not in Railway's documents, so it opens nothing here."""
    project = headers.get("Project-Access-Token")
    if project is not None:
        found = state.tokens.get(project)
        if found is None or found.revoked or found.kind != "project":
            raise Refused(PROJECT_TOKEN_NOT_FOUND)  # §2 "Bad token"
        return found
    scheme, _, value = headers.get("Authorization", "").partition(" ")
    found = state.tokens.get(value)
    if scheme != "Bearer" or found is None or found.revoked or found.kind == "project":
        raise Refused(NOT_AUTHORIZED)  # §2 "Denied"
    return found


@dataclass
class Visit:
    world: World
    state: State
    """Of a query it may be an old one."""
    token: Token

    def bearer(self) -> None:
        """§2: a project token sees one environment; [U] what of the rest it may call."""
        if self.token.kind == "project":
            raise Refused(NOT_AUTHORIZED)

    def workspace(self, workspace_id: str | None) -> None:
        """§2 "Denied" is also for ids that one may not see."""
        self.bearer()
        token = self.token
        if token.kind == "workspace" and token.workspace_id != workspace_id:
            raise Refused(NOT_AUTHORIZED)
        if workspace_id not in self.state.workspaces:
            raise Refused(NOT_AUTHORIZED)

    def project(self, project_id: str) -> Project:
        found = self.state.projects.get(project_id)
        if found is None:
            raise not_found("Project")
        if self.token.kind == "project":
            if self.token.project_id != found.id:
                raise Refused(NOT_AUTHORIZED)
        else:
            self.workspace(found.workspace_id)
        return found

    def environment(self, environment_id: str) -> Environment:
        found = self.state.environments.get(environment_id)
        if found is None or found.deleted_at is not None:
            raise not_found("Environment")
        self.project(found.project_id)
        if self.token.kind == "project" and self.token.environment_id != found.id:
            raise Refused(NOT_AUTHORIZED)
        return found

    def service(self, service_id: str) -> Service:
        found = self.state.services.get(service_id)
        if found is None:
            raise not_found("Service")
        self.project(found.project_id)
        if found.deleted_at is not None:
            raise not_found("Service")
        return found

    def instance(self, service_id: str, environment_id: str) -> Instance:
        """§1 step 5: for some seconds after serviceCreate it is not found, which is normal."""
        self.environment(environment_id)
        found = self.state.instance(service_id, environment_id)
        if found is None or found.deleted_at is not None:
            raise not_found("ServiceInstance")
        if self.world.clock.now() < found.found_from:
            raise not_found("ServiceInstance")
        return found

    def volume(self, volume_id: str) -> Volume:
        found = self.state.volumes.get(volume_id)
        if found is None:
            raise not_found("Volume")
        self.project(found.project_id)
        return found

    def volume_instance(self, instance_id: str) -> VolumeInstance:
        """§2 "Gone": by the id of the instance, not of the volume (§1 Volume backups)."""
        found = self.state.volume_instances.get(instance_id)
        if found is None or self.world.clock.now() < found.seen_from:
            raise not_found("VolumeInstance")
        self.environment(found.environment_id)
        return found

    def deployment(self, deployment_id: str) -> Deployment:
        found = self.state.deployments.get(deployment_id)
        if found is None:
            raise not_found("Deployment")
        self.environment(found.environment_id)
        return found

    def proxy(self, proxy_id: str) -> Proxy:
        found = self.state.proxies.get(proxy_id)
        if found is None or found.deleted_at is not None:
            raise not_found("TCPProxy")
        self.environment(found.environment_id)
        return found
