"""The operator against the double on a clock that the test moves: no process runs, and no second is
waited for. PostgreSQL is what the double's own record says of it; all else is the product's."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext
from dataclasses import dataclass, field
from datetime import UTC, datetime
from random import Random
from typing import Any

from component.railway_archives import archives, loads, restores
from component.railway_operator import (
    CLUSTER,
    PROJECT,
    SETTINGS,
    Killed,
    Ring,
    Schedule,
    with_status,
)
from postbase_operator.api.database import Database
from postbase_operator.errors import Conflict, InvalidSpec, NotReady, PostbaseError, Unavailable
from postbase_operator.kube.cache import Cache
from postbase_operator.planning import plan as steps
from postbase_operator.planning.database import Context, plan_database
from postbase_operator.planning.judgement import reconciling, stalled
from postbase_operator.planning.observed import Observed, Server, ServerFacts
from postbase_operator.planning.status import finish
from postbase_operator.railway.graphql.budget import HOBBY, Budgets, Rates
from postbase_operator.railway.graphql.client import Client, Token, TokenKind
from postbase_operator.railway.graphql.models import TcpProxy
from postbase_operator.railway.graphql.reads import Place
from postbase_operator.railway.ground import Ground
from postbase_operator.railway.operations import Document
from postbase_operator.railway.platform import RailwayPlatform
from postbase_operator.railway.sql.servers import Servers, SqlStep, front
from railway.clock import VirtualClock
from railway.double import RailwayDouble
from railway.faults import Fault

LONGEST = 300.0
"""Seconds between two looks after many failures, as the operator's queue has it."""
REFUSED_AGAIN = 30.0
"""As in the reconcile loop, after what a person must change."""
DELETION_AGAIN = 2.0


@dataclass
class Disk:
    """What PostgreSQL keeps on a volume; the password is the one that it was made with."""

    password: str
    revision: str = ""
    access: bool = False


class Recorded(Servers):
    """A server answers where the double has a container of the service running behind a proxy."""

    def __init__(
        self,
        ring: Ring,
        now: Callable[[], datetime],
        double: RailwayDouble,
        disks: dict[str, Disk],
    ) -> None:
        super().__init__(ring, now)
        self._double, self._disks = double, disks

    async def _disk(self, ground: Ground, db: Database) -> tuple[Disk, ServerFacts] | None:
        """Of the server that runs, once the proxy leads there; None where nobody answers."""
        _, service = await ground.look(db)
        if service is None:
            return None
        where = (service.service_id, ground.place.environment_id)
        world = self._double.world
        proxy, volume = world.state.live_proxy(*where), world.state.volume_of(*where)
        process = world.running(*where)
        if proxy is None or proxy.needs_deploy or process is None or volume is None:
            return None
        made_with = (process.variables or {})["POSTGRES_PASSWORD"]
        disk = self._disks.setdefault(volume.volume_id, Disk(made_with))
        facts = ServerFacts(
            system_id=str(int(volume.volume_id.replace("-", "")[:15], 16)),
            version="17.6",
            started_at=datetime.fromtimestamp(process.created_at, UTC),
            in_recovery=False,
            loaded_revision=disk.revision,
            mounted_revision=disk.revision,
        )
        return disk, facts

    async def ask(
        self, ground: Ground, db: Database, proxy: TcpProxy | None
    ) -> tuple[Server | None, str]:
        if proxy is None:
            return await super().ask(ground, db, proxy)
        await self._keyring.credentials(db, front(proxy))
        found = await self._disk(ground, db)
        if found is None:
            return None, "PostgreSQL: connection refused"
        disk, facts = found
        if await self.superuser(ground, db) != disk.password:
            return None, "PostgreSQL: password authentication failed"
        return Server(facts, access_right=disk.access, lacks_database=not disk.access), ""

    async def take(self, ground: Ground, db: Database, step: SqlStep) -> None:
        found = await self._disk(ground, db)
        if found is None:
            raise NotReady("PostgreSQL does not answer", 2.0)
        match step:
            case steps.PokeConfig(revision):
                found[0].revision = revision
            case steps.SetUpAccess():
                found[0].access = True
            case _:
                raise AssertionError(f"a provision has no {step}")

    async def checkpoint(self, ground: Ground, db: Database) -> None:
        await self._disk(ground, db)


