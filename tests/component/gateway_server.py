"""The gateway's HTTP in the process of the test: real sockets, no Kubernetes behind it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, cast
from uuid import UUID

from aiohttp import web

from postbase_operator.api.account import Plan
from postbase_operator.api.api_token import ApiToken
from postbase_operator.gateway import process, tokens
from postbase_operator.gateway.addresses import Addresses
from postbase_operator.gateway.answers import Server
from postbase_operator.gateway.buckets import Buckets
from postbase_operator.gateway.call import Services
from postbase_operator.gateway.index import Index
from postbase_operator.gateway.limiter import Alone
from postbase_operator.gateway.route import Route
from postbase_operator.gateway.routes import ROUTES
from postbase_operator.gateway.server import Gateway
from postbase_operator.gateway.settings import GatewaySettings
from postbase_operator.kube.kinds import ACCOUNT, API_TOKEN, PROJECT, Body, Kind
from postbase_operator.kube.refusals import AlreadyExists, NotFound
from postbase_operator.kube.session import Session

NAMESPACE = "user-one"


@dataclass
class Cluster:
    """In Session's place: objects in a dictionary, and whatever is to go wrong."""

    objects: dict[tuple[str, str | None, str], Body] = field(default_factory=dict)
    fails: Exception | None = None
    writes: list[Body] = field(default_factory=list)
    asked: int = 0

    async def get(self, kind: Kind, namespace: str | None, name: str) -> Body:
        self.asked += 1
        if self.fails is not None:
            raise self.fails
        try:
            return self.objects[kind.kind, namespace, name]
        except KeyError:
            raise NotFound(name) from None

    async def find(self, kind: Kind, namespace: str | None, name: str) -> Body | None:
        return self.objects.get((kind.kind, namespace, name))

    async def create(self, kind: Kind, namespace: str | None, body: Body, _: str) -> Body:
        if self.fails is not None:
            raise self.fails
        key = (kind.kind, namespace, body["metadata"]["name"])
        if key in self.objects:
            raise AlreadyExists("there")
        number = len(self.objects) + 100
        made = {
            "uid": str(UUID(int=number)),
            "resourceVersion": str(number),
            "creationTimestamp": "2026-01-20T10:00:00Z",
            "generation": 1,
        }
        live = {**body, "metadata": {**body["metadata"], **made}}
        self.objects[key] = live
        self.writes.append(live)
        return live

    async def apply(self, kind: Kind, body: Body, *_: Any, **__: Any) -> Body:
        if self.fails is not None:
            raise self.fails
        meta = body["metadata"]
        key = (kind.kind, meta.get("namespace"), meta["name"])
        held = self.objects[key]
        spec = {**held["spec"], **body.get("spec", {})}
        live = {**held, "spec": spec}
        self.objects[key] = live
        self.writes.append(body)
        return live

    async def delete(
        self, kind: Kind, namespace: str | None, name: str, *_: Any, **__: Any
    ) -> None:
        self.objects.pop((kind.kind, namespace, name), None)


def account(plan: Plan = Plan.PRO, number: int = 1, **spec: Any) -> Body:
    return {
        "metadata": {
            "name": f"account-{number}",
            "uid": str(UUID(int=number)),
            "resourceVersion": "1",
            "creationTimestamp": "2026-01-20T10:00:00Z",
        },
        "spec": {"login": f"user-{number}", "plan": plan.value, **spec},
        "status": {"namespace": NAMESPACE},
    }


def token_object(token: str, number: int = 1, **spec: Any) -> Body:
    digest = tokens.digest(token)
    return {
        "metadata": {
            "name": ApiToken.name_of(digest),
            "namespace": "postbase-system",
            "uid": str(UUID(int=1000 + number)),
            "resourceVersion": "1",
        },
        "spec": {"digest": digest, "accountRef": {"name": f"account-{number}"}, **spec},
    }


def project(number: int) -> Body:
    return {
        "metadata": {
            "name": f"project-{number}",
            "namespace": NAMESPACE,
            "uid": str(UUID(int=5000 + number)),
            "resourceVersion": "1",
            "creationTimestamp": f"2026-01-20T10:00:{number % 60:02}Z",
        },
        "spec": {},
    }


@dataclass
class Running:
    port: int
    index: Index
    cluster: Cluster
    services: Services
    token: str

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.token}"}


@asynccontextmanager
async def gateway(
    settings: GatewaySettings | None = None,
    routes: tuple[Route, ...] = ROUTES,
    plan: Plan = Plan.PRO,
    buckets: Buckets | None = None,
) -> AsyncIterator[Running]:
    settings = settings or GatewaySettings(regions=("us-west1",))
    index, cluster = Index(), Cluster()
    services = process.services_of(settings, cast(Session, cluster), index)
    token = tokens.new_token()
    buckets = Buckets(time.monotonic) if buckets is None else buckets
    index.put(ACCOUNT, account(plan))
    index.put(API_TOKEN, token_object(token))
    for number in range(5):
        index.put(PROJECT, project(number))
    answering = Gateway(services, routes, Alone(buckets), Addresses(settings.proxies()))
    runner = web.ServerRunner(Server(answering.answer), shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield Running(int(runner.addresses[0][1]), index, cluster, services, token)
    finally:
        await runner.cleanup()
        await asyncio.sleep(0)
