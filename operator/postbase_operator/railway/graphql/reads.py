"""What is asked of Railway. One look at an environment serves all databases in it.

The budget is a thousand requests an hour on the common plan, sixteen a minute: a request for each
database at each look would use it up with a dozen of them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeVar

from pydantic import BaseModel

from postbase_operator.errors import Unavailable
from postbase_operator.railway import operations
from postbase_operator.railway.graphql import answers, models
from postbase_operator.railway.graphql.client import Client, TokenKind
from postbase_operator.railway.graphql.deployments import (
    Deployment,
    DeploymentStep,
    LogLine,
    Measured,
)
from postbase_operator.railway.graphql.faults import RAILWAY, NotAuthorized, NotFound
from postbase_operator.railway.graphql.models import Connection, EnvironmentState, Node, TcpProxy
from postbase_operator.railway.operations import Document

PAGE = 100
MOST_PAGES = 100
LOG_LINES = 5000
"""The most that Railway gives at once."""

Answer = TypeVar("Answer", bound=BaseModel)


@dataclass(frozen=True, slots=True)
class Place:
    """Where services are: ids of Railway's."""

    project_id: str
    environment_id: str


async def workspaces(client: Client, kind: TokenKind) -> tuple[models.Named, ...]:
    """The workspaces of an account's or a workspace's token; raises BadToken for any other."""
    if kind is TokenKind.ACCOUNT:
        me = await client.ask(operations.ACCOUNT_WORKSPACES, answers.Me)
        return me.me.workspaces
    token = await client.ask(operations.TOKEN_WORKSPACES, answers.ApiToken)
    return token.api_token.workspaces


async def token_place(client: Client) -> Place:
    """The one environment that a project's token is for."""
    scope = (await client.ask(operations.PROJECT_TOKEN_SCOPE, answers.ProjectToken)).project_token
    return Place(scope.project_id, scope.environment_id)


async def quota(client: Client, workspace_id: str) -> answers.Quota:
    variables = {"workspaceId": workspace_id}
    return (await client.ask(operations.WORKSPACE_QUOTA, answers.Workspace, variables)).workspace


async def regions(client: Client, project_id: str | None = None) -> tuple[models.Region, ...]:
    variables = {"projectId": project_id}
    return (await client.ask(operations.REGIONS, answers.Regions, variables)).regions


async def projects(client: Client, workspace_id: str | None) -> tuple[models.Named, ...]:
    """Those of a workspace that are not being deleted. Names are not unique."""
    found = await _all(
        client,
        operations.FIND_PROJECTS,
        answers.Projects,
        {"workspaceId": workspace_id},
        lambda page: page.projects,
    )
    return tuple(project for project in found if project.deleted_at is None)


async def project(client: Client, project_id: str) -> models.Project:
    """One that is being deleted (48 hours) is still shown, with `deleted_at`."""
    found = await client.ask(operations.READ_PROJECT, answers.OneProject, {"id": project_id})
    return found.project


async def environments(client: Client, project_id: str) -> tuple[models.Environment, ...]:
    """Those of a project that stay: no forks of pull requests."""
    found = await _all(
        client,
        operations.LIST_ENVIRONMENTS,
        answers.Environments,
        {"projectId": project_id},
        lambda page: page.environments,
    )
    return tuple(each for each in found if each.deleted_at is None)


async def services(client: Client, project_id: str) -> tuple[models.Named, ...]:
    """All services of a project, those too that the environment does not show."""
    found = await _all(
        client,
        operations.LIST_SERVICES,
        answers.ProjectServices,
        {"projectId": project_id},
        lambda page: page.project.services,
    )
    return tuple(service for service in found if service.deleted_at is None)


async def environment(
    client: Client, place: Place, proxies_of: Sequence[str] = (), *, urgent: bool = False
) -> EnvironmentState:
    """Services, deployments, volumes of an environment, and the proxies of these services.

    A service that is gone, or not shown to us, has no key in `proxies`; it must not take the sight
    of all the others away. Raises NotFound where the environment itself is gone.
    """
    asked = list(dict.fromkeys(proxies_of))
    while True:
        try:
            first = await _environment_page(client, place, asked, None, None, urgent=urgent)
            break
        except (NotFound, NotAuthorized) as error:
            number = _proxy_number(error.path)
            if number is None or number >= len(asked):
                raise
            del asked[number]
    page = first.environment
    instances, volumes = list(page.service_instances.nodes), list(page.volume_instances.nodes)
    after, volumes_after = page.service_instances.page_info, page.volume_instances.page_info
    pages = 1
    while after.has_next_page or volumes_after.has_next_page:
        pages += 1
        before = (after.end_cursor, volumes_after.end_cursor)
        more = await _environment_page(client, place, [], *before, urgent=urgent)
        page = more.environment
        if after.has_next_page:
            instances += page.service_instances.nodes
            after = page.service_instances.page_info
        if volumes_after.has_next_page:
            volumes += page.volume_instances.nodes
            volumes_after = page.volume_instances.page_info
        _moves_on((after.end_cursor, volumes_after.end_cursor), before, pages)
    return EnvironmentState(
        id=page.id,
        name=page.name,
        services=tuple(instances),
        volumes=tuple(volumes),
        proxies={id: first.proxies.get(f"proxy{n}", ()) for n, id in enumerate(asked)},
        unmerged=first.environment.unmerged_changes_count or 0,
        config_etag=first.environment.config_etag,
    )


