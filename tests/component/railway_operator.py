"""The operator's loop around the Railway platform, without Kubernetes: one Database, against the
double. What is observed, planned and executed is the product's own."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg

from component.patience import Patience
from component.railway_archives import archives, loads, restores
from component.railway_caller import Caller
from component.railway_loads import Cluster
from postbase_operator.api.backup import Backup
from postbase_operator.api.database import Database, DatabaseStatus
from postbase_operator.api.pitr_restore import PitrRestore
from postbase_operator.api.project import Project
from postbase_operator.errors import InvalidSpec, NotReady, PostbaseError, Unavailable
from postbase_operator.kube.cache import Cache
from postbase_operator.objectstore.settings import StoreConfig
from postbase_operator.planning import plan as steps
from postbase_operator.planning.database import Context, plan_database
from postbase_operator.planning.database_backups import NO_BACKUPS, Backups
from postbase_operator.planning.judgement import stalled
from postbase_operator.planning.observed import Observed
from postbase_operator.planning.status import finish
from postbase_operator.postgres import credentials
from postbase_operator.postgres.credentials import Credentials, Front
from postbase_operator.railway.graphql.budget import PRO, Budgets
from postbase_operator.railway.graphql.client import Client, Token, TokenKind
from postbase_operator.railway.graphql.reads import Place
from postbase_operator.railway.operations import Document
from postbase_operator.railway.platform import RailwayPlatform
from postbase_operator.settings import Settings
from railway.clock import VirtualClock
from railway.double import RailwayDouble
from railway.state import Deployment, Instance, Proxy, VolumeInstance
from unit.conftest import database

REGION = "europe-west4-drams3a"
PATIENCE = 90.0
EVERY = 0.1
CLUSTER = "c"
SETTLES = 3.0
"""In place of half a minute: the double is late by less, also where the test's process stands still
before it applies what was committed."""
LATER = timedelta(minutes=5)
"""The planner's clock goes before: a server that has just started is not restarted at once."""
SETTINGS = Settings(sidecar_image="i", railway_token="t")
PROJECT = Project.model_validate(
    {
        "metadata": {
            "name": "shop",
            "namespace": "team",
            "uid": "4b1e4f5c-0000-4000-8000-000000000001",
        }
    }
)


class Killed(BaseException):
    """Not caught anywhere: what it ends does nothing more."""


class MortalClient(Client):
    """Dies after its n-th request has been carried out, of those that count: by default all."""

    def __init__(self, *given: Any) -> None:
        super().__init__(*given)
        self.asked: list[str] = []
        self.dies_after = 0
        self.counts: Callable[[str], bool] = lambda _: True

    async def _data(self, document: Document, inputs: dict[str, Any], urgent: bool) -> Any:
        data = await super()._data(document, inputs, urgent)
        self.asked.append(document.name)
        counted = self.counts(document.name)
        if counted and sum(map(self.counts, self.asked)) == self.dies_after:
            raise Killed(document.name)
        return data


@dataclass
class Ring:
    """Implements railway.keyring.Keyring in memory: what survives the operator."""

    passwords: dict[str, str] = field(default_factory=dict)
    held: dict[str, Credentials] = field(default_factory=dict)
    fronts: dict[str, Front] = field(default_factory=dict)
    opens: dict[str, list[str]] = field(default_factory=dict)
    replications: dict[str, str] = field(default_factory=dict)

    async def replication(self, db: Database) -> str:
        return self.replications.setdefault(db.metadata.uid, credentials.new_password())

    async def superuser(self, db: Database, known: str = "") -> str:
        return self.passwords.setdefault(db.metadata.uid, known or credentials.new_password())

    async def credentials(self, db: Database, front: Front) -> Credentials:
        self.fronts[db.metadata.uid] = front
        return self.held.setdefault(db.metadata.uid, credentials.fresh())

    async def change(
        self, db: Database, front: Front, new: Callable[[Credentials], Credentials]
    ) -> Credentials:
        self.held[db.metadata.uid] = new(await self.credentials(db, front))
        return self.held[db.metadata.uid]

    async def keep(self, db: Database, volumes: Sequence[str]) -> None:
        self.opens[db.metadata.uid] = list(volumes)

    async def let_go(self, db: Database) -> None:
        self.held.pop(db.metadata.uid, None)
        self.passwords.pop(db.metadata.uid, None)


