"""The gateway process: what is started, in which order, and what ends it.

Ready once every watch has shown all that there is; then it serves on, whatever happens to the
Kubernetes API: reads from what it holds, writes with 503.
"""

from __future__ import annotations

import asyncio
import logging
import signal
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from postbase_operator import metrics
from postbase_operator.gateway import logs, openapi, reference
from postbase_operator.gateway.addresses import Addresses
from postbase_operator.gateway.answers import Server
from postbase_operator.gateway.buckets import Buckets
from postbase_operator.gateway.call import Services
from postbase_operator.gateway.callers import Callers
from postbase_operator.gateway.device_flow import DeviceFlow
from postbase_operator.gateway.downloads import Stores
from postbase_operator.gateway.index import Index
from postbase_operator.gateway.informer import Feed
from postbase_operator.gateway.limiter import PATH, Alone, Members, Shared
from postbase_operator.gateway.routes import ROUTES
from postbase_operator.gateway.server import Gateway
from postbase_operator.gateway.settings import GatewaySettings
from postbase_operator.gateway.sidecars import Sidecars
from postbase_operator.gateway.writes import Writer
from postbase_operator.kube.budget import WriteBudget
from postbase_operator.kube.kinds import (
    ACCOUNT,
    API_TOKEN,
    BACKUP,
    DATABASE,
    ENDPOINT_SLICE,
    PITR_RESTORE,
    PROJECT,
    Kind,
)
from postbase_operator.kube.session import Listing, Session

logger = logging.getLogger(__name__)
WRITES_PER_SECOND = 100.0
FLUSH_SECONDS = 30.0
DRAIN_SECONDS = 10.0
SERVICE_LABEL = "kubernetes.io/service-name"


def main(settings: GatewaySettings) -> int:
    logs.configure(settings.log_level)
    return asyncio.run(run(settings))


async def run(settings: GatewaySettings) -> int:
    """Until SIGTERM or SIGINT; 0."""
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    session = await Session.login(WriteBudget(WRITES_PER_SECOND))
    index, members = Index(), Members()
    buckets = Buckets(time.monotonic)
    shared = sharing(settings, buckets, members)
    feeds = feeds_of(settings, index, members)
    services = services_of(settings, session, index)
    gateway = Gateway(services, ROUTES, shared or Alone(buckets), Addresses(settings.proxies()))
    metrics.GATEWAY_STALE.set_function(lambda: sum(not feed.current for feed in feeds))
    tasks = [asyncio.create_task(feed.follow(session)) for feed in feeds]
    tasks.append(asyncio.create_task(_flush(services.callers)))
    inner = await _internal(settings, feeds, stop, shared)
    outer = await _serve(gateway, settings.port)
    logger.info("started", extra={"port": settings.port, "sign_in": settings.sign_in})
    ended = asyncio.create_task(stop.wait())
    done, _ = await asyncio.wait([ended, *tasks], return_when=asyncio.FIRST_COMPLETED)
    await outer.cleanup()
    await services.callers.flush()
    for task in (ended, *tasks):
        task.cancel()
    await asyncio.gather(ended, *tasks, return_exceptions=True)
    await inner.cleanup()
    if shared is not None:
        await shared.close()
    await session.close()
    for task in done - {ended}:
        task.result()  # an error of ours: told, and the pod starts anew
    logger.info("stopped")
    return 0


def services_of(settings: GatewaySettings, session: Session, index: Index) -> Services:
    def now() -> datetime:
        return datetime.now(UTC)

    return Services(
        settings=settings,
        index=index,
        session=session,
        writer=Writer(session, index),
        callers=Callers(index, session, settings.namespace, now),
        device_flow=DeviceFlow(settings),
        sidecars=Sidecars(session),
        stores=Stores(session),
        now=now,
        openapi=openapi.text().encode(),
        reference=reference.page(ROUTES).encode(),
    )


def sharing(settings: GatewaySettings, buckets: Buckets, members: Members) -> Shared | None:
    """None where it is told of no address of its own, or of no key."""
    if not settings.pod_ip or not settings.peer_key_file:
        return None
    key, address = Path(settings.peer_key_file), settings.pod_ip
    host = f"[{address}]" if ":" in address else address
    me = f"{host}:{settings.internal_port}"
    return Shared(buckets, members, me, secret=partial(_key, key))


def _key(file: Path) -> bytes:
    try:
        return file.read_bytes().strip()
    except OSError:
        return b""


def feeds_of(settings: GatewaySettings, index: Index, members: Members) -> list[Feed]:
    def of(kind: Kind, namespace: str | None = None) -> Feed:
        def listed(listing: Listing) -> None:
            index.replace(kind, listing.items, listing.version)

        return Feed(kind, listed, partial(index.put, kind), index.drop, namespace)

    # Accounts before what is in them: a token must not be known before whom it speaks for.
    everywhere = [of(kind) for kind in (ACCOUNT, PROJECT, DATABASE, BACKUP, PITR_RESTORE)]
    slices = Feed(
        ENDPOINT_SLICE,
        lambda listing: members.replace(listing.items),
        members.put,
        members.drop,
        settings.namespace,
        labels=f"{SERVICE_LABEL}={settings.service}",
    )
    replicas = [slices] if settings.pod_ip and settings.peer_key_file else []
    return [*everywhere, of(API_TOKEN, settings.namespace), *replicas]


async def _flush(callers: Callers) -> None:
    while True:
        await asyncio.sleep(FLUSH_SECONDS)
        await callers.flush()


async def _serve(gateway: Gateway, port: int) -> web.ServerRunner:
    runner = web.ServerRunner(Server(gateway.answer), shutdown_timeout=DRAIN_SECONDS)
    await runner.setup()
    await web.TCPSite(runner, port=port).start()
    return runner


async def _internal(
    settings: GatewaySettings, feeds: list[Feed], stop: asyncio.Event, shared: Shared | None
) -> web.AppRunner:
    """What the kubelet, Prometheus and other replicas ask, on a port of its own."""

    def unready() -> str:
        if stop.is_set():
            return "it is going"
        return ", ".join(feed.kind.plural for feed in feeds if not feed.synced.is_set())

    app = web.Application(client_max_size=4096)
    app.router.add_get("/livez", _probe(str))
    app.router.add_get("/readyz", _probe(unready))
    app.router.add_get("/metrics", _metrics)
    if shared is not None:
        app.router.add_post(PATH, shared.answer)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, port=settings.internal_port).start()
    return runner


def _probe(question: Callable[[], str]) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
    async def answer(_request: web.Request) -> web.StreamResponse:
        trouble = question()
        return web.Response(text=trouble or "ok", status=503 if trouble else 200)

    return answer


async def _metrics(_request: web.Request) -> web.Response:
    return web.Response(body=generate_latest(), headers={"Content-Type": CONTENT_TYPE_LATEST})
