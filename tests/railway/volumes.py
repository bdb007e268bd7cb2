"""Mutations of volumes and of their instances."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import Any

from railway import postgres_ssl
from railway.errors import VOLUME_NAME_EXISTS, Refused
from railway.projects import random_name
from railway.settings import GRACE
from railway.state import Project, Volume, VolumeInstance, new_id
from railway.visit import Visit
from railway.world import World


def volume_create(visit: Visit, args: dict[str, Any]) -> Volume:
    """§1 step 6: without `environmentId` no instance is made [3], though the schema says of
    leaving it out that there would be one in all. The name is random; twice makes two (§2)."""
    given, world = args["input"], visit.world
    project = visit.project(given["projectId"])
    _within_plan(world, project)
    environment_id, service_id = given.get("environmentId"), given.get("serviceId")
    region = world.region(given.get("region"))
    if service_id is not None:
        visit.service(service_id)
    if environment_id is not None:
        visit.environment(environment_id)
        if service_id is not None:
            _must_be_free(world, service_id, environment_id)
    made = Volume(new_id(), f"{random_name(world.random)}-volume", project.id, world.clock.now())
    world.state.volumes[made.id] = made
    if environment_id is not None:
        mount = given["mountPath"]
        add_instance(world, made, environment_id, service_id, mount, region)
    return made


def add_instance(
    world: World,
    volume: Volume,
    environment_id: str,
    service_id: str | None,
    mount_path: str,
    region: str,
) -> VolumeInstance:
    """§1 step 6: it may show only later. §3: its size is the plan's."""
    seen = world.clock.now() + world.settings.delays.volume_seen
    size = world.plan_of(environment_id).volume_mb
    made = VolumeInstance(
        new_id(), volume.id, environment_id, service_id, mount_path, region, size, seen
    )
    world.state.volume_instances[made.id] = made
    world.new_volume_folder(made)
    return made


def _within_plan(world: World, project: Project) -> None:
    """§3 Volumes per project: Free 1, Trial 3, Hobby 10, Pro 20; [U] the words."""
    limit = world.plan(project).volumes
    mine = [v for v in world.state.volumes.values() if v.project_id == project.id]
    if not world.settings.pending_volumes_count:
        mine = [v for v in mine if not _pending(world, v.id)]
    if limit is not None and len(mine) >= limit:
        raise Refused(f"Volume limit of {limit} reached on current plan. Please upgrade")


def _pending(world: World, volume_id: str) -> bool:
    every = [v for v in world.state.volume_instances.values() if v.volume_id == volume_id]
    return bool(every) and all(v.deleted_at is not None for v in every)


def _must_be_free(world: World, service_id: str, environment_id: str) -> None:
    if world.state.volume_of(service_id, environment_id) is not None:
        raise Refused("Service already has a volume")  # §3 one volume per service; [U] the words


def volume_update(visit: Visit, args: dict[str, Any]) -> Volume:
    volume, name = visit.volume(args["volumeId"]), args["input"].get("name")
    if name is None:
        return volume
    for each in visit.world.state.volumes.values():
        if (each.name, each.project_id) == (name, volume.project_id) and each.id != volume.id:
            raise Refused(VOLUME_NAME_EXISTS)  # §2
    volume.name = name
    return volume


def volume_instance_update(visit: Visit, args: dict[str, Any]) -> bool:
    """§2: without `serviceId` it is disconnected, whatever else was to be changed."""
    given, world = args["input"], visit.world
    volume = visit.volume(args["volumeId"])
    if given.get("state") is not None:
        raise NotImplementedError("VolumeInstanceUpdateInput.state")
    if args.get("environmentId"):
        visit.environment(args["environmentId"])
    for each in world.state.volume_instances.values():
        wanted = args.get("environmentId") in (None, each.environment_id)
        if each.volume_id != volume.id or each.deleted_at is not None or not wanted:
            continue
        service_id = given.get("serviceId")
        if service_id is not None and service_id != each.service_id:
            visit.service(service_id)
            _must_be_free(world, service_id, each.environment_id)
        each.service_id = service_id
        each.mount_path = given.get("mountPath") or each.mount_path
    return True


def volume_delete(visit: Visit, args: dict[str, Any]) -> bool:
    """§1 Delete: only queued; gone after 48 h, and until then in every list."""
    world, volume = visit.world, visit.volume(args["volumeId"])
    every = [v for v in world.state.volume_instances.values() if v.volume_id == volume.id]
    for each in every:
        if each.deleted_at is None:
            each.deleted_at, each.state, each.service_id = world.clock.now(), "DELETING", None

    def end() -> None:
        world.state.volumes.pop(volume.id, None)
        for each in every:
            world.state.volume_instances.pop(each.id, None)
            if world.machine.real:
                postgres_ssl.remove_volume(world.volume_folder(each))

    if every:
        world.clock.after(GRACE, end)
    else:
        end()
    return True


def used_mb(world: World, instance: VolumeInstance) -> float:
    """Of the files alone; [U] whether it counts what the filesystem takes (2-3 %, §3)."""
    used = 0
    for folder, _, names in os.walk(world.volume_folder(instance)):
        for name in names:
            with contextlib.suppress(OSError):
                used += (Path(folder) / name).lstat().st_size
    return used / 1e6
