"""A service's deployments: what each comes to, its steps, its log and what it uses. PURE."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Any

from postbase_operator.railway.graphql.result import Result


class Standing(StrEnum):
    """What a deployment comes to."""

    COMING = "Coming"
    RUNNING = "Running"
    STOPPED = "Stopped"
    FAILED = "Failed"
    GONE = "Gone"


_STANDING = {
    "SUCCESS": Standing.RUNNING,
    "SLEEPING": Standing.STOPPED,
    "FAILED": Standing.FAILED,
    "CRASHED": Standing.FAILED,
    "SKIPPED": Standing.FAILED,
    "REMOVING": Standing.GONE,
    "REMOVED": Standing.GONE,
}
_ENDED = {"EXITED", "STOPPED", "REMOVED", "REMOVING", "SKIPPED"}


class Instance(Result):
    """A container of a deployment."""

    status: str = ""


class Deployment(Result):
    """One attempt to run a service; each change of image or variables takes a new one."""

    id: str
    status: str
    status_updated_at: datetime | None = None
    deployment_stopped: bool = False
    meta: Any = None
    instances: tuple[Instance, ...] = ()

    @property
    def standing(self) -> Standing:
        """SUCCESS alone says no more than that a container was started: one that has exited with 0
        keeps it. Running is no promise that PostgreSQL answers; that takes SQL."""
        standing = _STANDING.get(self.status, Standing.COMING)
        if standing is not Standing.RUNNING:
            return standing
        states = {instance.status for instance in self.instances}
        if self.deployment_stopped or (states and states <= _ENDED):
            return Standing.STOPPED
        return Standing.FAILED if states == {"CRASHED"} else Standing.RUNNING

    @property
    def image(self) -> str | None:
        """The image that it runs, which need not be the one that is configured by now."""
        image = self.meta.get("image") if isinstance(self.meta, dict) else None
        return image if isinstance(image, str) else None


class Payload(Result):
    error: str | None = None
    reason: str | None = None
    detail: str | None = None
    skipped: bool | None = None


class DeploymentStep(Result):
    """A step of a deployment, and what went wrong in it."""

    step: str
    created_at: datetime
    completed_at: datetime | None = None
    payload: Payload | None = None


class LogLine(Result):
    timestamp: str
    message: str
    severity: str | None = None


class Sample(Result):
    """`ts` in seconds since 1970."""

    ts: int
    value: float


class Measured(Result):
    """GB for memory and disk, processors for CPU_USAGE."""

    measurement: str
    values: tuple[Sample, ...] = ()
