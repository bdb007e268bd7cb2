"""What each field of an answer shows. A field that is not here is one that the double has not."""

from __future__ import annotations

import base64
from collections.abc import Callable, Sequence
from typing import Any

from railway import backups, patches, projects, proxies, reads, services, volumes
from railway.clock import stamp
from railway.deployments import ACTIVE
from railway.state import Deployment, Environment, Instance, Project, VolumeInstance
from railway.visit import Visit

Field = Callable[[Visit, Any, dict[str, Any]], Any]


def attribute(name: str) -> Field:
    return lambda visit, it, args: getattr(it, name)


def key(name: str) -> Field:
    return lambda visit, it, args: it[name]


def moment(name: str) -> Field:
    def shown(visit: Visit, it: Any, args: dict[str, Any]) -> str | None:
        at = getattr(it, name)
        return None if at is None else stamp(at)

    return shown


def keys(names: str) -> dict[str, Field]:
    return {name: key(name) for name in names.split()}


def attributes(**names: str) -> dict[str, Field]:
    return {shown: attribute(own) for shown, own in names.items()}


def page(every: Callable[[Visit, Any, dict[str, Any]], Sequence[Any]]) -> Field:
    """A connection: `first` after a cursor."""

    def shown(visit: Visit, it: Any, args: dict[str, Any]) -> dict[str, Any]:
        for name in ("last", "before"):
            if args.get(name) is not None:
                raise NotImplementedError(f"the argument {name} of a connection")
        found = list(every(visit, it, args))
        begin = int(base64.b64decode(args["after"])) if args.get("after") else 0
        first = args.get("first")
        end = len(found) if first is None else begin + int(first)
        cursor = base64.b64encode(str(min(end, len(found))).encode()).decode()
        info = {"hasNextPage": end < len(found), "endCursor": cursor}
        return {"edges": [{"node": each} for each in found[begin:end]], "pageInfo": info}

    return shown


def root_page(query: Callable[[Visit, dict[str, Any]], Sequence[Any]]) -> Field:
    return page(lambda visit, it, args: query(visit, args))


def seen(visit: Visit, deleted_at: float | None) -> bool:
    """What is deleted stays in lists for a while, with `deletedAt` [U]."""
    lasts = visit.world.settings.delays.deleted_seen
    return deleted_at is None or visit.world.clock.now() < deleted_at + lasts


def _services(visit: Visit, project: Project, args: dict[str, Any]) -> Sequence[Any]:
    mine = [s for s in visit.state.services.values() if s.project_id == project.id]
    return [s for s in mine if seen(visit, s.deleted_at)]


def _environments(visit: Visit, project: Project, args: dict[str, Any]) -> Sequence[Any]:
    return [e for e in visit.state.environments.values() if e.project_id == project.id]


def _instances(visit: Visit, environment: Environment, args: dict[str, Any]) -> Sequence[Any]:
    mine = [i for i in visit.state.instances.values() if i.environment_id == environment.id]
    now = visit.world.clock.now()
    return [i for i in mine if i.found_from <= now and seen(visit, i.deleted_at)]


def _volumes(visit: Visit, environment: Environment, args: dict[str, Any]) -> Sequence[Any]:
    """§1 Delete: those that wait for their deletion too. Step 6: a new one may lag."""
    mine = [v for v in visit.state.volume_instances.values() if v.environment_id == environment.id]
    return [v for v in mine if v.seen_from <= visit.world.clock.now()]


def _source_environment(visit: Visit, it: Environment, args: dict[str, Any]) -> Environment | None:
    return visit.state.environments.get(it.source_id) if it.source_id else None


def _active(visit: Visit, it: Instance, args: dict[str, Any]) -> Sequence[Any]:
    every = visit.state.deployments_of(it.service_id, it.environment_id)
    return [d for d in every if d.status in ACTIVE and not d.stopped]


def _latest(visit: Visit, it: Instance, args: dict[str, Any]) -> Deployment | None:
    every = visit.state.deployments_of(it.service_id, it.environment_id)
    return every[0] if every else None


def _source(visit: Visit, it: Instance, args: dict[str, Any]) -> dict[str, Any] | None:
    return {"image": it.image} if it.image else None