async def _environment_page(
    client: Client,
    place: Place,
    asked: Sequence[str],
    after: str | None,
    volumes_after: str | None,
    *,
    urgent: bool,
) -> answers.OneEnvironment:
    variables: dict[str, Any] = {
        "environmentId": place.environment_id,
        "projectId": place.project_id,
        "first": PAGE,
        "after": after,
        "volumesAfter": volumes_after,
    }
    variables |= {f"service{n}": service for n, service in enumerate(asked)}
    document = operations.environment_state(len(asked))
    return await client.ask(document, answers.OneEnvironment, variables, urgent=urgent)


def _proxy_number(path: tuple[str, ...]) -> int | None:
    number = path[0].removeprefix("proxy") if path else ""
    return int(number) if number.isdigit() and path[0] != number else None


async def tcp_proxies(client: Client, place: Place, service_id: str) -> tuple[TcpProxy, ...]:
    """Those of one service, between two looks at the environment."""
    variables = {"serviceId": service_id, "environmentId": place.environment_id}
    answer = await client.ask(operations.READ_TCP_PROXIES, answers.Proxies, variables)
    return answer.tcp_proxies


async def variables(client: Client, place: Place, service_id: str) -> dict[str, str]:
    """As they were written, but for those that are sealed. Passwords are among them."""
    asked = {
        "projectId": place.project_id,
        "environmentId": place.environment_id,
        "serviceId": service_id,
    }
    found = (await client.ask(operations.READ_VARIABLES, answers.Variables, asked)).variables
    return {name: value for name, value in found.items() if value is not None}


async def limits(client: Client, place: Place, service_id: str) -> models.Limits | None:
    """What was set; None where the plan's own limits count."""
    asked = {"serviceId": service_id, "environmentId": place.environment_id}
    return (await client.ask(operations.READ_LIMITS, answers.LimitOverride, asked)).override


async def recent_patches(
    client: Client, environment_id: str, first: int = 20
) -> tuple[models.Patch, ...]:
    """The last commits, whoever made them."""
    asked = {"environmentId": environment_id, "first": first}
    found = await client.ask(operations.RECENT_PATCHES, answers.Patches, asked)
    return found.environment_patches.nodes


async def workflow(client: Client, workflow_id: str) -> models.Workflow:
    asked = {"workflowId": workflow_id}
    answer = await client.ask(operations.WORKFLOW_STATE, answers.WorkflowStatus, asked)
    return answer.workflow_status


async def deployment(client: Client, deployment_id: str) -> Deployment:
    asked = {"id": deployment_id}
    return (await client.ask(operations.DEPLOYMENT_STATE, answers.OneDeployment, asked)).deployment


async def deployment_steps(client: Client, deployment_id: str) -> tuple[DeploymentStep, ...]:
    asked = {"id": deployment_id, "first": PAGE}
    found = await client.ask(operations.DEPLOYMENT_STEPS, answers.DeploymentEvents, asked)
    return found.deployment_events.nodes


async def logs(
    client: Client,
    deployment_id: str,
    *,
    limit: int = 500,
    text: str | None = None,
    since: datetime | None = None,
    until: datetime | None = None,
) -> tuple[LogLine, ...]:
    """What a deployment has printed; `text` in Railway's own filter language."""
    asked = {
        "deploymentId": deployment_id,
        "limit": min(limit, LOG_LINES),
        "filter": text,
        "startDate": since,
        "endDate": until,
    }
    return (await client.ask(operations.DEPLOYMENT_LOGS, answers.Logs, asked)).deployment_logs


async def measured(
    client: Client, place: Place, service_id: str, since: datetime
) -> tuple[Measured, ...]:
    """Disk and memory in GB, processors, since a moment."""
    asked = {
        "serviceId": service_id,
        "environmentId": place.environment_id,
        "startDate": since,
        "measurements": ["DISK_USAGE_GB", "MEMORY_USAGE_GB", "CPU_USAGE"],
    }
    return (await client.ask(operations.SERVICE_METRICS, answers.Metrics, asked)).metrics


async def _all(
    client: Client,
    document: Document,
    answer: type[Answer],
    asked: Mapping[str, Any],
    connection: Callable[[Answer], Connection[Node]],
) -> tuple[Node, ...]:
    """All pages of a list."""
    nodes: list[Node] = []
    after: str | None = None
    pages = 0
    while True:
        pages += 1
        variables = {**asked, "first": PAGE, "after": after}
        page = connection(await client.ask(document, answer, variables))
        nodes += page.nodes
        if not page.page_info.has_next_page:
            return tuple(nodes)
        _moves_on(page.page_info.end_cursor, after, pages)
        after = page.page_info.end_cursor


def _moves_on(cursor: object, before: object, pages: int) -> None:
    """A list that leads back to where it was would be read for ever, and use up the budget."""
    if cursor is None or cursor == before or pages >= MOST_PAGES:
        raise Unavailable(RAILWAY, f"a list does not end: page {pages} leads nowhere new")
