"""What a committed patch does, and what of it would be refused when it comes to that.

The schema checks nothing inside of a patch (§1), and Railway checks it only when it applies it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from railway import proxies
from railway.errors import Refused, too_large
from railway.settings import REGIONS
from railway.state import JSON, Instance, Patch, VolumeInstance, new_id
from railway.world import World

SERVICE_KEYS = {"source", "deploy", "variables", "networking", "volumeMounts"}
DEPLOY_KEYS = {
    "startCommand": "start_command",
    "restartPolicyType": "restart_policy",
    "restartPolicyMaxRetries": "max_retries",
    "drainingSeconds": "draining_seconds",
    "sleepApplication": "sleeps",
}
CLEARED = {
    "start_command": None,
    "restart_policy": "ON_FAILURE",
    "max_retries": 10,
    "draining_seconds": 0,
    "sleeps": False,
}
NO_MEANING_HERE = {"multiRegionConfig", "limitOverride", "requiredMountPath"}
TOP = {"services", "volumes", "sharedVariables", "buckets"}


def fault_of(world: World, patch: Patch) -> str | None:
    """The first reason to refuse all of it (§2 Async commit)."""
    return next(_faults(world, patch), None)


def _faults(world: World, patch: Patch) -> Iterator[str]:
    for key in patch.patch:
        if key not in TOP:
            yield f"NotImplemented in the double: a patch's {key}"
    for volume, wanted in _volumes(world, patch):
        yield from _volume_faults(world, volume, wanted)
    for instance, wanted in _services(world, patch):
        yield from _service_faults(world, instance, wanted)


def _volume_faults(world: World, volume: VolumeInstance, wanted: JSON) -> Iterator[str]:
    size, region = wanted.get("sizeMB"), wanted.get("region")
    plan = world.plan_of(volume.environment_id)
    if size is not None and size > plan.max_volume_mb:
        yield too_large(plan.max_volume_mb)
    if size is not None and size < volume.size_mb:
        yield "Volume size cannot be decreased"  # §1 "Never shrinks"; [U] the words
    if region is not None:
        yield from _region_faults(world, region)


def _region_faults(world: World, region: str) -> Iterator[str]:
    try:
        world.region(region)
    except Refused as refused:
        yield refused.message


def _service_faults(world: World, instance: Instance, wanted: JSON) -> Iterator[str]:
    for key in set(wanted) - SERVICE_KEYS:
        yield f"NotImplemented in the double: a service's {key}"
    deploy = wanted.get("deploy") or {}
    for key in set(deploy) - set(DEPLOY_KEYS) - NO_MEANING_HERE:
        yield f"NotImplemented in the double: a service's deploy.{key}"
    for region in _regions(deploy):
        yield from _region_faults(world, region)
    ports = {p for p, v in _ports(wanted).items() if v is not None}
    live = world.state.live_proxy(instance.service_id, instance.environment_id)
    gone = {p for p, v in _ports(wanted).items() if v is None}
    there = {str(live.port)} - gone if live else set()
    if len(ports | there) > 1:
        yield proxies.SECOND
    for name, value in (wanted.get("variables") or {}).items():
        if value is not None and not isinstance(value, dict):
            yield f"Invalid variable {name}"  # §1: {K: {value, isSealed}}; [U] the words


def _ports(wanted: JSON) -> JSON:
    return (wanted.get("networking") or {}).get("tcpProxies") or {}


def _regions(deploy: JSON) -> list[str]:
    return [name for name, value in (deploy.get("multiRegionConfig") or {}).items() if value]


def _services(world: World, patch: Patch) -> list[tuple[Instance, JSON]]:
    """§1: what is keyed by an unknown id makes nothing."""
    found = []
    for service_id, wanted in (patch.patch.get("services") or {}).items():
        instance = world.state.instance(service_id, patch.environment_id)
        if instance is not None and instance.deleted_at is None and wanted is not None:
            found.append((instance, wanted))
    return found


def _volumes(world: World, patch: Patch) -> list[tuple[VolumeInstance, JSON]]:
    asked = patch.patch.get("volumes") or {}
    return [
        (each, asked[each.volume_id])
        for each in world.state.volume_instances.values()
        if each.environment_id == patch.environment_id
        and each.deleted_at is None
        and asked.get(each.volume_id) is not None
    ]


def apply(world: World, patch: Patch) -> list[Instance]:
    """Does it; the services that it affects."""
    shared = world.state.environments[patch.environment_id].shared
    _variables(shared, patch.patch.get("sharedVariables") or {})
    for bucket_id, wanted in (patch.patch.get("buckets") or {}).items():
        bucket = world.state.buckets.get(bucket_id)
        if bucket is not None and (wanted or {}).get("isCreated"):
            bucket.region = wanted.get("region")
            bucket.created_in.append(patch.environment_id)
    for volume, wanted in _volumes(world, patch):
        volume.size_mb = wanted.get("sizeMB") or volume.size_mb  # §1: live, no downtime
        if wanted.get("region") not in (None, volume.region):
            _migrate(world, volume, wanted["region"])
    touched = []
    for instance, wanted in _services(world, patch):
        _change(world, instance, wanted)
        touched.append(instance)
    return touched


def _change(world: World, instance: Instance, wanted: JSON) -> None:
    if "source" in wanted:
        instance.image = (wanted["source"] or {}).get("image")
    deploy: JSON = wanted.get("deploy") or {}
    for key, attribute in DEPLOY_KEYS.items():
        if key in deploy:
            value = deploy[key]
            setattr(instance, attribute, CLEARED[attribute] if value is None else value)
    if "limitOverride" in deploy:  # §1 step 8: cleared by {"containers": null}
        override = deploy["limitOverride"]
        instance.limits = override if (override or {}).get("containers") else None
    given = wanted.get("variables") or {}
    _variables(instance.variables, given)
    # §1: {K: {value, isSealed}}; sealed ones are never shown again, and cannot be unsealed.
    instance.sealed |= {name for name, value in given.items() if (value or {}).get("isSealed")}
    for mount, value in (wanted.get("volumeMounts") or {}).items():
        _mount(world, instance, mount, value)
    for region in _regions(deploy):
        if region != instance.region:
            instance.region = region
            volume = world.state.volume_of(instance.service_id, instance.environment_id)
            if volume is not None:
                _migrate(world, volume, region)
    for port, value in _ports(wanted).items():
        _proxy(world, instance, int(port), value)


def _variables(into: dict[str, str], wanted: dict[str, Any]) -> None:
    for name, value in wanted.items():
        if value is None:
            into.pop(name, None)
        elif "value" in value:
            into[name] = str(value["value"])


def _mount(world: World, instance: Instance, volume_id: str, wanted: JSON | None) -> None:
    for each in world.state.volume_instances.values():
        if (each.volume_id, each.environment_id) != (volume_id, instance.environment_id):
            continue
        if wanted is None:
            each.service_id = None
            continue
        each.service_id = instance.service_id
        each.mount_path = wanted.get("mountPath") or each.mount_path
        if "backupSchedules" in wanted:
            kinds = wanted["backupSchedules"] or []
            each.schedules = {kind: each.schedules.get(kind, new_id()) for kind in kinds}


def _proxy(world: World, instance: Instance, port: int, wanted: JSON | None) -> None:
    live = world.state.live_proxy(instance.service_id, instance.environment_id)
    if wanted is None:
        if live is not None and live.port == port:
            proxies.begin_removal(world, live)
    elif live is None:
        proxies.make(world, instance.service_id, instance.environment_id, port)


def _migrate(world: World, volume: VolumeInstance, region: str) -> None:
    """§1 Region change: MIGRATION_PENDING, MIGRATING, with downtime."""
    assert region in REGIONS
    volume.state = "MIGRATION_PENDING"
    half = world.settings.delays.migration / 2

    def begin() -> None:
        volume.state = "MIGRATING"
        world.clock.after(half, end)

    def end() -> None:
        volume.state, volume.region = "READY", region

    world.clock.after(half, begin)