def _meta(visit: Visit, it: Deployment, args: dict[str, Any]) -> dict[str, Any]:
    """§1 step 11: `meta.image` is what it runs."""
    return {"image": it.image, "reason": it.reason}


def _containers(visit: Visit, it: Deployment, args: dict[str, Any]) -> list[dict[str, Any]]:
    return [{"id": it.instance_id, "status": it.instance_status}] if it.instance_status else []


def _service_name(visit: Visit, it: Instance, args: dict[str, Any]) -> str:
    return visit.state.services[it.service_id].name


def _volume(visit: Visit, it: VolumeInstance, args: dict[str, Any]) -> Any:
    return visit.state.volumes[it.volume_id]


def _used(visit: Visit, it: VolumeInstance, args: dict[str, Any]) -> float:
    return volumes.used_mb(visit.world, it)


def _points(visit: Visit, it: Any, args: dict[str, Any]) -> dict[str, Any]:
    """§2: it speaks of points; [U] how they count."""
    return visit.world.points(visit.token)


def _plan_of(visit: Visit, it: Project, args: dict[str, Any]) -> str:
    return visit.state.workspaces[it.workspace_id].plan.lower()


PATCH = {
    **attributes(id="id", status="status", lastAppliedError="error", message="message"),
    "appliedAt": moment("applied_at"),
    "patch": attribute("patch"),
}
NAMED = attributes(id="id", name="name")
DEPLOYMENT: dict[str, Field] = {
    **attributes(id="id", status="status", deploymentStopped="stopped"),
    "statusUpdatedAt": moment("status_at"),
    "meta": _meta,
    "instances": _containers,
    "canRedeploy": lambda visit, it, args: True,
}
FIELDS: dict[str, dict[str, Field]] = {
    "ApiTokenContext": keys("workspaces"),
    "ApiTokenWorkspace": NAMED,
    "ProjectToken": keys("projectId environmentId"),
    "Workspace": {**attributes(id="id", plan="plan"), "apiTokenRateLimit": _points},
    "ApiTokenRateLimit": keys("remainingPoints resetsAt"),
    "Region": keys("name location country deploymentConstraints"),
    "RegionDeploymentConstraints": keys("deprecationInfo"),
    "RegionDeprecationInfo": keys("isDeprecated replacementRegion"),
    "Project": {
        **attributes(id="id", name="name", primaryEnvironmentId="primary_environment_id"),
        "deletedAt": moment("deleted_at"),
        "environments": page(_environments),
        "services": page(_services),
        "subscriptionType": _plan_of,
        "subscriptionPlanLimit": lambda visit, it, args: reads.plan_limit(visit, it),
    },
    "Environment": {
        **NAMED,
        "deletedAt": moment("deleted_at"),
        "sourceEnvironment": _source_environment,
        "config": lambda visit, it, args: patches.config_of(visit, it.id),
        "configEtag": lambda visit, it, args: patches.etag_of(visit, it.id),
        "unmergedChangesCount": lambda visit, it, args: patches.unmerged(visit.world, it.id),
        "serviceInstances": page(_instances),
        "volumeInstances": page(_volumes),
    },
    "Service": {**NAMED, "projectId": attribute("project_id"), "deletedAt": moment("deleted_at")},
    "ServiceInstance": {
        **attributes(id="id", serviceId="service_id", region="region"),
        "startCommand": attribute("start_command"),
        "deletedAt": moment("deleted_at"),
        "serviceName": _service_name,
        "source": _source,
        "latestDeployment": _latest,
        "activeDeployments": _active,
    },
    "ServiceSource": keys("image"),
    "Deployment": DEPLOYMENT,
    "DeploymentDeploymentInstance": keys("id status"),
    "DeploymentEvent": keys("step createdAt completedAt payload"),
    "DeploymentEventPayload": {
        name: (lambda visit, it, args, name=name: it.get(name))  # type: ignore[misc]
        for name in ("error", "reason", "detail", "skipped")
    },
    "Volume": NAMED,
    "VolumeInstance": {
        **attributes(id="id", volumeId="volume_id", serviceId="service_id", state="state"),
        **attributes(mountPath="mount_path", region="region", sizeMB="size_mb"),
        "currentSizeMB": _used,
        "deletedAt": moment("deleted_at"),
        "isPendingDeletion": lambda visit, it, args: it.deleted_at is not None,
        "volume": _volume,
    },
    "VolumeInstanceBackup": {
        **attributes(id="id", name="name", scheduleId="schedule_id", usedMB="used_mb"),
        **attributes(referencedMB="used_mb", volumeInstanceSizeMB="size_mb"),
        "createdAt": moment("created_at"),
        "expiresAt": moment("expires_at"),
    },
    "VolumeInstanceBackupSchedule": keys("id kind cron retentionSeconds"),
    "TCPProxy": {
        **attributes(id="id", proxyPort="proxy_port", applicationPort="port"),
        # It ends with a dot, as §1 step 12 warns.
        "domain": lambda visit, it, args: f"{visit.world.settings.public_address}.",
        "syncStatus": attribute("status"),
        "deletedAt": moment("deleted_at"),
    },
    "PrivateNetwork": keys("publicId name dnsName deletedAt"),
    "PrivateNetworkEndpoint": keys("publicId dnsName privateIps syncStatus"),
    "EnvironmentPatch": PATCH,
    "WorkflowResult": keys("status error"),
    "WorkflowId": keys("workflowId"),
    "Log": keys("timestamp severity message tags"),
    "LogTags": keys("serviceId deploymentId"),
    "MetricsResult": keys("measurement values"),
    "Metric": keys("ts value"),
    "Bucket": NAMED,
    "BucketS3CompatibleCredentials": keys(
        "bucketName endpoint region accessKeyId secretAccessKey urlStyle"
    ),
    "PageInfo": keys("hasNextPage endCursor"),
}
PAGED = ("projects", "environments", "environmentPatches", "deploymentEvents")
MUTATIONS = {
    "projectCreate": projects.project_create,
    "projectScheduleDelete": projects.project_schedule_delete,
    "environmentCreate": projects.environment_create,
    "bucketCreate": projects.bucket_create,
    "serviceCreate": services.service_create,
    "serviceConnect": services.service_connect,
    "serviceDelete": services.service_delete,
    "serviceInstanceUpdate": services.service_instance_update,
    "serviceInstanceLimitsUpdate": services.limits_update,
    "serviceInstanceDeployV2": services.instance_deploy,
    "serviceInstanceRedeploy": services.instance_redeploy,
    "variableCollectionUpsert": services.variables_upsert,
    "variableDelete": services.variable_delete,
    "deploymentRedeploy": services.deployment_redeploy,
    "deploymentRestart": services.deployment_restart,
    "deploymentStop": services.deployment_stop,
    "deploymentRemove": services.deployment_remove,
    "environmentPatchCommit": patches.commit,
    "environmentStageChanges": patches.stage,
    "environmentPatchCommitStaged": patches.commit_staged,
    "volumeCreate": volumes.volume_create,
    "volumeUpdate": volumes.volume_update,
    "volumeInstanceUpdate": volumes.volume_instance_update,
    "volumeDelete": volumes.volume_delete,
    "tcpProxyCreate": proxies.create,
    "tcpProxyDelete": proxies.delete,
    "volumeInstanceBackupCreate": backups.create,
    "volumeInstanceBackupLock": backups.lock,
    "volumeInstanceBackupDelete": backups.delete,
    "volumeInstanceBackupRestore": backups.restore,
    "volumeInstanceBackupScheduleUpdate": backups.schedule,
    "volumeInstancePITRRestore": backups.point_in_time,
}


def _root(work: Callable[[Visit, dict[str, Any]], Any]) -> Field:
    return lambda visit, it, args: work(visit, args)


FIELDS["Mutation"] = {name: _root(work) for name, work in MUTATIONS.items()}
FIELDS["Query"] = {
    name: root_page(work) if name in PAGED else _root(work) for name, work in reads.QUERIES.items()
}


def field_of(type_name: str, name: str) -> Field | None:
    if type_name.endswith("Connection") and name in ("edges", "pageInfo"):
        return key(name)
    if type_name.endswith("Edge") and name == "node":
        return key(name)
    return FIELDS.get(type_name, {}).get(name)
