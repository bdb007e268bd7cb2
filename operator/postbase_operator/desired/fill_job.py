"""The Job that makes a volume out of a physical backup: our program fills it, the database's own
image recovers it. Nothing that serves has anything to do with it until it has ended well."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC
from typing import Any

from kubernetes.client import (
    V1Container,
    V1Job,
    V1PersistentVolumeClaimVolumeSource,
    V1PodSpec,
    V1ResourceRequirements,
    V1Volume,
    V1VolumeMount,
)

from postbase_operator.api.database import Database
from postbase_operator.archive.run import FillRun
from postbase_operator.desired import containers, meta, names, run_job, volumes
from postbase_operator.desired.statefulset import place
from postbase_operator.settings import Settings

COMPONENT = "restore"
FILL = "fill"
RECOVER = "recover"
PREFETCH = "prefetch"
GRACE_SECONDS = 5
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
    metadata.labels = run_job.labels(db, COMPONENT)
    return run_job.job(metadata, _pod(db, claim, run, image, settings))


def _pod(db: Database, claim: str, run: FillRun, image: str, settings: Settings) -> V1PodSpec:
    told = run.to_bytes()
    mounts = (V1VolumeMount(name="data", mount_path=names.MOUNT), run_job.STORE, run_job.TMP)
    first = [run_job.program(FILL, ["fill"], told, settings, mounts)]
    if run.recovery is not None:
        first.append(_prefetch(told, settings))
    main = _recover(db, run, image, settings)
    # Whoever gives the restore up deletes the volume too: nothing on it is worth a clean stop.
    return run_job.pod(db, first, main, _volumes(db, claim), GRACE_SECONDS, place(db))


def _prefetch(run: bytes, settings: Settings) -> V1Container:
    """A native sidecar: it begins when the backup is there, and ends with the recovery."""
    found = run_job.program(
        PREFETCH, ["prefetch"], run, settings, (run_job.STORE, run_job.RUN, run_job.TMP)
    )
    needs = V1ResourceRequirements(
        requests={"cpu": "50m", "memory": "128Mi"}, limits={"memory": "768Mi"}
    )
    return found.model_copy(update={"restart_policy": "Always", "resources": needs})


def recovery_environment(db: Database, run: FillRun) -> dict[str, str]:
    """What recover.sh reads."""
    found = {
        f"POSTBASE_{name.upper()}": str(value)
        for name, value in db.spec.parameters.items()
        if name in SERVER_SETTINGS
    }
    if run.recovery is not None:
        found["POSTBASE_TIMELINE"] = run.recovery.target_timeline
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
        env=run_job.variables(environment),
        resources=V1ResourceRequirements(
            requests={"cpu": "100m", "memory": "128Mi"}, limits={"memory": "1Gi"}
        ),
        security_context=containers.restricted(),
        termination_message_policy="FallbackToLogsOnError",
        volume_mounts=[
            V1VolumeMount(name="data", mount_path=names.MOUNT),
            run_job.CONFIG,
            run_job.TMP,
            V1VolumeMount(name="shm", mount_path="/dev/shm"),  # noqa: S108
            run_job.RUN,
            volumes.passwd(),
        ],
    )


def _volumes(db: Database, claim: str) -> list[V1Volume]:
    source = V1PersistentVolumeClaimVolumeSource(claim_name=claim)
    return [
        V1Volume(name="data", persistent_volume_claim=source),
        *run_job.tmp_and_store(db),
        run_job.memory_volume("shm", "128Mi"),
        run_job.memory_volume("run", "512Mi"),
        *run_job.script_volumes(db),
    ]
