"""What is changed on Railway. Each says what a repeat of it does, for one may be killed after it.

All may raise UnknownOutcome: read, then decide anew.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from postbase_operator.errors import NotReady
from postbase_operator.railway import operations
from postbase_operator.railway.graphql import answers
from postbase_operator.railway.graphql.client import Client
from postbase_operator.railway.graphql.faults import NotFound
from postbase_operator.railway.graphql.models import Named
from postbase_operator.railway.graphql.reads import Place

YOUNG_SECONDS = 2.0
"""Between two attempts on a service that was made a moment ago."""


async def create_project(client: Client, workspace_id: str, name: str, environment: str) -> Named:
    """A repeat makes a second project of that name: look first. Without environments for pull
    requests: where there are such, a new service is not found in its own environment."""
    wanted = {
        "name": name,
        "workspaceId": workspace_id,
        "defaultEnvironmentName": environment,
        "prDeploys": False,
    }
    answer = await client.ask(operations.CREATE_PROJECT, answers.CreatedProject, {"input": wanted})
    return answer.project_create


async def create_environment(client: Client, project_id: str, name: str) -> Named:
    """One of an account every 30 seconds (TooQuickly). Empty: nothing is copied from another."""
    wanted = {"projectId": project_id, "name": name}
    answer = await client.ask(
        operations.CREATE_ENVIRONMENT, answers.CreatedEnvironment, {"input": wanted}
    )
    return answer.environment_create


async def create_service(
    client: Client, place: Place, name: str, variables: Mapping[str, str]
) -> Named:
    """A repeat is AlreadyExists. The variables are set in the same step, the marker of whose it is
    among them: there is no moment in which it is nobody's."""
    wanted = {
        "projectId": place.project_id,
        "environmentId": place.environment_id,
        "name": name,
        "variables": dict(variables),
    }
    answer = await client.ask(operations.CREATE_SERVICE, answers.CreatedService, {"input": wanted})
    return answer.service_create


async def update_instance(
    client: Client, place: Place, service_id: str, wanted: Mapping[str, Any], *, young: bool = False
) -> None:
    """Image, region, start command; a repeat changes nothing. It does not deploy.

    `young`: the service was made just now, and may not be found for some seconds (NotReady).
    """
    asked = {
        "serviceId": service_id,
        "environmentId": place.environment_id,
        "input": dict(wanted),
    }
    try:
        await client.ask(operations.UPDATE_SERVICE_INSTANCE, answers.Done, asked)
    except NotFound as error:
        if not young or error.what.lower() != "serviceinstance":
            raise
        raise NotReady(str(error), YOUNG_SECONDS) from error


async def delete_service(client: Client, place: Place, service_id: str) -> None:
    """Gone already is fine. The volume stays, and must be deleted by itself."""
    asked = {"id": service_id, "environmentId": place.environment_id}
    await _gone(client, operations.DELETE_SERVICE, asked, "service", "serviceinstance")


async def create_volume(
    client: Client, place: Place, service_id: str, mount: str, region: str | None
) -> Named:
    """A repeat makes another one. Without the environment there would be a volume in none of them;
    in another region than the service's it would have to be moved, with the database stopped."""
    wanted = {
        "projectId": place.project_id,
        "environmentId": place.environment_id,
        "serviceId": service_id,
        "mountPath": mount,
        "region": region,
    }
    answer = await client.ask(operations.CREATE_VOLUME, answers.CreatedVolume, {"input": wanted})
    return answer.volume_create


async def rename_volume(client: Client, volume_id: str, name: str) -> Named:
    """Railway draws a name at random; one that is taken is AlreadyExists."""
    asked = {"volumeId": volume_id, "input": {"name": name}}
    return (await client.ask(operations.RENAME_VOLUME, answers.RenamedVolume, asked)).volume_update


async def delete_volume(client: Client, volume_id: str) -> None:
    """Gone already is fine. It is gone for good after 48 hours."""
    asked = {"volumeId": volume_id}
    await _gone(client, operations.DELETE_VOLUME, asked, "volume", "volumeinstance")


async def set_variables(
    client: Client, place: Place, service_id: str, variables: Mapping[str, str]
) -> None:
    """A repeat changes nothing; other variables stay. They reach the next deployment only, which
    this does not make."""
    wanted = {
        "projectId": place.project_id,
        "environmentId": place.environment_id,
        "serviceId": service_id,
        "variables": dict(variables),
        "skipDeploys": True,
    }
    await client.ask(operations.SET_VARIABLES, answers.Done, {"input": wanted})


async def set_limits(
    client: Client, place: Place, service_id: str, cpu: float, memory_gb: float
) -> None:
    """A repeat changes nothing."""
    wanted = {
        "serviceId": service_id,
        "environmentId": place.environment_id,
        "vCPUs": cpu,
        "memoryGB": memory_gb,
    }
    await client.ask(operations.SET_LIMITS, answers.Done, {"input": wanted})


async def commit(client: Client, place: Place, patch: Mapping[str, Any], message: str) -> str:
    """Has said nothing of success yet: the patch is applied later, whole or not at all, and
    patches.verdict reads the end of it. NULL within it removes. Deploys what it changes."""
    asked = {"environmentId": place.environment_id, "patch": patch, "message": message}
    return (await client.ask(operations.COMMIT_PATCH, answers.Committed, asked)).patch


async def delete_tcp_proxy(client: Client, proxy_id: str) -> None:
    """Gone already is fine; NotReady while another change of it is under way."""
    await _gone(client, operations.DELETE_TCP_PROXY, {"id": proxy_id}, "tcpproxy")


async def deploy(client: Client, place: Place, service_id: str) -> str:
    """The id of the deployment. A repeat makes another one, and restarts the database."""
    asked = {"serviceId": service_id, "environmentId": place.environment_id}
    return (await client.ask(operations.DEPLOY, answers.Deployed, asked)).deployment_id


async def restart(client: Client, deployment_id: str) -> None:
    """The process anew, with the same image and variables. A repeat restarts again."""
    await client.ask(operations.RESTART_DEPLOYMENT, answers.Done, {"id": deployment_id})


async def stop(client: Client, deployment_id: str) -> None:
    """Takes the process down, and leaves all else: a paused database."""
    await client.ask(operations.STOP_DEPLOYMENT, answers.Done, {"id": deployment_id})


async def remove(client: Client, deployment_id: str) -> None:
    """Takes the process down, and nobody can restart that deployment any more."""
    await _gone(client, operations.REMOVE_DEPLOYMENT, {"id": deployment_id}, "deployment")


async def _gone(
    client: Client, document: operations.Document, asked: Mapping[str, Any], *whats: str
) -> None:
    """A deletion; only what it was to delete may be missing, not the project around it."""
    try:
        await client.ask(document, answers.Done, asked)
    except NotFound as error:
        if error.what.lower() not in whats:
            raise
