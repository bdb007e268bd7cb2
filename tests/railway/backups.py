"""Backups of a volume: a snapshot of its folder, restored by a swap that is only staged (§1)."""

from __future__ import annotations

import os
import shutil
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

from railway import patches
from railway.boxes import Box, Process
from railway.errors import Refused
from railway.postgres_ssl import remove_volume
from railway.projects import random_name
from railway.state import Backup, Volume, VolumeInstance, new_id
from railway.visit import Visit
from railway.volumes import add_instance, used_mb
from railway.world import World

DAY = 86_400
RETENTION = {"DAILY": 6 * DAY, "WEEKLY": 30 * DAY, "MONTHLY": 90 * DAY}
"""§1 Limits: 6 d, 1 month, 3 months."""
CRON = {"DAILY": "0 0 * * *", "WEEKLY": "0 0 * * 0", "MONTHLY": "0 0 1 * *"}
"""[U] the hours."""


def _folder(world: World, backup_id: str) -> Path:
    return world.folder / f"k-{backup_id[:8]}"


def create(visit: Visit, args: dict[str, Any]) -> dict[str, str]:
    """§1: crash-consistent; a manual one of at most half of the volume's size."""
    volume, world = visit.volume_instance(args["volumeInstanceId"]), visit.world
    backup_id, name = new_id(), args.get("name")

    def work() -> str | None:
        used = round(used_mb(world, volume))
        if used > volume.size_mb / 2:
            return "Backup exceeds 50% of the volume size"  # [U] the words
        now = world.clock.now()
        made = Backup(
            backup_id, volume.id, name, now, now + RETENTION["DAILY"], used, volume.size_mb
        )
        if world.machine.real:
            with _frozen(world, volume):
                _copy(world.volume_folder(volume), _folder(world, backup_id))
        world.state.backups[backup_id] = made
        return None

    flow = f"volumeBackup/{volume.id}/{backup_id}"
    return {"workflowId": world.workflow(flow, world.settings.delays.backup, work)}


def _frozen(world: World, volume: VolumeInstance) -> AbstractContextManager[None]:
    """No process writes meanwhile: all of the folder is of one moment, as a snapshot is."""
    box: Box | None = None
    if volume.service_id is not None:
        running = world.running(volume.service_id, volume.environment_id)
        box = world.boxes.get(running.id) if running else None
    return box.frozen() if isinstance(box, Process) else nullcontext()


def _copy(source: Path, target: Path) -> None:
    shutil.copytree(source, target, symlinks=True)
    if os.getuid() == 0:
        for folder, names, files in os.walk(source):
            for name in (".", *names, *files):
                old = Path(folder) / name
                new = target / old.relative_to(source)
                owner = old.lstat()
                os.chown(new, owner.st_uid, owner.st_gid, follow_symlinks=False)


def _find(visit: Visit, args: dict[str, Any]) -> tuple[VolumeInstance, Backup]:
    volume = visit.volume_instance(args["volumeInstanceId"])
    backup = visit.state.backups.get(args["volumeInstanceBackupId"])
    if backup is None or backup.volume_instance_id != volume.id:
        raise Refused("Backup not found")
    return volume, backup


def listed(visit: Visit, args: dict[str, Any]) -> list[Backup]:
    volume = visit.volume_instance(args["volumeInstanceId"])
    mine = [b for b in visit.state.backups.values() if b.volume_instance_id == volume.id]
    now = visit.world.clock.now()
    return [b for b in mine if b.expires_at is None or b.expires_at > now]


def lock(visit: Visit, args: dict[str, Any]) -> bool:
    """§1: one way."""
    _, backup = _find(visit, args)
    backup.expires_at = None
    return True


def delete(visit: Visit, args: dict[str, Any]) -> dict[str, str]:
    _, backup = _find(visit, args)
    world = visit.world

    def work() -> None:
        world.state.backups.pop(backup.id, None)
        remove_volume(_folder(world, backup.id))

    flow = f"volumeBackupDelete/{backup.id}"
    return {"workflowId": world.workflow(flow, world.settings.delays.backup, work)}


def restore(visit: Visit, args: dict[str, Any]) -> dict[str, str]:
    """§1: into a new volume, then the swap is only staged; newer backups go."""
    old, backup = _find(visit, args)
    world, project_id = (
        visit.world,
        visit.state.volumes[visit.volume_instance(args["volumeInstanceId"]).volume_id].project_id,
    )

    def work() -> None:
        name = f"{random_name(world.random)}-volume"
        volume = Volume(new_id(), name, project_id, world.clock.now())
        world.state.volumes[volume.id] = volume
        made = add_instance(world, volume, old.environment_id, None, old.mount_path, old.region)
        made.size_mb = old.size_mb
        if world.machine.real:
            remove_volume(world.volume_folder(made))
            _copy(_folder(world, backup.id), world.volume_folder(made))
        patch = patches.staged(world, world.state.environments[old.environment_id])
        swap = {old.volume_id: None, volume.id: {"mountPath": old.mount_path}}
        if old.service_id is not None:
            wanted = {"services": {old.service_id: {"volumeMounts": swap}}}
            patch.patch = patches.merged(patch.patch, wanted)
        for each in list(world.state.backups.values()):
            if each.volume_instance_id == old.id and each.created_at > backup.created_at:
                world.state.backups.pop(each.id)

    flow = f"volumeRestore/{backup.id}/{new_id()}"
    return {"workflowId": world.workflow(flow, world.settings.delays.backup, work)}


def schedule(visit: Visit, args: dict[str, Any]) -> bool:
    """The schedules are kept; the double makes no backup by them."""
    volume = visit.volume_instance(args["volumeInstanceId"])
    volume.schedules = {kind: volume.schedules.get(kind, new_id()) for kind in args["kinds"]}
    return True


def schedules(visit: Visit, args: dict[str, Any]) -> list[dict[str, Any]]:
    volume = visit.volume_instance(args["volumeInstanceId"])
    return [
        {"id": own, "kind": kind, "cron": CRON[kind], "retentionSeconds": RETENTION[kind]}
        for kind, own in volume.schedules.items()
    ]


def point_in_time(visit: Visit, args: dict[str, Any]) -> dict[str, str]:
    """§1: for official images with pgBackRest archiving on, which the double does not run."""
    volume = visit.volume_instance(args["volumeInstanceId"])
    instance = volume.service_id and visit.state.instance(volume.service_id, volume.environment_id)
    if not instance or "WAL_ARCHIVE_BUCKET" not in instance.variables:
        raise Refused("Point-in-time recovery is not enabled")  # [U] the words
    raise NotImplementedError("Mutation.volumeInstancePITRRestore")