@dataclass
class Schedule:
    """Implements platforms.BackupSchedule by noting what it is asked for."""

    made: list[Backup] = field(default_factory=list)
    ended: list[str] = field(default_factory=list)
    databases: list[Database] = field(default_factory=list)

    async def take(
        self,
        db: Database,  # noqa: ARG002 - the Protocol's
        step: steps.CreateBackup | steps.ExpireBackup | steps.CreateDatabase,
    ) -> None:
        match step:
            case steps.CreateDatabase(database):
                self.databases.append(database)
            case steps.CreateBackup(backup):
                self.made.append(backup)
            case steps.ExpireBackup(name):
                self.ended.append(name)


@dataclass
class Operator:
    """One process of it: to start anew is to make another one with the same Ring."""

    client: MortalClient
    platform: RailwayPlatform
    ring: Ring
    double: RailwayDouble
    schedule: Schedule
    cache: Cache = field(default_factory=Cache)
    """What its archives know of the cluster: its Project."""
    backups: Backups = NO_BACKUPS
    """What the planner is told of them."""
    restores: tuple[PitrRestore, ...] = ()
    """Likewise."""
    refusals: list[str] = field(default_factory=list)
    """Why it had to wait, in order."""

    async def look(self, db: Database) -> tuple[Database, float]:
        """One run as the reconcile loop makes it; the seconds until the next."""
        seen = Observed()
        try:
            seen = await self.platform.observe(db)
            plan = plan_database(db, seen, self._context())
            await self.platform.execute(db, plan)
        except InvalidSpec as error:
            self.refusals.append(str(error))
            told = finish(db, seen, stalled(error.reason, str(error)), _now())
            return with_status(db, told.status), 0.2
        except PostbaseError as error:  # the queue comes again
            self.refusals.append(str(error))
            return db, 0.2
        return with_status(db, plan.status), min(plan.requeue_after or 0.2, 0.2)

    def _context(self) -> Context:
        return Context(PROJECT, SETTINGS, _now() + LATER, self.backups, self.restores)

    async def until(self, db: Database, done: Callable[[Database], bool]) -> Database:
        waiting = Patience(PATIENCE, EVERY)
        while True:
            db, again = await self.look(db)
            if done(db):
                return db
            assert not waiting.is_over(), (said(db), self.refusals[-3:])
            await self._pass(db, again)

    async def _pass(self, db: Database, seconds: float) -> None:
        """Of a clock that stands still, nothing while only PostgreSQL is waited for: so the same
        requests are sent in each run, however long its start takes."""
        clock = self.double.clock
        if isinstance(clock, VirtualClock) and said(db)[1] != "ServerUnreachable":
            await asyncio.to_thread(clock.advance, 0.5)
            if said(db)[1] in ("Filling", "Recovering"):  # also by processes, which take real time
                await asyncio.sleep(0.1)
        else:
            await asyncio.sleep(seconds)

    async def ready(self, db: Database) -> Database:
        return await self.until(db, is_ready)

    async def gone(self, db: Database, *, keep: bool = False) -> None:
        waiting = Patience(PATIENCE, EVERY)
        while True:
            try:
                if await self.platform.destroy(db, keep=keep):
                    return
            except (NotReady, Unavailable) as error:
                self.refusals.append(str(error))
            assert not waiting.is_over(), self.refusals[-3:]
            await asyncio.sleep(EVERY)

    def sql(self, db: Database, query: str, *, app: bool = False) -> list[tuple[Any, ...]]:
        """As superuser, or as the application by what its Secret says."""
        uid = db.metadata.uid
        front, login = self.ring.fronts[uid], self.ring.held[uid].login
        who: dict[str, Any] = {
            "user": "postgres",
            "password": self.ring.passwords[uid],
            "dbname": "postgres",
        }
        if app:
            who = {"user": login.user, "password": login.password, "dbname": "app"}
        with psycopg.connect(
            host=front.host, port=front.port, sslmode="require", autocommit=True, **who
        ) as connection:
            cursor = connection.execute(query.encode())
            return cursor.fetchall() if cursor.description else []


