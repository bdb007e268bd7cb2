"""What Jobs of backups and restores have in common: the pod, our program in it, and beside it a
program of PostgreSQL's, in the database's own image, that talks to a server."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from kubernetes.client import (
    V1Container,
    V1EmptyDirVolumeSource,
    V1EnvVar,
    V1Job,
    V1JobSpec,
    V1KeyToPath,
    V1ObjectMeta,
    V1PodSpec,
    V1PodTemplateSpec,
    V1ResourceRequirements,
    V1SecretVolumeSource,
    V1Volume,
    V1VolumeMount,
)

from postbase_operator.api.database import Database
from postbase_operator.archive.run import VARIABLE
from postbase_operator.desired import containers, meta, names, volumes
from postbase_operator.settings import Settings

KEPT_SECONDS = 24 * 3600
"""How long a Job that has ended can be looked at."""
TMP = V1VolumeMount(name="tmp", mount_path="/tmp")  # noqa: S108 - the pod's own
STORE = V1VolumeMount(name="store", mount_path=names.STORE_MOUNT, read_only=True)
RUN = V1VolumeMount(name="run", mount_path=names.RUN_MOUNT)
CONFIG = V1VolumeMount(name="config", mount_path=names.CONFIG_MOUNT, read_only=True)
AUTHORITY = V1VolumeMount(name="ca", mount_path=names.AUTHORITY_MOUNT, read_only=True)
TRUST = V1VolumeMount(name="trust", mount_path=names.TRUST_MOUNT, read_only=True)


def labels(db: Database, component: str) -> dict[str, str]:
    return {
        "app.kubernetes.io/name": "postbase",
        names.LABEL_COMPONENT: component,
        "app.kubernetes.io/part-of": "postbase",
        names.LABEL_MANAGED_BY: names.MANAGED_BY,
        names.LABEL_DATABASE: db.metadata.name,
    }


def job(metadata: V1ObjectMeta, pod: V1PodSpec) -> V1Job:
    """One attempt: what is tried again is another Job. Its pod has its labels."""
    template = V1PodTemplateSpec(metadata=V1ObjectMeta(labels=metadata.labels), spec=pod)
    return V1Job(
        api_version="batch/v1",
        kind="Job",
        metadata=metadata,
        spec=V1JobSpec(backoff_limit=0, ttl_seconds_after_finished=KEPT_SECONDS, template=template),
    )


def pod(
    db: Database,
    first: Sequence[V1Container],
    main: V1Container,
    mounted: list[V1Volume],
    grace_seconds: int,
    place: dict[str, Any],
) -> V1PodSpec:
    """`first`: what runs before the main container, or beside it."""
    return V1PodSpec(
        restart_policy="Never",
        automount_service_account_token=False,
        service_account_name=db.spec.service_account_name,
        enable_service_links=False,
        termination_grace_period_seconds=grace_seconds,
        security_context=containers.user(db),
        init_containers=list(first) or None,
        containers=[main],
        volumes=mounted,
        **place,
    )


def near_the_server(db: Database) -> dict[str, Any]:
    """Where the database may run, for what only talks to it."""
    place = db.spec.scheduling
    found = {
        "nodeSelector": dict(place.node_selector),
        "tolerations": [taint.to_wire() for taint in place.tolerations],
    }
    return {name: value for name, value in found.items() if value}


def program(
    name: str, words: list[str], run: bytes, settings: Settings, mounts: Sequence[V1VolumeMount]
) -> V1Container:
    """Ours."""
    return V1Container(
        name=name,
        image=settings.sidecar_image,
        image_pull_policy=settings.sidecar_pull_policy,
        args=words,
        env=[V1EnvVar(name=VARIABLE, value=run.decode())],
        resources=V1ResourceRequirements(
            requests={"cpu": "100m", "memory": "128Mi"}, limits={"memory": "512Mi"}
        ),
        security_context=containers.restricted(),
        termination_message_policy="FallbackToLogsOnError",
        volume_mounts=list(mounts),
    )


@dataclass(frozen=True, slots=True)
class Client:
    """What pg_dump or pg_restore is told, and what it has mounted beside the pipes."""

    command: list[str]
    environment: list[V1EnvVar]
    mounts: tuple[V1VolumeMount, ...] = ()


def by_script(name: str, environment: list[V1EnvVar], *more: V1VolumeMount) -> Client:
    """Of the Database's own ConfigMap."""
    command = ["/bin/sh", f"{names.CONFIG_MOUNT}/{name}"]
    return Client(command, environment, (CONFIG, *more, volumes.passwd()))


def client(name: str, told: Client, image: str, settings: Settings) -> V1Container:
    """A sidecar: it is there before the main container, and ends with it."""
    return V1Container(
        name=name,
        image=image,
        image_pull_policy=containers.pull_policy(image, settings),
        restart_policy="Always",
        command=told.command,
        env=told.environment,
        resources=V1ResourceRequirements(
            requests={"cpu": "100m", "memory": "64Mi"}, limits={"memory": "512Mi"}
        ),
        security_context=containers.restricted(),
        termination_message_policy="FallbackToLogsOnError",
        volume_mounts=[RUN, TMP, *told.mounts],
    )


def variables(environment: dict[str, str]) -> list[V1EnvVar]:
    return [V1EnvVar(name=name, value=value) for name, value in environment.items()]


def memory_volume(name: str, size: str) -> V1Volume:
    """For what is written there: keys, passwords."""
    source = V1EmptyDirVolumeSource(medium="Memory", size_limit=size)
    return V1Volume(name=name, empty_dir=source)


def tmp_and_store(db: Database) -> list[V1Volume]:
    return [
        V1Volume(name="tmp", empty_dir=V1EmptyDirVolumeSource()),
        secret_volume("store", meta.names_of(db).store),
    ]


def cluster_volumes(db: Database) -> list[V1Volume]:
    """What only a Database that runs in this cluster has: authority, scripts, users."""
    known = meta.names_of(db)
    return [
        secret_volume("ca", known.authority),
        secret_volume("trust", known.credentials, V1KeyToPath(key="ca.crt", path="ca.crt")),
        *script_volumes(db),
    ]


def script_volumes(db: Database) -> list[V1Volume]:
    config = {"name": "config", "configMap": {"name": meta.names_of(db).config}}
    return [volumes.passwd_volume(db), V1Volume.model_validate(config)]


def secret_volume(name: str, of: str, *items: V1KeyToPath) -> V1Volume:
    source = V1SecretVolumeSource(
        secret_name=of, default_mode=volumes.KEY_MODE, items=list(items) or None
    )
    return V1Volume(name=name, secret=source)
