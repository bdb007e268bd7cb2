"""The three containers of a database's pod.

PostgreSQL is PID 1 in its container: any orphan that it reaps with an exit code of 2 or more makes
it kill every session and replay. So probes and hooks run exactly one binary by exec, never a shell,
with time to spare, and there is no liveness probe.
"""

from __future__ import annotations

from kubernetes.client import (
    V1Capabilities,
    V1Container,
    V1ContainerPort,
    V1EnvVar,
    V1Lifecycle,
    V1PodSecurityContext,
    V1Probe,
    V1ResourceRequirements,
    V1SeccompProfile,
    V1SecurityContext,
)

from postbase_operator.api.database import Database
from postbase_operator.api.quantity import parse_quantity
from postbase_operator.archive.receiver import STOPPING_MARK
from postbase_operator.desired import names, volumes
from postbase_operator.settings import Settings

RECOVERY_PATIENCE_SECONDS = 6 * 3600
"""Crash recovery may take hours; a startup probe that gives up sooner would kill it each time."""


def postgres(db: Database, image: str, settings: Settings) -> V1Container:
    return V1Container(
        name=names.POSTGRES_CONTAINER,
        image=image,
        image_pull_policy=pull_policy(image, settings),
        command=["/bin/sh", f"{names.CONFIG_MOUNT}/start.sh"],
        env=_environment(),
        ports=[V1ContainerPort(name="postgresql", container_port=names.PORT, protocol="TCP")],
        # The signal that the kubelet sends by itself means "wait for every client" in most images:
        # one idle session would use up the whole grace and end in a kill.
        lifecycle=_run_before_stop(
            "pg_ctl", "stop", f"--pgdata={names.PGDATA}", "--mode=fast", "--no-wait"
        ),
        startup_probe=_is_ready(period=1, failures=RECOVERY_PATIENCE_SECONDS),
        readiness_probe=_is_ready(period=10, failures=3),
        resources=_resources(db, settings),
        security_context=restricted(),
        termination_message_policy="FallbackToLogsOnError",
        volume_mounts=volumes.server_mounts(),
    )


def initdb(db: Database, image: str, settings: Settings) -> V1Container:
    """Makes the database of a new volume; ends at once on any other. No CPU limit: a one-off."""
    resources = _resources(db, settings)
    memory = resources.limits["memory"] if resources.limits else db.spec.resources.memory
    return V1Container(
        name=names.INITDB_CONTAINER,
        image=image,
        image_pull_policy=pull_policy(image, settings),
        command=["/bin/sh", f"{names.CONFIG_MOUNT}/initdb.sh"],
        env=_environment(),
        resources=V1ResourceRequirements(requests=resources.requests, limits={"memory": memory}),
        security_context=restricted(),
        termination_message_policy="FallbackToLogsOnError",
        volume_mounts=volumes.server_mounts(),
    )


def wal_receiver(settings: Settings) -> V1Container:
    """The native sidecar: starts before PostgreSQL and outlives it, so that a planned stop loses
    nothing. No probe: it must never decide whether the database counts as ready."""
    return V1Container(
        name=names.SIDECAR_CONTAINER,
        image=settings.sidecar_image,
        image_pull_policy=settings.sidecar_pull_policy,
        args=["wal-receiver"],
        restart_policy="Always",
        ports=[V1ContainerPort(name="receiver", container_port=names.SIDECAR_PORT, protocol="TCP")],
        # Its signal comes only once PostgreSQL has ended, and PostgreSQL's own stop waits for it:
        # from this file it learns at once that the time which is left is the pod's grace.
        lifecycle=_run_before_stop("touch", STOPPING_MARK),
        resources=V1ResourceRequirements(
            requests={"cpu": "10m", "memory": "32Mi"}, limits={"memory": "256Mi"}
        ),
        security_context=restricted(),
        termination_message_policy="FallbackToLogsOnError",
        volume_mounts=volumes.sidecar_mounts(),
    )


def pull_policy(image: str, settings: Settings) -> str:
    """A digest means one image for ever; a tag may have moved since a node last asked."""
    return "IfNotPresent" if "@sha256:" in image else settings.postgres_pull_policy


def _is_ready(*, period: int, failures: int) -> V1Probe:
    """By the wire's name: the models' own keyword for `exec` is dropped without a word."""
    return V1Probe.model_validate(
        {
            "exec": {"command": ["pg_isready", "--quiet", f"--host={names.SOCKETS}"]},
            "periodSeconds": period,
            "timeoutSeconds": 5,
            "failureThreshold": failures,
        }
    )


def _run_before_stop(*command: str) -> V1Lifecycle:
    return V1Lifecycle.model_validate({"preStop": {"exec": {"command": list(command)}}})


def _environment() -> list[V1EnvVar]:
    """PGDATA for people who exec into the pod; LC_ALL so that no image's locale is needed."""
    return [
        V1EnvVar(name="PGDATA", value=names.PGDATA),
        V1EnvVar(name="PGHOST", value=names.SOCKETS),
        V1EnvVar(name="LC_ALL", value="C.UTF-8"),
    ]


def _resources(db: Database, settings: Settings) -> V1ResourceRequirements:
    """Memory is guaranteed; CPU is limited to the spec and requested at a share of it, so that
    idle databases can stand close. Always Burstable: a pod's QoS class may never change."""
    cpu, memory = db.spec.resources.cpu, db.spec.resources.memory
    millis = max(1, round(float(parse_quantity(cpu)) * 1000 * settings.cpu_request_ratio))
    return V1ResourceRequirements(
        requests={"cpu": f"{millis}m", "memory": memory}, limits={"cpu": cpu, "memory": memory}
    )


def user(db: Database) -> V1PodSecurityContext:
    """Whom all of the pod runs as, and whose its volumes are (Pod Security "restricted")."""
    uid = db.spec.pod_security.run_as_user
    return V1PodSecurityContext(
        run_as_user=uid,
        run_as_group=uid,
        run_as_non_root=True,
        fs_group=uid,
        fs_group_change_policy="OnRootMismatch",
        seccomp_profile=V1SeccompProfile(type="RuntimeDefault"),
    )


def restricted() -> V1SecurityContext:
    """Pod Security "restricted", and a root file system that cannot be written."""
    return V1SecurityContext(
        allow_privilege_escalation=False,
        read_only_root_filesystem=True,
        run_as_non_root=True,
        capabilities=V1Capabilities(drop=["ALL"]),
    )
