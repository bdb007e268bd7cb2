"""Queries."""

from __future__ import annotations

import time
from typing import Any

from railway import backups, projects
from railway.errors import PROJECT_TOKEN_NOT_FOUND, Refused, not_found
from railway.patches import staged
from railway.settings import PLANS, REGIONS
from railway.state import JSON, Deployment, Environment, Instance, Patch, Project, Proxy
from railway.variables import rendered
from railway.visit import Visit
from railway.volumes import used_mb

Args = dict[str, Any]
MOST_LOGS = 5_000


def api_token(visit: Visit, args: Args) -> JSON:
    """§2: account and workspace tokens; TokenWorkspaces checks them."""
    visit.bearer()
    every = visit.state.workspaces.values()
    token = visit.token
    mine = [w for w in every if token.kind == "account" or w.id == token.workspace_id]
    return {"workspaces": mine}


def project_token(visit: Visit, args: Args) -> JSON:
    if visit.token.kind != "project":
        raise Refused(PROJECT_TOKEN_NOT_FOUND)
    return {"projectId": visit.token.project_id, "environmentId": visit.token.environment_id}


def workspace(visit: Visit, args: Args) -> Any:
    visit.workspace(args["workspaceId"])
    return visit.state.workspaces[args["workspaceId"]]


def regions(visit: Visit, args: Args) -> list[JSON]:
    """§3: Regions tells what is deprecated, and what replaces it."""
    if args.get("projectId"):
        visit.project(args["projectId"])
    found = []
    for name, location in REGIONS.items():
        new = visit.world.retired.get(name)
        told = {"isDeprecated": new is not None, "replacementRegion": new or ""}
        constraints = {"deprecationInfo": told if new is not None else None}
        country = location.rpartition(", ")[2]
        found.append(
            {
                "name": name,
                "location": location,
                "country": country,
                "deploymentConstraints": constraints,
            }
        )
    return found


def all_projects(visit: Visit, args: Args) -> list[Project]:
    visit.bearer()
    wanted = args.get("workspaceId")
    if wanted is not None:
        visit.workspace(wanted)
    elif visit.token.kind == "workspace":
        wanted = visit.token.workspace_id
    every = visit.state.projects.values()
    return [p for p in every if wanted is None or p.workspace_id == wanted]


def project(visit: Visit, args: Args) -> Project:
    return visit.project(args["id"])


def environments(visit: Visit, args: Args) -> list[Environment]:
    visit.project(args["projectId"])
    every = [e for e in visit.state.environments.values() if e.project_id == args["projectId"]]
    wanted = args.get("isEphemeral")
    return [e for e in every if wanted is None or e.ephemeral == wanted]


def environment(visit: Visit, args: Args) -> Environment:
    if args.get("projectId"):
        visit.project(args["projectId"])
    return visit.environment(args["id"])


def service_instance(visit: Visit, args: Args) -> Instance:
    return visit.instance(args["serviceId"], args["environmentId"])


def variables(visit: Visit, args: Args) -> dict[str, str | None]:
    """A sealed one is null, as Railway's own CLI reads it of a deployment [C]; [U] of this one."""
    environment = visit.environment(args["environmentId"])
    if not args.get("serviceId"):
        return dict(environment.shared)
    instance = visit.instance(args["serviceId"], environment.id)
    if args.get("unrendered"):
        return _shown(instance, instance.variables)
    found = rendered(visit.state, visit.world, instance.service_id, environment.id)
    return _shown(instance, found)


def deployment_variables(visit: Visit, args: Args) -> dict[str, str | None]:
    instance = visit.instance(args["serviceId"], args["environmentId"])
    where = (instance.service_id, instance.environment_id)
    return _shown(instance, rendered(visit.state, visit.world, *where))


def _shown(instance: Instance, found: dict[str, str]) -> dict[str, str | None]:
    return {name: None if name in instance.sealed else text for name, text in found.items()}


def limit_override(visit: Visit, args: Args) -> JSON | None:
    return visit.instance(args["serviceId"], args["environmentId"]).limits


def limits(visit: Visit, args: Args) -> JSON:
    """§1 step 8: `{containers: {cpu, memoryBytes}}`, with the plan's where nothing is set."""
    instance = visit.instance(args["serviceId"], args["environmentId"])
    plan = visit.world.plan_of(instance.environment_id)
    whole = {"cpu": plan.cpus, "memoryBytes": round(plan.memory_gb * 1e9)}
    return {"containers": whole | ((instance.limits or {}).get("containers") or {})}


def private_networks(visit: Visit, args: Args) -> list[JSON]:
    environment = visit.environment(args["environmentId"])
    name = "railway.internal"
    network = {"publicId": environment.network_id, "name": name, "dnsName": name}
    return [network | {"deletedAt": None}]


def private_endpoint(visit: Visit, args: Args) -> JSON | None:
    """§3 Private name."""
    environment = visit.environment(args["environmentId"])
    if args["privateNetworkId"] != environment.network_id:
        raise not_found("PrivateNetwork")
    instance = visit.instance(args["serviceId"], environment.id)
    real = visit.world.machine.real
    return {
        "publicId": instance.id,
        "dnsName": visit.world.dns_name(instance),
        "privateIps": [visit.world.listen_privately(instance)] if real else [],
        "syncStatus": "ACTIVE",
    }


