"""Patches of an environment: staged or committed, and applied later or not at all (§1, §2)."""

from __future__ import annotations

import copy
import hashlib
from typing import Any

from railway import deployments, patch_effects
from railway.errors import Refused
from railway.state import JSON, Environment, Patch, new_id
from railway.visit import Visit
from railway.world import World, as_json


def merged(old: JSON, new: JSON) -> JSON:
    """§1 Merge semantics: an omitted key stays, an explicit null removes it; kept as null here."""
    result = copy.deepcopy(old)
    for key, value in new.items():
        if isinstance(value, dict) and isinstance(result.get(key), dict):
            result[key] = merged(result[key], value)
        else:
            result[key] = copy.deepcopy(value)
    return result


def commit(visit: Visit, args: dict[str, Any]) -> str:
    """§2 Async commit: says success before anything was looked at."""
    environment = visit.environment(args["environmentId"])
    if not isinstance(args.get("patch"), dict):
        raise Refused("Invalid environment config")  # [U] the words
    world = visit.world
    patch = Patch(new_id(), environment.id, args["patch"], world.clock.now())
    patch.message = args.get("commitMessage")
    world.state.patches[patch.id] = patch
    return _apply_later(world, patch, skip_deploys=False)


def stage(visit: Visit, args: dict[str, Any]) -> Patch:
    """§1 Two-step form: into what is staged, by whomever; answers the id of the patch."""
    environment = visit.environment(args["environmentId"])
    patch = staged(visit.world, environment)
    given = args["input"]
    patch.patch = merged(patch.patch, given) if args.get("merge") else copy.deepcopy(given)
    return patch


def staged(world: World, environment: Environment) -> Patch:
    found = world.state.staged(environment.id)
    if found is None:
        found = Patch(new_id(), environment.id, {}, world.clock.now())
        world.state.patches[found.id] = found
    return found


def commit_staged(visit: Visit, args: dict[str, Any]) -> str:
    """§1: applies all that is staged, other people's work too."""
    environment = visit.environment(args["environmentId"])
    patch = visit.world.state.staged(environment.id)
    if patch is None or not patch.patch:
        raise Refused("No patch to apply")  # [U] the words
    patch.message = args.get("commitMessage")
    return _apply_later(visit.world, patch, skip_deploys=bool(args.get("skipDeploys")))


def _apply_later(world: World, patch: Patch, *, skip_deploys: bool) -> str:
    """§2: a workflow `commitChanges/<environmentId>/<patchId>`; one bad value rejects it all."""
    patch.status = "APPLYING"
    told = world.rejections.pop(0) if world.rejections else None

    def work() -> str | None:
        error = told or patch_effects.fault_of(world, patch)
        if error is not None:
            patch.status, patch.error = world.settings.rejected_status, error
            return error
        touched = patch_effects.apply(world, patch)
        patch.status, patch.applied_at = "COMMITTED", world.clock.now()
        for instance in touched:
            if not skip_deploys and instance.image is not None:
                deployments.deploy(world, instance)  # §1 step 9: deploys affected services
        return None

    name = f"commitChanges/{patch.environment_id}/{patch.id}"
    world.workflow(name, world.settings.delays.patch, work)
    answers = {"workflow": name, "patch": patch.id}
    return answers.get(world.settings.commit_returns, new_id())


def unmerged(world: World, environment_id: str) -> int:
    """§1 `unmergedChangesCount`; [U] what is one change: here a service, a volume, a bucket."""
    patch = world.state.staged(environment_id)
    if patch is None:
        return 0
    return sum(len(v) if isinstance(v, dict) else 1 for v in patch.patch.values())


def config_of(visit: Visit, environment_id: str) -> JSON:
    """§1: the shape that the CLI has. Proxies are absent (step 12)."""
    state = visit.state
    services: JSON = {}
    for each in state.instances.values():
        if each.environment_id != environment_id or each.deleted_at is not None:
            continue
        volume = state.volume_of(each.service_id, environment_id)
        services[each.service_id] = {
            "source": {"image": each.image} if each.image else {},
            "deploy": {
                "startCommand": each.start_command,
                "multiRegionConfig": {each.region: {"numReplicas": each.replicas}},
                "restartPolicyType": each.restart_policy,
                "restartPolicyMaxRetries": each.max_retries,
                "drainingSeconds": each.draining_seconds,
                "limitOverride": each.limits,
            },
            "variables": {name: {"value": text} for name, text in each.variables.items()},
            "volumeMounts": {volume.volume_id: {"mountPath": volume.mount_path}} if volume else {},
        }
    volumes = {
        v.volume_id: {"sizeMB": v.size_mb, "region": v.region}
        for v in state.volume_instances.values()
        if v.environment_id == environment_id and v.deleted_at is None
    }
    shared = state.environments[environment_id].shared
    variables = {name: {"value": text} for name, text in shared.items()}
    return {"services": services, "volumes": volumes, "sharedVariables": variables}


def etag_of(visit: Visit, environment_id: str) -> str:
    """§1 `configEtag`."""
    return hashlib.sha256(as_json(config_of(visit, environment_id)).encode()).hexdigest()[:16]
