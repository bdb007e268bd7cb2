"""What is seen of an environment: one look serves all Databases in it, until we change something.

The budget is a thousand requests an hour on the common plan. So a look counts for as long as half
of that allows, and what no look at the environment shows (variables, limits) for ten minutes: both
for longer where others send with the same token. While Railway turns us away, or the rest of a
window is for changes, what was seen last counts on: PostgreSQL is asked by itself, and one that
serves is not called unready for a look that we did not get.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import TypeVar

from postbase_operator.errors import NotReady, Throttled
from postbase_operator.railway.graphql import models, reads
from postbase_operator.railway.graphql.budget import Reserved
from postbase_operator.railway.graphql.client import Client
from postbase_operator.railway.graphql.faults import NotFound
from postbase_operator.railway.graphql.models import EnvironmentState
from postbase_operator.railway.graphql.reads import Place
from postbase_operator.railway.plans import Plan, plan_of

NOTED = 600.0
"""Seconds for which variables, limits, regions and the plan count as they were read."""
TURNED_AWAY = (Reserved, Throttled)
LONGEST_NOTED = 3600.0
"""Likewise, however many others send with the token."""
YOUNG = 2.0

Note = TypeVar("Note")


@dataclass(slots=True)
class Sight:
    """Of one environment. `clock` is monotonic, in seconds."""

    client: Client
    place: Place
    clock: Callable[[], float] = time.monotonic
    _state: EnvironmentState | None = None
    _read_at: float = 0.0
    _watched: set[str] = field(default_factory=set)
    _variables: dict[str, tuple[float, dict[str, str]]] = field(default_factory=dict)
    _limits: dict[str, tuple[float, models.Limits | None]] = field(default_factory=dict)
    _plan: tuple[float, Plan] | None = None
    _reading: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def look(
        self, name: str, *, fresh: bool = False, kin: Callable[[str], bool] = lambda _: False
    ) -> EnvironmentState:
        """The environment, with the proxies of the service of this name, and of those whose names
        are `kin`. `fresh`: as it is now, for what must not be done twice."""
        async with self._reading:  # those that come meanwhile are served by this one
            state = self._state
            if state is None or fresh or self.clock() - self._read_at >= self.client.budget.pace:
                state = await self._read_or(state, urgent=fresh)
            found = {
                each.service_id
                for each in state.services
                if each.deleted_at is None and (each.service_name == name or kin(each.service_name))
            }
            if not found <= self._watched:
                self._watched |= found
                state = await self._read(urgent=fresh)
            return state

    async def _read_or(self, seen: EnvironmentState | None, *, urgent: bool) -> EnvironmentState:
        try:
            return await self._read(urgent=urgent)
        except TURNED_AWAY:
            if urgent or seen is None:  # or we have changed something since
                raise
            return seen

    async def _read(self, *, urgent: bool) -> EnvironmentState:
        asked = sorted(self._watched)
        state = await reads.environment(self.client, self.place, asked, urgent=urgent)
        self._watched &= {each.service_id for each in state.services if each.deleted_at is None}
        self._state, self._read_at = state, self.clock()
        return state

    def changed(self, service_id: str = "") -> None:
        """Something of it is another now: the next look asks Railway."""
        self._state = None
        self._variables.pop(service_id, None)
        self._limits.pop(service_id, None)

    async def variables(self, service_id: str, *, fresh: bool = False) -> dict[str, str]:
        """As they were written. NotReady for those of a service that was made a moment ago.
        `fresh`: as they are now."""
        if fresh:
            self._variables.pop(service_id, None)
        return await self._noted(service_id, self._variables, reads.variables)

    async def limits(self, service_id: str) -> models.Limits | None:
        return await self._noted(service_id, self._limits, reads.limits)

    async def _noted(
        self,
        service_id: str,
        notes: dict[str, tuple[float, Note]],
        read: Callable[[Client, Place, str], Awaitable[Note]],
    ) -> Note:
        held = notes.get(service_id)
        if held is None or self.clock() >= held[0]:
            try:
                note = await read(self.client, self.place, service_id)
            except NotFound as error:
                raise NotReady(str(error), YOUNG) from error
            except TURNED_AWAY:
                if held is None:
                    raise
                return held[1]
            held = notes[service_id] = (self._until(), note)
        return held[1]

    def _until(self) -> float:
        """How long what is read now counts, by the clock."""
        return self.clock() + min(LONGEST_NOTED, NOTED * self.client.budget.crowd)

    async def plan(self) -> Plan:
        """What the workspace pays for, and so may have."""
        if self._plan is None or self.clock() >= self._plan[0]:
            project = await reads.project(self.client, self.place.project_id)
            self._plan = (self._until(), plan_of(project.subscription_type))
        return self._plan[1]

    async def regions(self) -> tuple[models.Region, ...]:
        return await reads.regions(self.client, self.place.project_id)
