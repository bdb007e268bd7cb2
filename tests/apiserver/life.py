"""One Database's life on a real API server: what a user does, and what must be true afterwards."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from contextvars import ContextVar
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import psycopg
import pytest
from kubernetes.aio import client, config
from kubernetes.client import (
    ApiException,
    CoreV1Api,
    StorageV1Api,
    V1Namespace,
    V1ObjectMeta,
    V1ServiceAccount,
    V1StorageClass,
)

from apiserver.access import Api
from apiserver.controllers import STORAGE_CLASS, Controllers
from apiserver.interruptions import Client, Clock, Operator, Wire
from apiserver.loop import MANAGER, make, resource
from apiserver.postgres import Connection, Disk
from postbase_operator.api.database import Database
from postbase_operator.kube import admin
from postbase_operator.kube.budget import WriteBudget
from postbase_operator.kube.kinds import (
    DATABASE,
    PERSISTENT_VOLUME_CLAIM,
    Body,
)
from postbase_operator.kube.news import RESOURCES
from postbase_operator.kube.platform import CHILDREN
from postbase_operator.kube.session import Session
from postbase_operator.settings import Settings

NAME = "main"
CLAIM = f"{NAME}-1-1"
POD_NAME = f"{NAME}-1-0"
CREDENTIALS = f"{NAME}-credentials"
SECRETS = {CREDENTIALS, f"{NAME}-ca", f"{NAME}-tls"}
WATCHED = {*RESOURCES, *CHILDREN}
PATIENCE = 60.0
"""Seconds of the operator's time in which all is well again, whichever call goes wrong."""
LONGER = 3.0
"""Seconds after which what the operator has read of Secrets is no longer fresh."""


class Life:
    """A namespace with a Project and at most one Database, its controllers and its operator."""

    def __init__(self, api: Api, clock: Clock, settings: client.Configuration) -> None:
        self._api = api
        self._clock = clock
        self._changes = 0
        self.wire = Wire()
        self._client = Client(settings, self.wire, self._tell)
        self.session = Session(Client(settings, Wire(), self._tell), WriteBudget(1000))
        self.operator: Operator
        self.namespace = ""

    async def begin(self, namespace: str) -> None:
        """In a new namespace; leaves what is in the last one."""
        if self.namespace:
            await self.operator.stop()
        core = CoreV1Api(self._api.client)
        core.create_namespace(V1Namespace(metadata=V1ObjectMeta(name=namespace)))
        core.create_namespaced_service_account(namespace, default_account())
        self.namespace = namespace
        self.controllers = Controllers(self.session)
        await make(self.session, namespace)
        self.operator = self._new_operator()
        await self.operator.start()

    def _new_operator(self) -> Operator:
        """Nothing of the last one's but its connections."""
        chosen = Settings(sidecar_image="postbase:1", watch_namespaces=(self.namespace,), workers=1)
        session = Session(self._client, WriteBudget(1000))
        return Operator(session, self.namespace, chosen, wire=self.wire)

    def _tell(self, body: Body) -> None:
        self.controllers.tell(body)

    async def close(self) -> None:
        await self.operator.stop()
        await self._client.close()  # type: ignore[no-untyped-call]
        await self.session.close()

    async def connect(self, conninfo: str, *, autocommit: bool) -> Connection:
        assert autocommit

        async def send() -> Connection:
            if self.controllers.server is None:
                raise psycopg.OperationalError("connection refused")
            return self.controllers.server.connect(conninfo, self.wire)

        lost = psycopg.OperationalError("server closed the connection")
        return await self.wire.carry("connect", send, lost)

    # -- the passing of time -----------------------------------------------------------------

    async def until(self, condition: Callable[[], bool]) -> None:
        """Lets operator and controllers do what they do until neither has anything to do now and
        the condition holds; time passes only where all of them wait for it. Breaks no call after.
        """
        began = self._clock.time()
        while True:
            await self.operator.idle()
            if self.wire.dead:
                await self._replace_operator()
            elif not (await self.controllers.act() or self._deliver()):
                if condition() and not self.controllers.events:
                    self.wire.armed = False
                    return
                assert self._clock.time() - began < PATIENCE, self._told()
                if self.wire.in_flight:  # a task in the background would hear of a time-out
                    await asyncio.sleep(0)
                else:
                    await self._clock.pass_time()

    async def _replace_operator(self) -> None:
        await self.operator.stop()
        self.wire.dead = False
        self.operator = self._new_operator()
        await self.operator.start()

    def _deliver(self) -> bool:
        """What the operator's watches bring it."""
        if self._clock.time() < self.wire.deaf_until:
            return False
        events, self.controllers.events = self.controllers.events, []
        news = [event for event in events if event[0] in WATCHED]
        for kind, type_, body in news:
            self.operator.watcher.event(kind, type_, body)
        return bool(news)

    async def wait(self, seconds: float) -> None:
        over = self._clock.time() + seconds
        await self.until(lambda: self._clock.time() >= over)

    def _told(self) -> str:
        status = (self.controllers.one(DATABASE) or {}).get("status", {})
        return f"not well after {PATIENCE:.0f} s; the Database says {status}"

    # -- what a user does --------------------------------------------------------------------

    async def provision(self) -> None:
        self.controllers.passwords.clear()
        await self._apply({})

    async def adopt(self) -> None:
        await self._apply({"adoptVolume": CLAIM})

    async def _apply(self, more: Body) -> None:
        await self.apply(more)
        await self.until(self._is_settled)

    async def apply(self, more: Body) -> None:
        """What becomes of it is waited for elsewhere."""
        spec = {
            "projectRef": {"name": "shop"},
            "postgresVersion": "15",
            "storage": {"size": "1Gi", "storageClassName": STORAGE_CLASS},
            # None by itself while it is played, at whatever time of the day that is.
            "backup": {"schedule": half_a_day_away()},
            **more,
        }
        body = resource("Database", NAME, spec)
        await self.session.create(DATABASE, self.namespace, body, MANAGER)

    async def change(self) -> None:
        """All at once that needs no restart."""
        self._changes += 1
        odd = self._changes % 2 == 1
        spec = {
            "parameters": {"work_mem": f"{self._changes}MB"},
            "storage": {"size": f"{1 + self._changes}Gi"},
            "resources": {"cpu": "750m" if odd else "500m"},
            "disruptions": "Block" if odd else "Allow",
            "deletionProtection": odd,
        }
        await self.session.merge(DATABASE, self.namespace, NAME, {"spec": spec}, MANAGER)
        await self.until(self._is_settled)

    async def rotate(self) -> None:
        self._changes += 1
        value = f"number {self._changes}"
        patch = {"metadata": {"annotations": {"postbase.sh/request-rotate": value}}}
        await self.session.merge(DATABASE, self.namespace, NAME, patch, MANAGER)

        def rotated() -> bool:
            status = self.database["status"]
            return self._is_settled() and status.get("requests", {}).get("rotate") == value

        await self.until(rotated)

    async def delete(self, policy: str) -> None:
        spec = {"spec": {"deletionPolicy": policy}}
        await self.session.merge(DATABASE, self.namespace, NAME, spec, MANAGER)
        gone = self._api.delete(DATABASE.plural, self.namespace, NAME)
        self.controllers.tell(gone)
        await self.until(lambda: self.controllers.one(DATABASE) is None)

    # -- what is there -----------------------------------------------------------------------

    @property
    def database(self) -> Body:
        return self.controllers.objects[DATABASE, NAME]

    @property
    def claim(self) -> Body:
        return self.controllers.objects[PERSISTENT_VOLUME_CLAIM, CLAIM]

    @property
    def disk(self) -> Disk:
        return self.controllers.disks[self.claim["metadata"]["uid"]]

    @property
    def is_alive(self) -> bool:
        return self.controllers.one(DATABASE) is not None

    @property
    def is_kept(self) -> bool:
        return not self.is_alive and self.controllers.one(PERSISTENT_VOLUME_CLAIM) is not None

    def _is_settled(self) -> bool:
        db = Database.model_validate(self.database)
        ready = {c.type: c.status for c in db.status.conditions}.get("Ready") == "True"
        if not ready or db.status.observed_generation != db.metadata.generation:
            return False
        volume = db.status.volume
        return volume is not None and volume.capacity == db.spec.storage.size


