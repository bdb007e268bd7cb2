"""The Job that makes a volume out of a physical backup: our program fills it, the database's own
image recovers it. Nothing that serves has anything to do with it until it has ended well."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC
from typing import Any

from kubernetes.client import (
    V1Container,
    V1EmptyDirVolumeSource,
    V1EnvVar,
    V1Job,
    V1JobSpec,
    V1ObjectMeta,
    V1PersistentVolumeClaimVolumeSource,
    V1PodSecurityContext,
    V1PodSpec,
    V1PodTemplateSpec,
    V1ResourceRequirements,
    V1SeccompProfile,
    V1SecretVolumeSource,
    V1Volume,
    V1VolumeMount,
)

from postbase_operator.api.database import Database
from postbase_operator.archive.run import VARIABLE, FillRun
from postbase_operator.desired import containers, meta, names, volumes
from postbase_operator.desired.statefulset import place
from postbase_operator.settings import Settings

COMPONENT = "restore"
FILL = "fill"
RECOVER = "recover"
PREFETCH = "prefetch"
SERVER_SETTINGS = (
    "max_connections",
    "max_worker_processes",
    "max_wal_senders",
    "max_prepared_transactions",
    "max_locks_per_transaction",
    "track_commit_timestamp",
)
"""Settings of which a recovery needs at least what the log was written with."""


def job_name(claim: str, restore: str, attempt: int) -> str:
    """Of this very restore, by its UID: a volume that failed is followed by one of its name."""
    return f"{claim}-{restore[:8]}-{attempt}"


def claim_of(job: str) -> str:
    """The volume that a Job of this name fills."""
    return job.rsplit("-", 2)[0]


def fills(metadata: Mapping[str, Any]) -> bool:
    """Whether the Job of this metadata fills a volume: a Backup's may have any name."""
    return bool(metadata["labels"].get("app.kubernetes.io/component") == COMPONENT)


def fill_job(
    db: Database, claim: str, name: str, run: FillRun, image: str, settings: Settings
) -> V1Job:
    """For the volume `claim`, which nothing else mounts. Goes with its Database."""
    metadata = meta.child(db, name)
    labels = {
        "app.kubernetes.io/name": "postbase",
        "app.kubernetes.io/component": COMPONENT,
        "app.kubernetes.io/part-of": "postbase",
        names.LABEL_MANAGED_BY: names.MANAGED_BY,
        names.LABEL_DATABASE: db.metadata.name,
    }
    metadata.labels = labels
    return V1Job(
        api_version="batch/v1",
        kind="Job",
        metadata=metadata,
        spec=V1JobSpec(
            backoff_limit=0,
            ttl_seconds_after_finished=24 * 3600,
            template=V1PodTemplateSpec(
                metadata=V1ObjectMeta(labels=labels), spec=_pod(db, claim, run, image, settings)
            ),
        ),
    )


def _pod(db: Database, claim: str, run: FillRun, image: str, settings: Settings) -> V1PodSpec:
    uid = db.spec.pod_security.run_as_user
    return V1PodSpec(
        restart_policy="Never",
        automount_service_account_token=False,
        service_account_name=db.spec.service_account_name,
        enable_service_links=False,
        # Whoever gives the restore up deletes the volume too: nothing on it is worth a clean stop.
        termination_grace_period_seconds=5,
        security_context=V1PodSecurityContext(
            run_as_user=uid,
            run_as_group=uid,
            run_as_non_root=True,
            fs_group=uid,
            fs_group_change_policy="OnRootMismatch",
            seccomp_profile=V1SeccompProfile(type="RuntimeDefault"),
        ),
        init_containers=[
            _fill(run, settings),
            *([_prefetch(run, settings)] if run.recovery is not None else []),
        ],
        containers=[_recover(db, run, image, settings)],
        volumes=_volumes(db, claim),
        **place(db),
    )