class SlowClient(Client):
    """Each request takes its time of the virtual clock; `before` and `after` may do anything."""

    def __init__(
        self, token: Token, budgets: Budgets, endpoint: str, pace: Callable[[], Awaitable[None]]
    ) -> None:
        super().__init__(token, budgets, endpoint)
        self._pace = pace
        self.before: Callable[[], None] = lambda: None
        self.after: Callable[[str], None] = lambda _: None
        self.wire: Callable[[], AbstractAsyncContextManager[None]] = nullcontext

    async def _send(self, *given: Any) -> Any:
        async with self.wire():
            return await super()._send(*given)

    async def _data(self, document: Document, inputs: dict[str, Any], urgent: bool) -> Any:
        self.before()
        try:
            return await super()._data(document, inputs, urgent)
        finally:
            await self._pace()
            self.after(document.name)


@dataclass
class Script:
    """What goes wrong, by the number of the request before which it is armed; and the deaths of
    operators, by the number of the request after which they come."""

    faults: dict[int, tuple[str, Fault]] = field(default_factory=dict)
    deaths: frozenset[int] = frozenset()
    sent: int = 0
    died: int = 0

    def arm(self, double: RailwayDouble) -> None:
        if self.sent in self.faults:
            double.next(*self.faults[self.sent])
        self.sent += 1

    def die(self, name: str) -> None:
        if self.sent in self.deaths:
            self.died += 1
            raise Killed(name)


@dataclass
class Site:
    """One environment, and what survives an operator: Secrets, and volumes with their data."""

    double: RailwayDouble
    place: Place
    token: str
    rates: Rates = HOBBY
    latency: tuple[float, float] = (0.05, 0.6)
    draw: Random = field(default_factory=lambda: Random(0))  # noqa: S311 - of times
    script: Script = field(default_factory=Script)
    ring: Ring = field(default_factory=Ring)
    disks: dict[str, Disk] = field(default_factory=dict)

    def now(self) -> datetime:
        return datetime.fromtimestamp(self.double.clock.now(), UTC)

    async def rest(self, seconds: float) -> None:
        assert isinstance(self.double.clock, VirtualClock)
        self.double.clock.advance(seconds)

    async def _pace(self) -> None:
        await self.rest(self.draw.uniform(*self.latency))

    @asynccontextmanager
    async def process(self) -> AsyncIterator[Process]:
        """One of the operator, from its start to its end."""
        clock = self.double.clock.now
        budgets = Budgets(self.rates, clock, self.rest, self.draw.random)
        token = Token(TokenKind.WORKSPACE, self.token)
        async with SlowClient(token, budgets, self.double.url, self._pace) as client:
            client.before = lambda: self.script.arm(self.double)
            client.after = self.script.die
            platform = RailwayPlatform(
                client,
                self.place,
                self.ring,
                archives(None, PROJECT, SETTINGS, self.now),
                lambda db: db.spec.region,
                CLUSTER,
                self.now,
                schedule=Schedule(),
                archives=restores(None, SETTINGS, self.now, Cache()),
                loads=loads(None, SETTINGS, self.now, Cache()),
                image=f"{self.double.settings.operator_image}:1",
                clock=clock,
                servers=Recorded(self.ring, self.now, self.double, self.disks),
            )
            yield Process(self, client, platform)


@dataclass
class Process:
    """The reconcile loop around the platform, without Kubernetes, as the operator's queue paces it:
    what fails is looked at again after 1, 2, 4 … seconds, or when the failure says."""

    site: Site
    client: SlowClient
    platform: RailwayPlatform
    failures: int = 0

    async def look(self, db: Database) -> tuple[Database, float]:
        """One run, its status, and the seconds until the next."""
        seen, phase = Observed(), db.status.phase or "Pending"
        try:
            seen = await self.platform.observe(db)
            plan = plan_database(db, seen, Context(PROJECT, SETTINGS, self.site.now()))
            phase = plan.status.phase or phase
            await self.platform.execute(db, plan)
        except InvalidSpec as error:
            self.failures = 0
            told = finish(db, seen, stalled(error.reason, str(error)), self.site.now())
            return with_status(db, told.status), REFUSED_AGAIN
        except Conflict as error:
            return db, self._again(error)
        except PostbaseError as error:
            verdict = reconciling(phase, type(error).__name__, str(error))
            told = finish(db, seen, verdict, self.site.now())
            return with_status(db, told.status), self._again(error)
        self.failures = 0
        return with_status(
            db, plan.status
        ), SETTINGS.resync_seconds if plan.requeue_after is None else plan.requeue_after

    async def destroy(self, db: Database) -> float | None:
        """None once the Database may go; otherwise the seconds until the next run."""
        try:
            gone = await self.platform.destroy(db)
        except PostbaseError as error:
            return self._again(error)
        self.failures = 0
        return None if gone else DELETION_AGAIN

    def _again(self, error: PostbaseError) -> float:
        self.failures += 1
        asked = error.retry_after if isinstance(error, NotReady | Unavailable) else None
        return max(asked or 0.0, min(LONGEST, 2.0 ** min(self.failures - 1, 20)))
