"""What Railway knows: plain data, so that a stale read is a copy of it."""

from __future__ import annotations

import uuid
from dataclasses import dataclass, field
from typing import Any

JSON = dict[str, Any]


def new_id() -> str:
    return str(uuid.uuid4())


@dataclass
class Workspace:
    id: str
    name: str
    plan: str


@dataclass
class Token:
    value: str
    kind: str
    """`account`, `workspace` or `project`."""
    workspace_id: str = ""
    project_id: str = ""
    environment_id: str = ""
    revoked: bool = False


@dataclass
class Project:
    id: str
    name: str
    workspace_id: str
    created_at: float
    deleted_at: float | None = None
    primary_environment_id: str = ""
    pr_environments: bool = False


@dataclass
class Environment:
    id: str
    name: str
    project_id: str
    source_id: str | None = None
    """A fork of this one."""
    ephemeral: bool = False
    deleted_at: float | None = None
    shared: dict[str, str] = field(default_factory=dict)
    network_id: str = field(default_factory=new_id)


@dataclass
class Service:
    id: str
    name: str
    project_id: str
    created_at: float
    deleted_at: float | None = None


@dataclass
class Instance:
    """A service in one environment."""

    id: str
    service_id: str
    environment_id: str
    found_from: float
    """Until then it answers "ServiceInstance not found"."""
    image: str | None = None
    region: str = ""
    replicas: int = 1
    start_command: str | None = None
    restart_policy: str = "ON_FAILURE"
    max_retries: int = 10
    draining_seconds: int = 0
    sleeps: bool = False
    variables: dict[str, str] = field(default_factory=dict)
    sealed: set[str] = field(default_factory=set)
    """Names of variables whose values nobody is shown again."""
    limits: JSON | None = None
    deleted_at: float | None = None


@dataclass
class Volume:
    id: str
    name: str
    project_id: str
    created_at: float


@dataclass
class VolumeInstance:
    id: str
    volume_id: str
    environment_id: str
    service_id: str | None
    mount_path: str
    region: str
    size_mb: int
    seen_from: float
    state: str | None = "READY"
    deleted_at: float | None = None
    schedules: dict[str, str] = field(default_factory=dict)
    """Kind of a schedule of backups to its id."""


@dataclass
class Deployment:
    id: str
    service_id: str
    environment_id: str
    image: str
    start_command: str | None
    created_at: float
    status_at: float
    reason: str
    status: str = "QUEUED"
    instance_id: str = field(default_factory=new_id)
    instance_status: str | None = None
    stopped: bool = False
    restarts: int = 0
    variables: dict[str, str] | None = None
    """As rendered at its start."""
    events: list[JSON] = field(default_factory=list)
    logs: list[tuple[float, str]] = field(default_factory=list)


@dataclass
class Proxy:
    id: str
    service_id: str
    environment_id: str
    port: int
    """Of the application."""
    proxy_port: int
    status: str = "CREATING"
    deleted_at: float | None = None
    needs_deploy: bool = False


@dataclass
class Patch:
    id: str
    environment_id: str
    patch: JSON
    created_at: float
    status: str = "STAGED"
    message: str | None = None
    applied_at: float | None = None
    error: str | None = None


@dataclass
class Workflow:
    id: str
    seen_from: float
    status: str = "Running"
    error: str | None = None


@dataclass
class Backup:
    id: str
    volume_instance_id: str
    name: str | None
    created_at: float
    expires_at: float | None
    used_mb: int
    size_mb: int
    schedule_id: str | None = None


@dataclass
class Bucket:
    id: str
    name: str
    project_id: str
    region: str | None = None
    created_in: list[str] = field(default_factory=list)
    """Environments."""


@dataclass
class State:
    """By id, in the order of their making."""

    workspaces: dict[str, Workspace] = field(default_factory=dict)
    tokens: dict[str, Token] = field(default_factory=dict)
    projects: dict[str, Project] = field(default_factory=dict)
    environments: dict[str, Environment] = field(default_factory=dict)
    services: dict[str, Service] = field(default_factory=dict)
    instances: dict[str, Instance] = field(default_factory=dict)
    volumes: dict[str, Volume] = field(default_factory=dict)
    volume_instances: dict[str, VolumeInstance] = field(default_factory=dict)
    deployments: dict[str, Deployment] = field(default_factory=dict)
    proxies: dict[str, Proxy] = field(default_factory=dict)
    proxies_made: list[str] = field(default_factory=list)
    """The environment of each that ever was: a row is forgotten."""
    patches: dict[str, Patch] = field(default_factory=dict)
    workflows: dict[str, Workflow] = field(default_factory=dict)
    backups: dict[str, Backup] = field(default_factory=dict)
    buckets: dict[str, Bucket] = field(default_factory=dict)

    def instance(self, service_id: str, environment_id: str) -> Instance | None:
        for each in self.instances.values():
            if (each.service_id, each.environment_id) == (service_id, environment_id):
                return each
        return None

    def volume_of(self, service_id: str, environment_id: str) -> VolumeInstance | None:
        """The one that is mounted there: one a service (§3)."""
        for each in self.volume_instances.values():
            mine = (each.service_id, each.environment_id) == (service_id, environment_id)
            if mine and each.deleted_at is None:
                return each
        return None

    def deployments_of(self, service_id: str, environment_id: str) -> list[Deployment]:
        """The latest first."""
        mine = (service_id, environment_id)
        every = list(self.deployments.values())
        return [d for d in every if (d.service_id, d.environment_id) == mine][::-1]

    def live_proxy(self, service_id: str, environment_id: str) -> Proxy | None:
        for each in self.proxies.values():
            mine = (each.service_id, each.environment_id) == (service_id, environment_id)
            if mine and each.deleted_at is None:
                return each
        return None

    def staged(self, environment_id: str) -> Patch | None:
        for each in self.patches.values():
            if each.environment_id == environment_id and each.status == "STAGED":
                return each
        return None
