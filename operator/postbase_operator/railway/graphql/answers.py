"""The `data` of each answer: the root fields of its document, and nothing else. PURE."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Self

from pydantic import ConfigDict, Field, model_validator

from postbase_operator.railway.graphql.deployments import (
    Deployment,
    DeploymentStep,
    LogLine,
    Measured,
)
from postbase_operator.railway.graphql.models import (
    Connection,
    Environment,
    Limits,
    Named,
    Patch,
    Project,
    Region,
    ServiceInstance,
    TcpProxy,
    VolumeInstance,
    Workflow,
)
from postbase_operator.railway.graphql.result import Result


class Workspaces(Result):
    workspaces: tuple[Named, ...] = ()


class Me(Result):
    me: Workspaces


class ApiToken(Result):
    api_token: Workspaces


class Scope(Result):
    """The one environment that a project token is for."""

    project_id: str
    environment_id: str


class ProjectToken(Result):
    project_token: Scope


class Points(Result):
    """The budget as Railway counts it; what a request costs is not told."""

    remaining_points: int
    resets_at: str = ""


class Quota(Result):
    """`plan` is FREE, HOBBY or PRO, or a word that came later."""

    plan: str
    api_token_rate_limit: Points | None = None


class Workspace(Result):
    workspace: Quota


class Regions(Result):
    regions: tuple[Region, ...]


class Projects(Result):
    projects: Connection[Named]


class OneProject(Result):
    project: Project


class Environments(Result):
    environments: Connection[Environment]


class ServicesOfProject(Result):
    services: Connection[Named]


class ProjectServices(Result):
    project: ServicesOfProject


class EnvironmentPage(Result):
    id: str
    name: str
    config_etag: str | None = None
    unmerged_changes_count: int | None = None
    service_instances: Connection[ServiceInstance]
    volume_instances: Connection[VolumeInstance]


class OneEnvironment(Result):
    """`proxies` by their root field: proxy0, proxy1 …"""

    environment: EnvironmentPage
    proxies: Mapping[str, tuple[TcpProxy, ...]]

    @model_validator(mode="before")
    @classmethod
    def _gathered(cls, data: dict[str, object]) -> dict[str, object]:
        proxies = {name: value for name, value in data.items() if name.startswith("proxy")}
        return {"environment": data.get("environment"), "proxies": proxies}


class Proxies(Result):
    tcp_proxies: tuple[TcpProxy, ...]


class Variables(Result):
    """None: sealed, so that nobody is shown its value."""

    variables: dict[str, str | None]


class LimitOverride(Result):
    override: Limits | None = None


class Patches(Result):
    environment_patches: Connection[Patch]


class WorkflowStatus(Result):
    workflow_status: Workflow


class OneDeployment(Result):
    deployment: Deployment


class DeploymentEvents(Result):
    deployment_events: Connection[DeploymentStep]


class Logs(Result):
    deployment_logs: tuple[LogLine, ...]


class Metrics(Result):
    metrics: tuple[Measured, ...]


class Done(Result):
    """Of a change with one root field, whatever its name is, that answers true."""

    model_config = ConfigDict(extra="allow")

    @model_validator(mode="after")
    def _it_is(self) -> Self:
        if [value is True for value in (self.model_extra or {}).values()] != [True]:
            raise ValueError("the change was not confirmed")
        return self


class CreatedProject(Result):
    project_create: Named


class CreatedEnvironment(Result):
    environment_create: Named


class CreatedService(Result):
    service_create: Named


class CreatedVolume(Result):
    volume_create: Named


class RenamedVolume(Result):
    volume_update: Named


class Committed(Result):
    """Text that may, or may not, be the id of the workflow: nothing says so."""

    patch: str = Field(alias="environmentPatchCommit")


class Deployed(Result):
    deployment_id: str = Field(alias="serviceInstanceDeployV2")
