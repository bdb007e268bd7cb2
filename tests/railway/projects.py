"""Mutations of projects, environments and buckets."""

from __future__ import annotations

import copy
import random
from typing import Any

from railway.deployments import deploy_if_live, remove
from railway.errors import ENVIRONMENTS_TOO_QUICKLY, Refused
from railway.settings import GRACE
from railway.state import Bucket, Environment, Instance, Project, VolumeInstance, new_id
from railway.visit import Visit

WORDS = ("amber", "brisk", "calm", "dusty", "eager", "faint", "gentle", "humble", "ivory", "jolly")
ENVIRONMENT_PAUSE = 30.0


def random_name(source: random.Random) -> str:
    return f"{source.choice(WORDS)}-{source.choice(WORDS)}-{source.randrange(10_000)}"


def project_create(visit: Visit, args: dict[str, Any]) -> Project:
    """§1 step 1: with a workspace; the default environment is `production`. §2 Creating twice:
    makes a second project of the same name [U]."""
    given = args["input"]
    visit.bearer()
    if not given.get("workspaceId"):
        raise Refused("workspaceId is required")  # §1 personal workspaces are gone; [U] the words
    visit.workspace(given["workspaceId"])
    world = visit.world
    name = given.get("name") or random_name(world.random)
    made = Project(new_id(), name, given["workspaceId"], world.clock.now())
    made.pr_environments = bool(given.get("prDeploys"))
    world.state.projects[made.id] = made
    environment = Environment(
        new_id(), given.get("defaultEnvironmentName") or "production", made.id
    )
    world.state.environments[environment.id] = environment
    made.primary_environment_id = environment.id
    return made


def project_schedule_delete(visit: Visit, args: dict[str, Any]) -> bool:
    """§1 Delete: 48 h of grace; [U] that workloads stop at once."""
    visit.bearer()
    project, world = visit.project(args["id"]), visit.world
    project.deleted_at = world.clock.now()
    mine = [e.id for e in world.state.environments.values() if e.project_id == project.id]
    for deployment in world.state.deployments.values():
        if deployment.environment_id in mine and deployment.id in world.boxes:
            remove(world, deployment)
    for proxy in world.state.proxies.values():
        if proxy.environment_id in mine and proxy.deleted_at is None:
            proxy.status, proxy.deleted_at = "DELETED", world.clock.now()
            world.close_port(proxy.id)
    world.clock.after(GRACE, lambda: _forget(visit, project.id))
    return True


def _forget(visit: Visit, project_id: str) -> None:
    visit.world.state.projects.pop(project_id, None)


def environment_create(visit: Visit, args: dict[str, Any]) -> Environment:
    """§2: one a user every 30 s. With a source it is a fork, with all of it but the data."""
    given, world = args["input"], visit.world
    visit.bearer()
    visit.project(given["projectId"])
    last = world.environments_made.get(visit.token.value)
    if last is not None and world.clock.now() - last < ENVIRONMENT_PAUSE:
        raise Refused(ENVIRONMENTS_TOO_QUICKLY)
    world.environments_made[visit.token.value] = world.clock.now()
    source_id = given.get("sourceEnvironmentId")
    made = Environment(new_id(), given["name"], given["projectId"], source_id)
    made.ephemeral = bool(given.get("ephemeral"))
    if source_id is not None:
        source = visit.environment(source_id)
        made.shared = dict(source.shared)
    world.state.environments[made.id] = made
    if source_id is not None:
        _copy(visit, source_id, made.id, skip=bool(given.get("skipInitialDeploys")))
    return made


def _copy(visit: Visit, source_id: str, target_id: str, *, skip: bool) -> None:
    state, now = visit.world.state, visit.world.clock.now()
    volumes = [v for v in state.volume_instances.values() if v.environment_id == source_id]
    for volume in volumes:
        if volume.deleted_at is None:
            twin: VolumeInstance = copy.deepcopy(volume)
            twin.id, twin.environment_id, twin.schedules = new_id(), target_id, {}
            state.volume_instances[twin.id] = twin
            visit.world.new_volume_folder(twin)
    instances = [i for i in state.instances.values() if i.environment_id == source_id]
    for instance in instances:
        if instance.deleted_at is None:
            clone: Instance = copy.deepcopy(instance)
            clone.id, clone.environment_id, clone.found_from = new_id(), target_id, now
            state.instances[clone.id] = clone
            if not skip:
                deploy_if_live(visit.world, clone, "deploy")


def bucket_create(visit: Visit, args: dict[str, Any]) -> Bucket:
    """§4 Buckets: then a patch with `buckets.<id>{region,isCreated}`, then credentials."""
    given = args["input"]
    visit.project(given["projectId"])
    made = Bucket(
        new_id(), given.get("name") or random_name(visit.world.random), given["projectId"]
    )
    visit.world.state.buckets[made.id] = made
    return made


def bucket_credentials(visit: Visit, args: dict[str, Any]) -> list[dict[str, str]]:
    visit.project(args["projectId"])
    visit.environment(args["environmentId"])
    bucket = visit.state.buckets.get(args["bucketId"])
    if bucket is None or args["environmentId"] not in bucket.created_in:
        return []
    key, secret = visit.world.settings.bucket_keys
    return [
        {
            "bucketName": f"{bucket.name}-{bucket.id[:8]}",
            "endpoint": visit.world.settings.bucket_endpoint,
            "region": "auto",
            "accessKeyId": key,
            "secretAccessKey": secret,
            "urlStyle": "path",
        }
    ]