def staged_changes(visit: Visit, args: Args) -> Patch:
    return staged(visit.world, visit.environment(args["environmentId"]))


def recent_patches(visit: Visit, args: Args) -> list[Patch]:
    """The latest first; what is only staged is not among them [U]."""
    environment = visit.environment(args["environmentId"])
    every = [p for p in visit.state.patches.values() if p.environment_id == environment.id]
    return [p for p in every if p.status != "STAGED" or p.error is not None][::-1]


def workflow_status(visit: Visit, args: Args) -> JSON:
    """§1 backups: NotFound just after the start is read lag [C]."""
    found = visit.state.workflows.get(args["workflowId"])
    if found is None or visit.world.clock.now() < found.seen_from:
        return {"status": "NotFound", "error": None}
    return {"status": found.status, "error": found.error}


def volume_instance(visit: Visit, args: Args) -> Any:
    return visit.volume_instance(args["id"])


def tcp_proxies(visit: Visit, args: Args) -> list[Proxy]:
    """§1 step 12: deleted rows too."""
    visit.environment(args["environmentId"])
    where = (args["serviceId"], args["environmentId"])
    every = visit.state.proxies.values()
    return [p for p in every if (p.service_id, p.environment_id) == where]


def deployment(visit: Visit, args: Args) -> Deployment:
    return visit.deployment(args["id"])


def deployment_events(visit: Visit, args: Args) -> list[JSON]:
    return visit.deployment(args["id"]).events


def deployment_logs(visit: Visit, args: Args) -> list[JSON]:
    """§1 Logs: at most 5,000 lines; `filter` is taken as a part of the line [U]."""
    return _lines(visit, [visit.deployment(args["deploymentId"])], args, args.get("limit"))


def environment_logs(visit: Visit, args: Args) -> list[JSON]:
    environment = visit.environment(args["environmentId"])
    every = visit.state.deployments.values()
    mine = [d for d in every if d.environment_id == environment.id]
    return _lines(visit, mine, args, args.get("beforeLimit"))


def _lines(visit: Visit, mine: list[Deployment], args: Args, limit: int | None) -> list[JSON]:
    wanted, begin, end = args.get("filter") or "", args.get("startDate"), args.get("endDate")
    found = []
    for each in mine:
        tags = {"serviceId": each.service_id, "deploymentId": each.id}
        for at, message in tuple(each.logs):
            stamp = _stamp(at)
            if wanted in message and (begin or "") <= stamp and (not end or stamp <= end):
                line = {"timestamp": stamp, "severity": "info", "message": message, "tags": tags}
                found.append(line)
    found.sort(key=lambda line: str(line["timestamp"]))
    return found[-min(limit or MOST_LOGS, MOST_LOGS) :]


def _stamp(at: float) -> str:
    whole = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(at))
    return f"{whole}.{int(at % 1 * 1e9):09d}Z"


def metrics(visit: Visit, args: Args) -> list[JSON]:
    """§1 Disk: the volume's use; memory and processor are not measured here."""
    if not args.get("environmentId") or not args.get("serviceId"):
        raise NotImplementedError("Query.metrics without environmentId and serviceId")
    instance = visit.instance(args["serviceId"], args["environmentId"])
    volume = visit.state.volume_of(instance.service_id, instance.environment_id)
    found = []
    for measurement in args["measurements"]:
        if measurement not in ("DISK_USAGE_GB", "MEMORY_USAGE_GB", "CPU_USAGE"):
            raise NotImplementedError(f"MetricMeasurement.{measurement}")
        disk = used_mb(visit.world, volume) / 1000 if volume is not None else 0.0
        value = disk if measurement == "DISK_USAGE_GB" else 0.0
        sample = {"ts": int(visit.world.clock.now()), "value": value}
        found.append({"measurement": measurement, "values": [sample]})
    return found


def plan_limit(visit: Visit, project: Project) -> JSON:
    """§3 `subscriptionPlanLimit`: opaque JSON; [U] all of its shape."""
    plan = PLANS[visit.state.workspaces[project.workspace_id].plan]
    volumes = {"maxVolumes": plan.volumes, "maxSizeMB": plan.max_volume_mb}
    return {"volumes": volumes | {"defaultSizeMB": plan.volume_mb}}


QUERIES = {
    "apiToken": api_token,
    "projectToken": project_token,
    "workspace": workspace,
    "regions": regions,
    "projects": all_projects,
    "project": project,
    "environments": environments,
    "environment": environment,
    "serviceInstance": service_instance,
    "variables": variables,
    "variablesForServiceDeployment": deployment_variables,
    "serviceInstanceLimits": limits,
    "serviceInstanceLimitOverride": limit_override,
    "privateNetworks": private_networks,
    "privateNetworkEndpoint": private_endpoint,
    "environmentStagedChanges": staged_changes,
    "environmentPatches": recent_patches,
    "workflowStatus": workflow_status,
    "volumeInstance": volume_instance,
    "tcpProxies": tcp_proxies,
    "deployment": deployment,
    "deploymentEvents": deployment_events,
    "deploymentLogs": deployment_logs,
    "environmentLogs": environment_logs,
    "metrics": metrics,
    "volumeInstanceBackupList": backups.listed,
    "volumeInstanceBackupScheduleList": backups.schedules,
    "bucketS3Credentials": projects.bucket_credentials,
}
