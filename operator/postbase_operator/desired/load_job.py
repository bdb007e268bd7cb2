"""The Job that restores a dump into a database of its own, on the server that runs.

Our program is the pod's one main container; beside it, as a sidecar, the database's own image for
pg_restore. The key that makes our program a superuser lies where that sidecar cannot see it.

Where the server is not in this cluster (Railway) our program has the superuser's password from the
Secret as a variable in place of that key (by_password.py). In both cases pg_restore logs in as a
role of this restore alone, by a password that our program makes up.
"""

from __future__ import annotations

from dataclasses import dataclass

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

from postbase_operator.api.database import Database
from postbase_operator.archive import copies
from postbase_operator.archive.load_run import LoadRun
from postbase_operator.archive.run import VARIABLE
from postbase_operator.desired import by_password, containers, meta, names, volumes
from postbase_operator.desired.backup_job import PROGRAM
from postbase_operator.settings import Settings

COMPONENT = "load"
RESTORER = "postbase_restore"
SCRIPT = "load.sh"


def job_name(db: Database, restore: str, attempt: int) -> str:
    """Of this very restore, by its UID; at most 60 characters."""
    return f"{db.metadata.name}-load-{copies.mark(restore)}-{attempt}"


def restore_of(name: str) -> str:
    """Whose Job of this name is, as archive.copies.mark() has it."""
    return name.split("-")[-2]


def load_job(
    db: Database,
    name: str,
    run: LoadRun,
    image: str,
    settings: Settings,
    password_secret: str = "",
) -> V1Job:
    """`image` is the database's own, by digest where that is known. Goes with its Database.

    `password_secret` is where a password is the way in; "": a certificate is.
    """
    told = {names.ANNOTATION_GENERATION: str(db.metadata.generation)}
    metadata = meta.child(db, name, annotations=told)
    labels = {
        "app.kubernetes.io/name": "postbase",
        names.LABEL_COMPONENT: COMPONENT,
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
                metadata=V1ObjectMeta(labels=labels),
                spec=_pod(db, run, image, settings, password_secret),
            ),
        ),
    )


def _pod(
    db: Database, run: LoadRun, image: str, settings: Settings, password_secret: str
) -> V1PodSpec:
    uid = db.spec.pod_security.run_as_user
    place = db.spec.scheduling
    signs = not password_secret
    program = _program(run, settings, signs=signs)
    prepare = program.model_copy(update={"name": "prepare", "args": ["load", "prepare"]})
    if password_secret:
        opened_by = by_password.password(password_secret)
        program = program.model_copy(update={"env": [*(program.env or ()), opened_by]})
    restore = _by_password(run) if password_secret else _by_authority(run)
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
        init_containers=[prepare, _load(restore, image, settings)],
        containers=[program],
        volumes=_volumes(db, signs=signs),
        node_selector=dict(place.node_selector) or None,
        tolerations=[taint.to_wire() for taint in place.tolerations] or None,
    )


def _program(run: LoadRun, settings: Settings, *, signs: bool) -> V1Container:
    """`signs`: it has the authority's key, for certificates."""
    keys = [
        V1VolumeMount(name="own", mount_path=names.OWN_MOUNT),
        V1VolumeMount(name="ca", mount_path=names.AUTHORITY_MOUNT, read_only=True),
        V1VolumeMount(name="trust", mount_path=names.TRUST_MOUNT, read_only=True),
    ]
    return V1Container(
        name=PROGRAM,
        image=settings.sidecar_image,
        image_pull_policy=settings.sidecar_pull_policy,
        args=["load", "run"],
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


@dataclass(frozen=True, slots=True)
class _Restore:
    """What the container with pg_restore is told, and mounts beside the pipes."""

    command: list[str]
    environment: list[V1EnvVar]
    mounts: tuple[V1VolumeMount, ...] = ()


def _by_authority(run: LoadRun) -> _Restore:
    trust = f"{names.TRUST_MOUNT}/ca.crt"
    return _Restore(
        ["/bin/sh", f"{names.CONFIG_MOUNT}/{SCRIPT}"],
        _environment(run, run.scratch, PGSSLMODE="verify-full", PGSSLROOTCERT=trust),
        (
            V1VolumeMount(name="config", mount_path=names.CONFIG_MOUNT, read_only=True),
            V1VolumeMount(name="trust", mount_path=names.TRUST_MOUNT, read_only=True),
            volumes.passwd(),
        ),
    )


def _by_password(run: LoadRun) -> _Restore:
    """The database is a connection string: libpq has no variables for keepalives."""
    alive = " ".join(f"{name}={value}" for name, value in by_password.KEEPALIVES.items())
    told = _environment(run, f"dbname={run.scratch} {alive}", **by_password.CHANNEL)
    return _Restore(by_password.script(SCRIPT), told)


def _environment(run: LoadRun, database: str, **way_in: str) -> list[V1EnvVar]:
    environment = {
        "PGHOST": run.host,
        "PGPORT": str(run.port),
        "PGDATABASE": database,
        "PGUSER": RESTORER,
        "PGPASSFILE": f"{names.RUN_MOUNT}/pgpass",
        **way_in,
        "PGAPPNAME": "postbase restore",
        "PGOPTIONS": "-c synchronous_commit=local",
    }
    return [V1EnvVar(name=name, value=value) for name, value in environment.items()]


def _load(told: _Restore, image: str, settings: Settings) -> V1Container:
    return V1Container(
        name="load",
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

    def secret(name: str, of: str, **more: list[V1KeyToPath]) -> V1Volume:
        source = V1SecretVolumeSource(secret_name=of, default_mode=volumes.KEY_MODE, **more)
        return V1Volume(name=name, secret=source)

    # In memory: a password and a key are written there.
    memory = V1EmptyDirVolumeSource(medium="Memory", size_limit="64Mi")
    always = [
        V1Volume(name="run", empty_dir=memory),
        V1Volume(name="tmp", empty_dir=V1EmptyDirVolumeSource()),
        secret("store", known.store),
    ]
    if not signs:
        return always
    return [
        *always,
        V1Volume(name="own", empty_dir=memory),
        secret("ca", known.authority),
        secret("trust", known.credentials, items=[V1KeyToPath(key="ca.crt", path="ca.crt")]),
        volumes.passwd_volume(db),
        V1Volume.model_validate({"name": "config", "configMap": {"name": known.config}}),
    ]