def _fill(run: FillRun, settings: Settings) -> V1Container:
    return V1Container(
        name=FILL,
        image=settings.sidecar_image,
        image_pull_policy=settings.sidecar_pull_policy,
        args=["fill"],
        env=[V1EnvVar(name=VARIABLE, value=run.to_bytes().decode())],
        resources=V1ResourceRequirements(
            requests={"cpu": "100m", "memory": "128Mi"}, limits={"memory": "512Mi"}
        ),
        security_context=containers.restricted(),
        termination_message_policy="FallbackToLogsOnError",
        volume_mounts=[
            V1VolumeMount(name="data", mount_path=names.MOUNT),
            V1VolumeMount(name="store", mount_path=names.STORE_MOUNT, read_only=True),
            V1VolumeMount(name="tmp", mount_path="/tmp"),  # noqa: S108 - the pod's own
        ],
    )


def _prefetch(run: FillRun, settings: Settings) -> V1Container:
    """A native sidecar: it begins when the backup is there, and ends with the recovery."""
    return V1Container(
        name=PREFETCH,
        image=settings.sidecar_image,
        image_pull_policy=settings.sidecar_pull_policy,
        args=["prefetch"],
        restart_policy="Always",
        env=[V1EnvVar(name=VARIABLE, value=run.to_bytes().decode())],
        resources=V1ResourceRequirements(
            requests={"cpu": "50m", "memory": "128Mi"}, limits={"memory": "768Mi"}
        ),
        security_context=containers.restricted(),
        termination_message_policy="FallbackToLogsOnError",
        volume_mounts=[
            V1VolumeMount(name="store", mount_path=names.STORE_MOUNT, read_only=True),
            V1VolumeMount(name="run", mount_path=names.RUN_MOUNT),
            V1VolumeMount(name="tmp", mount_path="/tmp"),  # noqa: S108
        ],
    )


def recovery_environment(db: Database, run: FillRun) -> dict[str, str]:
    """What recover.sh reads."""
    found = {
        f"POSTBASE_{name.upper()}": str(value)
        for name, value in db.spec.parameters.items()
        if name in SERVER_SETTINGS
    }
    if run.recovery is not None:
        found["POSTBASE_TIMELINE"] = str(run.recovery.timeline)
        if run.recovery.stop_at is not None:
            found["POSTBASE_STOP_AT"] = run.recovery.stop_at.astimezone(UTC).isoformat(sep=" ")
    return found


def _recover(db: Database, run: FillRun, image: str, settings: Settings) -> V1Container:
    environment = {"LC_ALL": "C.UTF-8", **recovery_environment(db, run)}
    return V1Container(
        name=RECOVER,
        image=image,
        image_pull_policy=containers.pull_policy(image, settings),
        command=["/bin/sh", f"{names.CONFIG_MOUNT}/recover.sh"],
        env=[V1EnvVar(name=name, value=value) for name, value in environment.items()],
        resources=V1ResourceRequirements(
            requests={"cpu": "100m", "memory": "128Mi"}, limits={"memory": "1Gi"}
        ),
        security_context=containers.restricted(),
        termination_message_policy="FallbackToLogsOnError",
        volume_mounts=[
            V1VolumeMount(name="data", mount_path=names.MOUNT),
            V1VolumeMount(name="config", mount_path=names.CONFIG_MOUNT, read_only=True),
            V1VolumeMount(name="tmp", mount_path="/tmp"),  # noqa: S108
            V1VolumeMount(name="shm", mount_path="/dev/shm"),  # noqa: S108
            V1VolumeMount(name="run", mount_path=names.RUN_MOUNT),
            volumes.passwd(),
        ],
    )


def _volumes(db: Database, claim: str) -> list[V1Volume]:
    known = meta.names_of(db)
    store = V1SecretVolumeSource(secret_name=known.store, default_mode=volumes.KEY_MODE)
    source = V1PersistentVolumeClaimVolumeSource(claim_name=claim)
    memory = V1EmptyDirVolumeSource(medium="Memory", size_limit="128Mi")
    ring = V1EmptyDirVolumeSource(medium="Memory", size_limit="512Mi")
    return [
        V1Volume(name="data", persistent_volume_claim=source),
        V1Volume(name="store", secret=store),
        V1Volume(name="tmp", empty_dir=V1EmptyDirVolumeSource()),
        V1Volume(name="shm", empty_dir=memory),
        V1Volume(name="run", empty_dir=ring),
        volumes.passwd_volume(db),
        V1Volume.model_validate({"name": "config", "configMap": {"name": known.config}}),
    ]
