"""Mutations of services and of their instances."""

from __future__ import annotations

from typing import Any

from railway import deployments, proxies
from railway.errors import Refused, not_found, service_exists
from railway.projects import random_name
from railway.settings import REGIONS
from railway.state import Deployment, Instance, Service, new_id
from railway.visit import Visit

LONGEST_NAME = 32
DEFAULT_REPLICAS = 1


def service_create(visit: Visit, args: dict[str, Any]) -> Service:
    """§1 step 4: variables with the create, atomically; an image starts a deployment at once."""
    given, world = args["input"], visit.world
    project = visit.project(given["projectId"])
    if project.deleted_at is not None:
        raise Refused("Project not found")
    name = given.get("name") or random_name(world.random)
    if len(name) > LONGEST_NAME:  # §2 "max 32 characters"; [U] the words
        raise Refused(f"Service name must be at most {LONGEST_NAME} characters")
    for each in world.state.services.values():
        if (each.name, each.project_id, each.deleted_at) == (name, project.id, None):
            raise service_exists(name)  # §2: unique per project
    chosen = _environments(visit, project.id, given.get("environmentId"))
    made = Service(new_id(), name, project.id, world.clock.now())
    world.state.services[made.id] = made
    lag = world.not_found_for.pop(0) if world.not_found_for else None
    for environment_id in chosen:
        instance = _instance(visit, made, environment_id, given)
        instance.found_from = world.clock.now() + (
            world.settings.delays.instance_found if lag is None else lag
        )
        if instance.image is not None:
            deployments.deploy(world, instance)
    return made


def _environments(visit: Visit, project_id: str, environment_id: str | None) -> list[str]:
    """§2 Environments: in all that are no forks, unless the given one is a fork."""
    world = visit.world
    if environment_id is not None:
        visit.environment(environment_id)
        if world.is_fork(environment_id) or not world.settings.acts_on_all_environments:
            return [environment_id]
    return [
        each.id
        for each in world.state.environments.values()
        if each.project_id == project_id and each.deleted_at is None and each.source_id is None
    ]


def _instance(visit: Visit, service: Service, environment_id: str, given: Any) -> Instance:
    made = Instance(new_id(), service.id, environment_id, 0.0)
    made.image = (given.get("source") or {}).get("image")
    made.region = visit.world.region(None if not visit.world.retired else _open_region(visit))
    made.variables = {name: str(value) for name, value in (given.get("variables") or {}).items()}
    visit.world.state.instances[made.id] = made
    return made


def _open_region(visit: Visit) -> str:
    return next(name for name in REGIONS if name not in visit.world.retired)


def service_delete(visit: Visit, args: dict[str, Any]) -> bool:
    """§1 Delete: it does not remove the volume."""
    world = visit.world
    service = visit.service(args["id"])
    if args.get("environmentId"):
        visit.environment(args["environmentId"])
    now = world.clock.now()
    for instance in world.instances_for(service.id, args.get("environmentId")):
        where = (service.id, instance.environment_id)
        instance.deleted_at = now
        for deployment in world.state.deployments_of(*where):
            if deployment.status not in ("REMOVED", "REMOVING", "FAILED", "SKIPPED"):
                deployments.remove(world, deployment)
        volume = world.state.volume_of(*where)
        if volume is not None:
            volume.service_id = None
        proxy = world.state.live_proxy(*where)
        if proxy is not None:
            proxies.begin_removal(world, proxy)
        world.close_port(instance.id)
    if all(i.deleted_at for i in world.state.instances.values() if i.service_id == service.id):
        service.deleted_at = now
    return True


def service_connect(visit: Visit, args: dict[str, Any]) -> Service:
    """§2: with environments for pull requests on it fails, though the service was made; [U] the
    words, and that it deploys. Of repositories the double has none."""
    service = visit.service(args["id"])
    if visit.project(service.project_id).pr_environments:
        raise not_found("ServiceInstance")
    for instance in visit.world.instances_for(service.id, None):
        instance.image = args["input"]["image"]
        deployments.deploy(visit.world, instance)
    return service


PLAIN = {
    "restartPolicyType": ("restart_policy", "ON_FAILURE"),
    "restartPolicyMaxRetries": ("max_retries", 10),
    "drainingSeconds": ("draining_seconds", 0),
    "sleepApplication": ("sleeps", False),
    "startCommand": ("start_command", None),
}
"""Field of the input to attribute, and what an explicit null makes of it (§2 "Null is not
absent")."""


def service_instance_update(visit: Visit, args: dict[str, Any]) -> bool:
    """§1 step 5: does not deploy. §2: in all environments that are no forks."""
    given = args["input"]
    service = visit.service(args["serviceId"])
    if args.get("environmentId"):
        visit.instance(service.id, args["environmentId"])
    for name in given:
        if name not in {*PLAIN, "source", "region", "multiRegionConfig", "numReplicas"}:
            raise NotImplementedError(f"ServiceInstanceUpdateInput.{name}")
    for instance in visit.world.instances_for(service.id, args.get("environmentId")):
        change(visit, instance, given)
    return True


