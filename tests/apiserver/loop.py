"""The operator's loop on a real API server, in this process and without its watches.

Session, cache, watcher, queue, reconciler and platform are the product's own. What is missing is
kopf: nothing reaches the cache but our own writes and what `list_everything` brings. So this is
what the loop is in the middle of a watch gap.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from typing import TypeVar

from kubernetes.aio import client, config

from apiserver.access import Api
from postbase_operator.handlers.keys import Key
from postbase_operator.handlers.process import REST
from postbase_operator.handlers.queue import WorkQueue
from postbase_operator.handlers.reconcile import Reconciler, now
from postbase_operator.handlers.watcher import Watcher
from postbase_operator.kube.budget import WriteBudget
from postbase_operator.kube.cache import Cache
from postbase_operator.kube.kinds import DATABASE, POSTBASE, PROJECT, Body
from postbase_operator.kube.platform import KubePlatform
from postbase_operator.kube.session import Session
from postbase_operator.settings import Settings

MANAGER = "test"
EVERY = 0.03
"""Seconds between two looks."""
T = TypeVar("T")


@dataclass
class Loop:
    """What lives as long as an operator process leads."""

    session: Session
    namespace: str
    settings: Settings
    cache: Cache = field(default_factory=Cache)
    runs: Counter[Key] = field(default_factory=Counter)
    """Reconciles that ended, by key."""
    begun: list[Key] = field(default_factory=list)
    """Reconciles in the order in which they began."""

    def __post_init__(self) -> None:
        platform = KubePlatform(self.session, self.cache, self.settings, now)
        self._reconciler = Reconciler(self.session, self.cache, platform, self.settings, "test")
        self.queue = WorkQueue[Key](self._run, workers=self.settings.workers, rest=REST)
        self.watcher = Watcher(self.session, self.cache, self.queue, (self.namespace,))

    async def _run(self, key: Key) -> float | None:
        self.begun.append(key)
        try:
            return await self._reconciler.run(key)
        finally:
            self.runs[key] += 1

    def key(self, name: str) -> Key:
        return Key(DATABASE.kind, self.namespace, name)

    async def reconciled(self, name: str) -> None:
        """Asks for a run and waits for its end."""
        before = self.runs[self.key(name)]
        self.queue.add(self.key(name))
        await until(lambda: self.runs[self.key(name)] > before, f"{name} was looked at")


@contextlib.asynccontextmanager
async def session(api: Api, kind: type[Session] = Session) -> AsyncIterator[Session]:
    settings = client.Configuration()
    await config.load_kube_config(str(api.kubeconfig), client_configuration=settings)
    made = kind(client.ApiClient(settings), WriteBudget(1000))
    yield made
    await made.close()


@contextlib.asynccontextmanager
async def running(session: Session, namespace: str, *, workers: int = 4) -> AsyncIterator[Loop]:
    """The queue at work, after a first listing as at the operator's start."""
    settings = Settings(sidecar_image="postbase:1", watch_namespaces=(namespace,), workers=workers)
    loop = Loop(session, namespace, settings)
    await loop.watcher.list_everything()
    working = asyncio.create_task(loop.queue.run())
    yield loop
    working.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await working


async def until(condition: Callable[[], object], what: str, *, seconds: float = 30) -> None:
    """Waits for what this very process is about to do."""

    async def probe() -> object:
        return condition()

    await eventually(probe, what, seconds=seconds)


async def eventually(
    probe: Callable[[], Awaitable[T | None]], what: str, *, seconds: float = 30
) -> T:
    """The probe's first true answer. It is given up once the seconds have passed and enough looks
    were taken in them: a machine that stands still for all of them costs one look."""
    ends, looks = time.monotonic() + seconds, seconds / EVERY / 2
    while not (answer := await probe()):
        looks -= 1
        assert looks > 0 or time.monotonic() < ends, f"{what}: not so after {seconds:.0f} s"
        await asyncio.sleep(EVERY)
    return answer


async def make(session: Session, namespace: str, *databases: str) -> None:
    """A Project and Databases in it, as a user applies them."""
    await session.create(PROJECT, namespace, resource("Project", "shop", {}), MANAGER)
    for name in databases:
        await session.create(DATABASE, namespace, database(name), MANAGER)


def database(name: str) -> Body:
    spec = {
        "projectRef": {"name": "shop"},
        "postgresVersion": "15",
        "storage": {"size": "1Gi"},
    }
    return resource("Database", name, spec)


def resource(kind: str, name: str, spec: Body) -> Body:
    return {"apiVersion": POSTBASE, "kind": kind, "metadata": {"name": name}, "spec": spec}
