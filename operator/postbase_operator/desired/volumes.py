"""What a database's pod mounts, and where."""

from __future__ import annotations

from kubernetes.client import (
    V1ConfigMapVolumeSource,
    V1EmptyDirVolumeSource,
    V1KeyToPath,
    V1PersistentVolumeClaimVolumeSource,
    V1SecretVolumeSource,
    V1Volume,
    V1VolumeMount,
)

from postbase_operator.api.database import Database
from postbase_operator.api.quantity import whole_bytes
from postbase_operator.desired import meta, names

MIB = 1024 * 1024
KEY_MODE = 0o640
"""PostgreSQL refuses a key that others can read; root:fsGroup with 0640 is what it takes."""


def volumes(db: Database, claim: str) -> list[V1Volume]:
    known = meta.names_of(db)
    memory = whole_bytes(db.spec.resources.memory)
    return [
        V1Volume(
            name="data",
            persistent_volume_claim=V1PersistentVolumeClaimVolumeSource(claim_name=claim),
        ),
        V1Volume(name="config", config_map=V1ConfigMapVolumeSource(name=known.config)),
        passwd_volume(db),
        V1Volume(
            name="tls",
            secret=V1SecretVolumeSource(secret_name=known.tls, default_mode=KEY_MODE),
        ),
        # The store's credentials, once there is a store: in the template from the first day, so
        # that switching archiving on restarts nothing.
        V1Volume(
            name="store",
            secret=V1SecretVolumeSource(
                secret_name=known.store, default_mode=KEY_MODE, optional=True
            ),
        ),
        V1Volume(name="sockets", empty_dir=V1EmptyDirVolumeSource()),
        V1Volume(name="tmp", empty_dir=V1EmptyDirVolumeSource()),
        V1Volume(name="receiver-tmp", empty_dir=V1EmptyDirVolumeSource()),
        # A container's own /dev/shm has 64 MB: parallel queries die of it. Counts as memory.
        V1Volume(
            name="shm",
            empty_dir=V1EmptyDirVolumeSource(
                medium="Memory", size_limit=f"{max(64, memory // 2 // MIB)}Mi"
            ),
        ),
    ]


def server_mounts() -> list[V1VolumeMount]:
    return [
        V1VolumeMount(name="data", mount_path=names.MOUNT),
        V1VolumeMount(name="config", mount_path=names.CONFIG_MOUNT, read_only=True),
        V1VolumeMount(name="tls", mount_path=names.TLS_MOUNT, read_only=True),
        V1VolumeMount(name="sockets", mount_path=names.SOCKETS),
        V1VolumeMount(name="tmp", mount_path="/tmp"),  # noqa: S108 - the pod's own
        V1VolumeMount(name="shm", mount_path="/dev/shm"),  # noqa: S108
        passwd(),
    ]


def sidecar_mounts() -> list[V1VolumeMount]:
    """No data: the receiver reads WAL through the server's socket, never from its files."""
    return [
        V1VolumeMount(name="config", mount_path=names.CONFIG_MOUNT, read_only=True),
        V1VolumeMount(name="tls", mount_path=names.TLS_MOUNT, read_only=True),
        V1VolumeMount(name="store", mount_path=names.STORE_MOUNT, read_only=True),
        V1VolumeMount(name="sockets", mount_path=names.SOCKETS),
        V1VolumeMount(name="receiver-tmp", mount_path="/tmp"),  # noqa: S108
        passwd(),
    ]


def passwd_volume(db: Database) -> V1Volume:
    """Of its own, though it is of the same ConfigMap: a file that is mounted by itself (subPath) is
    bound to one version of its volume, and a container that starts again after another file there
    has changed would not start (kubernetes#68211)."""
    chosen = [V1KeyToPath(key="passwd", path="passwd")]
    source = V1ConfigMapVolumeSource(name=meta.names_of(db).config, items=chosen)
    return V1Volume(name="passwd", config_map=source)


def passwd() -> V1VolumeMount:
    return V1VolumeMount(name="passwd", mount_path="/etc/passwd", sub_path="passwd", read_only=True)
