"""What Railway answers, as far as it is used. PURE.

States are text, not closed lists: the live API may know one more than the schema that we have, and
one word that is new must not make a whole environment unreadable.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Generic, TypeVar

from pydantic import Field, field_validator

from postbase_operator.railway.graphql.deployments import Deployment
from postbase_operator.railway.graphql.result import Result

Node = TypeVar("Node")


class PageInfo(Result):
    """Whether there is more, and from where."""

    has_next_page: bool = False
    end_cursor: str | None = None


class Edge(Result, Generic[Node]):
    """One of a page."""

    node: Node


class Connection(Result, Generic[Node]):
    """One page of a list."""

    edges: tuple[Edge[Node], ...] = ()
    page_info: PageInfo = PageInfo()

    @property
    def nodes(self) -> tuple[Node, ...]:
        return tuple(edge.node for edge in self.edges)


class Named(Result):
    """A thing with an id and a name: a workspace, a project, an environment, a service."""

    id: str
    name: str
    deleted_at: datetime | None = None


class Environment(Named):
    """`source_environment` is set on a fork, as pull requests have them."""

    source_environment: dict[str, Any] | None = None


class Project(Named):
    """`subscription_type` is the plan: free, trial, hobby, pro; or a word that came later."""

    subscription_type: str = ""


class DeprecationInfo(Result):
    is_deprecated: bool = False
    replacement_region: str = ""


class Constraints(Result):
    deprecation_info: DeprecationInfo | None = None


class Region(Result):
    """Where services run, by the name that is written: europe-west4-drams3a."""

    name: str
    location: str = ""
    country: str = ""
    deployment_constraints: Constraints | None = None

    @property
    def replacement(self) -> str | None:
        """The region to take in its place, where Railway gives this one up."""
        info = self.deployment_constraints and self.deployment_constraints.deprecation_info
        return info.replacement_region if info and info.is_deprecated else None


class Source(Result):
    image: str | None = None


class ServiceInstance(Result):
    """A service as it is in one environment."""

    service_id: str
    service_name: str
    region: str | None = None
    start_command: str | None = None
    deleted_at: datetime | None = None
    source: Source | None = None
    latest_deployment: Deployment | None = None
    active_deployments: tuple[Deployment, ...] = ()

    @property
    def image(self) -> str | None:
        """The image that the next deployment runs."""
        return self.source.image if self.source is not None else None


class VolumeName(Result):
    name: str = ""


class VolumeInstance(Result):
    """A volume as it is in one environment. Sizes in Railway's MB."""

    id: str
    volume_id: str
    service_id: str | None = None
    mount_path: str = ""
    region: str | None = None
    size_mb: int = Field(alias="sizeMB")
    current_size_mb: float = Field(0.0, alias="currentSizeMB")
    state: str | None = None
    deleted_at: datetime | None = None
    is_pending_deletion: bool = False
    volume: VolumeName = VolumeName()

    @property
    def gone(self) -> bool:
        """A deleted volume is seen for 48 hours more."""
        waits = self.deleted_at is not None or self.is_pending_deletion
        return waits or self.state in ("DELETING", "DELETED")


class TcpProxy(Result):
    """The way in from the internet."""

    id: str
    domain: str
    proxy_port: int
    application_port: int
    sync_status: str = ""
    deleted_at: datetime | None = None

    @field_validator("domain")
    @classmethod
    def _without_the_root(cls, domain: str) -> str:
        """The name is told with the dot of the root at its end, which clients do not verify."""
        return domain.rstrip(".")

    @property
    def gone(self) -> bool:
        return self.deleted_at is not None or self.sync_status in ("DELETING", "DELETED")

    @property
    def ready(self) -> bool:
        return not self.gone and self.sync_status == "ACTIVE"


@dataclass(frozen=True, slots=True)
class EnvironmentState:
    """All that one look at an environment shows.

    `proxies` has a key for each service that was asked for and is there. `unmerged` counts changes
    that somebody has staged: a commit of ours must not carry theirs out.
    """

    id: str
    name: str
    services: tuple[ServiceInstance, ...] = ()
    volumes: tuple[VolumeInstance, ...] = ()
    proxies: Mapping[str, tuple[TcpProxy, ...]] = field(default_factory=dict)
    unmerged: int = 0
    config_etag: str | None = None

    def service(self, service_id: str) -> ServiceInstance | None:
        found = (each for each in self.services if each.service_id == service_id)
        return next((each for each in found if each.deleted_at is None), None)

    def named(self, name: str) -> ServiceInstance | None:
        found = (each for each in self.services if each.service_name == name)
        return next((each for each in found if each.deleted_at is None), None)

    def volumes_of(self, service_id: str) -> tuple[VolumeInstance, ...]:
        return tuple(v for v in self.volumes if v.service_id == service_id and not v.gone)

    def proxy_of(self, service_id: str) -> TcpProxy | None:
        found = (each for each in self.proxies.get(service_id, ()) if not each.gone)
        return next(found, None)


class Containers(Result):
    cpu: float | None = None
    memory_bytes: float | None = None


class Limits(Result):
    """What a service may use: processors, and bytes."""

    containers: Containers | None = None


class Patch(Result):
    """A commit to an environment. Failed while `status` is anything, where an error is told."""

    id: str
    status: str
    applied_at: datetime | None = None
    last_applied_error: str | None = None
    message: str | None = None


class Workflow(Result):
    """Running, Complete, Error or NotFound; the last is also said of one that has just begun."""

    status: str
    error: str | None = None