def half_a_day_away() -> str:
    return f"{datetime.now(UTC) + timedelta(hours=12):%M %H} * * *"


LIFE: ContextVar[Life] = ContextVar("LIFE")


async def connect(conninfo: str, *, autocommit: bool) -> Connection:
    """In the place of psycopg's."""
    return await LIFE.get().connect(conninfo, autocommit=autocommit)


@pytest.fixture
def worlds_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    """No PostgreSQL is asked but a Life's own, and no time counts but that of its clock."""
    monkeypatch.setattr(psycopg.AsyncConnection, "connect", connect)
    now = SimpleNamespace(monotonic=lambda: asyncio.get_running_loop().time())
    monkeypatch.setattr(admin, "time", now)


@asynccontextmanager
async def living(api: Api) -> AsyncIterator[Life]:
    offer_growing_volumes(api)
    settings = client.Configuration()
    await config.load_kube_config(str(api.kubeconfig), client_configuration=settings)
    # Else each request asks two threads for a netrc file and a proxy.
    settings.client_session_kwargs = {"trust_env": False}
    clock = asyncio.get_running_loop()
    assert isinstance(clock, Clock)
    life = Life(api, clock, settings)
    LIFE.set(life)
    clock.join()
    try:
        yield life
    finally:
        clock.leave()
        await life.close()


def default_account() -> V1ServiceAccount:
    """What a controller makes in each namespace, where none runs."""
    return V1ServiceAccount(metadata=V1ObjectMeta(name="default"))


def offer_growing_volumes(api: Api) -> None:
    """The StorageClass that a Life's volumes are of, where no test has made it yet."""
    body = V1StorageClass(
        metadata=V1ObjectMeta(name=STORAGE_CLASS),
        provisioner="example.com/none",
        allow_volume_expansion=True,
    )
    try:
        StorageV1Api(api.client).create_storage_class(body)
    except ApiException as error:
        if error.status != 409:
            raise
