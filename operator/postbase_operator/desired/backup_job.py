"""The Job that makes one attempt at one Backup.

Our program is the pod's one main container: the pod ends with it, well or badly. A logical backup
has the database's own image beside it, as a sidecar, for pg_dump. Keys reach our program alone: it
signs itself a client certificate, and one for pg_dump that serves some hours.

Where the server is not in this cluster (Railway) it trusts no certificate of ours: who logs in has
a password from the Secret as a variable, pg_dump the superuser's, and for a physical backup our
program that of the receiver's role. The dump's script comes in the Job, as no ConfigMap of the
Database has it.
"""

from __future__ import annotations

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
    V1PodSecurityContext,
    V1PodSpec,
    V1PodTemplateSpec,
    V1ResourceRequirements,
    V1SeccompProfile,
    V1SecretVolumeSource,
    V1Volume,
    V1VolumeMount,
)

from postbase_operator.api.backup import Backup
from postbase_operator.api.base import API_VERSION
from postbase_operator.api.database import Database
from postbase_operator.api.policies import BackupMethod
from postbase_operator.archive.run import VARIABLE, BackupRun
from postbase_operator.desired import by_password, containers, meta, names, volumes
from postbase_operator.settings import Settings

PROGRAM = "backup"
"""The container whose end is the run's."""
ADMIN = "postbase_admin"
DUMP = "dump.sh"


def job_name(backup: Backup, attempt: int) -> str:
    """At most 63 characters, and no other Backup's: names may be as long as that themselves."""
    return f"{backup.metadata.name[:51]}-{backup.metadata.uid[:8]}-{attempt}"


def backup_job(  # noqa: PLR0913 - each by its name
    backup: Backup,
    db: Database,
    run: BackupRun,
    image: str,
    attempt: int,
    settings: Settings,
    password_secret: str = "",
) -> V1Job:
    """`image` is the database's own, by digest where that is known. Deadlines are the planner's.

    `password_secret` is where a password is the way in; "": a certificate is.
    """
    labels = {
        "app.kubernetes.io/name": "postbase",
        "app.kubernetes.io/component": "backup",
        "app.kubernetes.io/part-of": "postbase",
        names.LABEL_MANAGED_BY: names.MANAGED_BY,
        names.LABEL_DATABASE: db.metadata.name,
        names.LABEL_BACKUP: backup.metadata.name,
    }
    owner = {
        "apiVersion": API_VERSION,
        "kind": "Backup",
        "name": backup.metadata.name,
        "uid": backup.metadata.uid,
        "controller": True,
        "blockOwnerDeletion": True,
    }
    metadata = {
        "name": job_name(backup, attempt),
        "namespace": backup.metadata.namespace,
        "labels": labels,
        "ownerReferences": [owner],
    }
    return V1Job(
        api_version="batch/v1",
        kind="Job",
        metadata=V1ObjectMeta.model_validate(metadata),
        spec=V1JobSpec(
            backoff_limit=0,
            ttl_seconds_after_finished=24 * 3600,
            template=V1PodTemplateSpec(
                metadata=V1ObjectMeta(labels=labels),
                spec=_pod(db, run, image, settings, password_secret),
            ),
        ),
    )


def _pod(
    db: Database, run: BackupRun, image: str, settings: Settings, password_secret: str
) -> V1PodSpec:
    uid = db.spec.pod_security.run_as_user
    signs = not password_secret
    init = None
    if run.method is BackupMethod.LOGICAL:
        dump = _by_password(run, password_secret) if password_secret else _by_certificate(run)
        init = [_prepare(run, settings, signs=signs), _dump(dump, image, settings)]
    place = db.spec.scheduling
    return V1PodSpec(
        restart_policy="Never",
        automount_service_account_token=False,
        service_account_name=db.spec.service_account_name,
        enable_service_links=False,
        termination_grace_period_seconds=30,
        security_context=V1PodSecurityContext(
            run_as_user=uid,
            run_as_group=uid,
            run_as_non_root=True,
            fs_group=uid,
            seccomp_profile=V1SeccompProfile(type="RuntimeDefault"),
        ),
        init_containers=init,
        containers=[_reading(run, settings, password_secret)],
        volumes=_volumes(db, signs=signs),
        node_selector=dict(place.node_selector) or None,
        tolerations=[taint.to_wire() for taint in place.tolerations] or None,
    )