@asynccontextmanager
async def operator(
    double: RailwayDouble,
    place: Place,
    ring: Ring | None = None,
    dies_after: int = 0,
    store: StoreConfig | None = None,
    image: str = "",
    cluster: Cluster | None = None,
) -> AsyncIterator[Operator]:
    """`store`: where backups and the log go; None: there is no object store. `image`: our own.
    `cluster`: where Jobs run; None: none do."""
    ring, schedule = ring or Ring(), Schedule()
    cache = cluster.cache if cluster is not None else Cache()
    token = Token(TokenKind.WORKSPACE, double.token())
    async with MortalClient(token, Budgets(PRO), double.url) as client:
        client.dies_after = dies_after
        platform = RailwayPlatform(
            client,
            place,
            ring,
            archives(store, PROJECT, SETTINGS, _now, cache),
            lambda db: db.spec.region,
            CLUSTER,
            _now,
            schedule=schedule,
            archives=restores(store, SETTINGS, _now, cache),
            loads=loads(store, SETTINGS, _now, cache, cluster),
            image=image or f"{double.settings.operator_image}:1",
            settles=SETTLES,
            clock=double.clock.now,
        )
        yield Operator(client, platform, ring, double, schedule, cache)


def instances(double: RailwayDouble, place: Place) -> list[Instance]:
    found = double.world.state.instances.values()
    return [i for i in found if i.environment_id == place.environment_id and not i.deleted_at]


def volumes(double: RailwayDouble, place: Place) -> list[VolumeInstance]:
    found = double.world.state.volume_instances.values()
    return [v for v in found if v.environment_id == place.environment_id and not v.deleted_at]


def proxies(double: RailwayDouble, place: Place) -> list[Proxy]:
    found = double.world.state.proxies.values()
    return [p for p in found if p.environment_id == place.environment_id and not p.deleted_at]


def deployments(double: RailwayDouble, place: Place) -> list[Deployment]:
    found = double.world.state.deployments.values()
    return [d for d in found if d.environment_id == place.environment_id]


def new_place(double: RailwayDouble) -> Place:
    """An empty environment of a project of its own."""
    call = Caller(double, double.token())
    given = {"name": "team", "workspaceId": double.workspace_id, "prDeploys": False}
    made = call("CreateProject", input=given)
    return Place(made["id"], made["primaryEnvironmentId"])


def railway_database(**spec: Any) -> Database:
    small = {"resources": {"cpu": "500m", "memory": "256Mi"}, "region": REGION}
    return database(provider="Railway", **(small | {"postgresVersion": "17"} | spec))


def changed(db: Database, **spec: Any) -> Database:
    """The same with another spec, and the generation that follows."""
    body = db.to_wire()
    body["spec"] |= spec
    body["metadata"]["generation"] += 1
    return Database.model_validate(body)


def with_status(db: Database, status: DatabaseStatus) -> Database:
    return db.model_copy(update={"status": status})


def said(db: Database, kind: str = "Ready") -> tuple[str, str, str]:
    """Status, reason and message of a condition."""
    found = next((each for each in db.status.conditions if each.type == kind), None)
    return ("", "", "") if found is None else (found.status, found.reason, found.message)


def is_ready(db: Database) -> bool:
    return said(db)[0] == "True" and db.status.observed_generation == db.metadata.generation


def _now() -> datetime:
    return datetime.now(UTC)