def change(visit: Visit, instance: Instance, given: dict[str, Any]) -> None:
    place = region_of(visit, given)
    for name, (attribute, cleared) in PLAIN.items():
        if name in given:
            setattr(instance, attribute, cleared if given[name] is None else given[name])
    if "source" in given:
        instance.image = (given["source"] or {}).get("image")
    if place:
        instance.region = place
    replicas = given.get("numReplicas")
    for region in (given.get("multiRegionConfig") or {}).values():
        replicas = (region or {}).get("numReplicas", replicas)
    instance.replicas = replicas or DEFAULT_REPLICAS  # §2: without it, back to 1 [3]


def region_of(visit: Visit, given: dict[str, Any]) -> str | None:
    """§1 Region change: the old key must be null, for `multiRegionConfig` names all of them."""
    wanted = [name for name, value in (given.get("multiRegionConfig") or {}).items() if value]
    if given.get("region"):
        wanted.append(given["region"])
    places = [visit.world.region(name) for name in wanted]
    if len(set(places)) > 1:
        raise NotImplementedError("a service in several regions")
    return places[0] if places else None


def limits_update(visit: Visit, args: dict[str, Any]) -> bool:
    """§1 step 8: 1 GB is 1e9 bytes [U]."""
    given, world = args["input"], visit.world
    instance = visit.instance(given["serviceId"], given["environmentId"])
    plan = world.plan_of(instance.environment_id)
    memory, cpus = given.get("memoryGB"), given.get("vCPUs")
    if (memory or 0) > plan.memory_gb or (cpus or 0) > plan.cpus:  # §5 per-service maximum
        raise Refused("Limits exceed the maximum of the current plan")  # [U] the words
    containers = dict((instance.limits or {}).get("containers") or {})
    for name, key, value in (
        ("vCPUs", "cpu", cpus),
        ("memoryGB", "memoryBytes", None if memory is None else round(memory * 1e9)),
    ):
        if name in given:
            containers.pop(key, None)
            if value is not None:
                containers[key] = value
    instance.limits = {"containers": containers} if containers else None
    return True


def variables_upsert(visit: Visit, args: dict[str, Any]) -> bool:
    """§1 step 7: `replace` deletes all others; without `skipDeploys` it deploys."""
    given = args["input"]
    visit.project(given["projectId"])
    environment = visit.environment(given["environmentId"])
    service_id = given.get("serviceId")
    new = {name: str(value) for name, value in given["variables"].items() if value is not None}
    if service_id is None:
        environment.shared = new if given["replace"] else environment.shared | new
        return True
    instance = visit.instance(service_id, environment.id)
    instance.variables = new if given["replace"] else instance.variables | new
    if not given["skipDeploys"]:
        deployments.deploy_if_live(visit.world, instance, "deploy")
    return True


def variable_delete(visit: Visit, args: dict[str, Any]) -> bool:
    """[U] that it deploys: there is no `skipDeploys` here."""
    given = args["input"]
    visit.project(given["projectId"])
    environment = visit.environment(given["environmentId"])
    if given.get("serviceId") is None:
        environment.shared.pop(given["name"], None)
        return True
    instance = visit.instance(given["serviceId"], environment.id)
    if instance.variables.pop(given["name"], None) is not None:
        deployments.deploy_if_live(visit.world, instance, "deploy")
    return True


def instance_deploy(visit: Visit, args: dict[str, Any]) -> str:
    instance = visit.instance(args["serviceId"], args["environmentId"])
    return deployments.deploy(visit.world, instance).id


def instance_redeploy(visit: Visit, args: dict[str, Any]) -> bool:
    instance = visit.instance(args["serviceId"], args["environmentId"])
    deployments.redeploy(visit.world, instance)
    return True


def deployment_redeploy(visit: Visit, args: dict[str, Any]) -> Deployment:
    """§1 Change: the image of that deployment, also without `usePreviousImageTag`."""
    old = visit.deployment(args["id"])
    instance = visit.instance(old.service_id, old.environment_id)
    return deployments.deploy(visit.world, instance, "redeploy", image=old.image)


def deployment_restart(visit: Visit, args: dict[str, Any]) -> bool:
    deployments.restart(visit.world, visit.deployment(args["id"]))
    return True


def deployment_stop(visit: Visit, args: dict[str, Any]) -> bool:
    deployments.stop(visit.world, visit.deployment(args["id"]))
    return True


def deployment_remove(visit: Visit, args: dict[str, Any]) -> bool:
    deployments.remove(visit.world, visit.deployment(args["id"]))
    return True