def _program(run: BackupRun, settings: Settings, *, signs: bool) -> V1Container:
    """`signs`: it has the authority's key, for certificates."""
    keys = [
        V1VolumeMount(name="ca", mount_path=names.AUTHORITY_MOUNT, read_only=True),
        V1VolumeMount(name="trust", mount_path=names.TRUST_MOUNT, read_only=True),
    ]
    return V1Container(
        name=PROGRAM,
        image=settings.sidecar_image,
        image_pull_policy=settings.sidecar_pull_policy,
        args=["backup", run.method.value.lower()],
        env=[V1EnvVar(name=VARIABLE, value=run.to_bytes().decode())],
        resources=V1ResourceRequirements(
            requests={"cpu": "100m", "memory": "128Mi"}, limits={"memory": "512Mi"}
        ),
        security_context=containers.restricted(),
        termination_message_policy="FallbackToLogsOnError",
        volume_mounts=[
            V1VolumeMount(name="run", mount_path=names.RUN_MOUNT),
            V1VolumeMount(name="store", mount_path=names.STORE_MOUNT, read_only=True),
            *(keys if signs else ()),
            V1VolumeMount(name="tmp", mount_path="/tmp"),  # noqa: S108 - the pod's own
        ],
    )


def _reading(run: BackupRun, settings: Settings, password_secret: str) -> V1Container:
    """The main container; it logs in itself where the backup is physical."""
    program = _program(run, settings, signs=not password_secret)
    if not password_secret or run.method is not BackupMethod.PHYSICAL:
        return program
    opened_by = by_password.password(password_secret)
    return program.model_copy(update={"env": [*(program.env or ()), opened_by]})


def _prepare(run: BackupRun, settings: Settings, *, signs: bool) -> V1Container:
    """Pipes, and the certificate for pg_dump, before it starts."""
    program = _program(run, settings, signs=signs)
    part = "prepare" if signs else "pipes"
    return program.model_copy(update={"name": "prepare", "args": ["backup", part]})


@dataclass(frozen=True, slots=True)
class _Dump:
    """What the container with pg_dump is told, and mounts beside the pipes."""

    command: list[str]
    environment: list[V1EnvVar]
    mounts: tuple[V1VolumeMount, ...] = ()


def _by_certificate(run: BackupRun) -> _Dump:
    return _Dump(
        ["/bin/sh", f"{names.CONFIG_MOUNT}/{DUMP}"],
        _environment(
            run,
            PGUSER=ADMIN,
            PGSSLMODE="verify-full",
            PGSSLROOTCERT=f"{names.RUN_MOUNT}/ca.crt",
            PGSSLCERT=f"{names.RUN_MOUNT}/tls.crt",
            PGSSLKEY=f"{names.RUN_MOUNT}/tls.key",
        ),
        (
            V1VolumeMount(name="config", mount_path=names.CONFIG_MOUNT, read_only=True),
            volumes.passwd(),
        ),
    )


def _by_password(run: BackupRun, secret: str) -> _Dump:
    told = _environment(run, PGUSER=by_password.SUPERUSER, **by_password.CHANNEL)
    return _Dump(by_password.script(DUMP), [*told, by_password.password(secret)])


def _environment(run: BackupRun, **way_in: str) -> list[V1EnvVar]:
    environment = {
        "PGHOST": run.host,
        "PGPORT": str(run.port),
        "PGDATABASE": run.dbname,
        **way_in,
        "PGAPPNAME": "postbase backup",
        "PGOPTIONS": "-c synchronous_commit=local -c search_path=",
    }
    return [V1EnvVar(name=name, value=value) for name, value in environment.items()]


def _dump(told: _Dump, image: str, settings: Settings) -> V1Container:
    return V1Container(
        name="dump",
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
        volume_mounts=[
            V1VolumeMount(name="run", mount_path=names.RUN_MOUNT),
            V1VolumeMount(name="tmp", mount_path="/tmp"),  # noqa: S108
            *told.mounts,
        ],
    )


def _volumes(db: Database, *, signs: bool) -> list[V1Volume]:
    known = meta.names_of(db)

    def secret(name: str, of: str, **more: Any) -> V1Volume:
        source = V1SecretVolumeSource(secret_name=of, default_mode=volumes.KEY_MODE, **more)
        return V1Volume(name=name, secret=source)

    # In memory: a client key is written there.
    run = V1EmptyDirVolumeSource(medium="Memory", size_limit="16Mi")
    always = [
        V1Volume(name="run", empty_dir=run),
        V1Volume(name="tmp", empty_dir=V1EmptyDirVolumeSource()),
        secret("store", known.store),
    ]
    if not signs:
        return always
    return [
        *always,
        secret("ca", known.authority),
        secret("trust", known.credentials, items=[V1KeyToPath(key="ca.crt", path="ca.crt")]),
        volumes.passwd_volume(db),
        V1Volume.model_validate({"name": "config", "configMap": {"name": known.config}}),
    ]
