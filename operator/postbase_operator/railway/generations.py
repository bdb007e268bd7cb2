"""The services of one Database: what serves, what is filled beside it, what it has replaced. PURE.

A service has one volume, and a volume cannot be exchanged below a server that runs. So a restore in
place makes another service, of the next generation, and the Database then points at that one. Which
is which stands in their variables. A switch writes two marks, one after the other: two services may
say that they are the current one, and the higher generation counts; the other one is leaving. It is
the Database to its clients until nothing of it runs any more, and nothing can be started of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from postbase_operator.planning.observed import VolumeRole
from postbase_operator.railway import fill_service
from postbase_operator.railway.graphql.deployments import Deployment
from postbase_operator.railway.graphql.models import ServiceInstance

FENCE = "postbase-fenced"
"""The start command of what was replaced: no program, so that no deployment of it, whoever makes
one, is a PostgreSQL that clients of before could write to."""
_OVER = frozenset({"REMOVED", "FAILED", "SKIPPED"})
_ENDED = frozenset({"EXITED", "STOPPED", "REMOVED", "SKIPPED", "CRASHED"})
"""Not REMOVING: until the drain is over PostgreSQL writes on."""


@dataclass(frozen=True, slots=True)
class Part:
    """A service of the Database, with what its variables say."""

    service: ServiceInstance
    variables: Mapping[str, str]

    @property
    def service_id(self) -> str:
        return self.service.service_id

    @property
    def role(self) -> VolumeRole:
        return fill_service.role(self.variables)

    @property
    def generation(self) -> int:
        return fill_service.generation(self.variables)

    @property
    def restore(self) -> str:
        return self.variables.get(fill_service.RESTORE, "")

    @property
    def keep_until(self) -> datetime | None:
        return fill_service.keep_until(self.variables)

    @property
    def has_fence(self) -> bool:
        """Whatever is deployed of it from now on is no PostgreSQL."""
        return self.service.start_command == FENCE

    @property
    def is_fenced(self) -> bool:
        """Nothing of it runs, and nothing will."""
        return self.has_fence and has_ended(self.service)

    @property
    def restartable(self) -> str:
        """The deployment that a person could restart as it was, past the fence; "" where none."""
        latest = self.service.latest_deployment
        there = latest is not None and latest.status not in (*_OVER, "REMOVING")
        return latest.id if latest is not None and there else ""


@dataclass(frozen=True, slots=True)
class Family:
    """All of one Database, by generation. `owner`: its UID."""

    parts: tuple[Part, ...]
    owner: str

    @property
    def current(self) -> Part | None:
        """As the planner has it: the highest generation that says so."""
        marked = [each for each in self.parts if each.role is VolumeRole.CURRENT]
        return marked[-1] if marked else None

    @property
    def leaving(self) -> tuple[Part, ...]:
        """Replaced by the current one, and not marked so yet."""
        return tuple(
            each
            for each in self.parts
            if each.role is VolumeRole.CURRENT and each is not self.current
        )

    @property
    def previous(self) -> tuple[Part, ...]:
        return tuple(each for each in self.parts if each.role is VolumeRole.PREVIOUS)

    @property
    def filling(self) -> Part | None:
        marked = [each for each in self.parts if each.role is VolumeRole.FILLING]
        return marked[-1] if marked else None

    @property
    def front(self) -> Part | None:
        """The one that the Database is to all others: clients, receiver, backups. What is leaving,
        until it is fenced: never do two accept writes as the Database. One that begins with a
        backup is its own from the first moment on; what is filled in place is not."""
        writes = [each for each in self.leaving if not each.is_fenced]
        if writes:
            return writes[-1]
        if self.current is not None:
            return self.current
        begins = self.filling
        return begins if begins is not None and begins.restore == self.owner else None

    @property
    def is_switching(self) -> bool:
        return self.front is not None and self.front in self.leaving

    @property
    def highest(self) -> int:
        return max((each.generation for each in self.parts), default=0)

    def of_service(self, service_id: str) -> Part | None:
        return next((each for each in self.parts if each.service_id == service_id), None)


def family(parts: list[Part], owner: str) -> Family:
    ordered = sorted(parts, key=lambda each: (each.generation, each.service_id))
    return Family(tuple(ordered), owner)


def has_ended(service: ServiceInstance) -> bool:
    """No process of it writes any more, as far as Railway tells. Its latest deployment may have
    failed beside an older one that runs on."""
    latest = service.latest_deployment
    if latest is not None and not _is_over(latest):
        return False
    others = [each for each in service.active_deployments if latest is None or each.id != latest.id]
    return all(each.status in _OVER for each in others)


def _is_over(deployment: Deployment) -> bool:
    if deployment.status in _OVER:
        return True
    states = {each.status for each in deployment.instances}
    if deployment.deployment_stopped:
        return states <= _ENDED
    return bool(states) and states <= _ENDED and deployment.status not in ("CRASHED", "REMOVING")
