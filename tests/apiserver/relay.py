"""A relay between an operator and its API server: sees every request, and can be a bad network."""

from __future__ import annotations

import asyncio
import json
import ssl
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
from aiohttp import web
from yarl import URL

from node.control_plane import Plane

Body = dict[str, Any]
HOP = {"connection", "content-length", "host", "keep-alive", "transfer-encoding", "authorization"}
"""Headers that concern one connection, and the operator's word for who it is."""
TICK = 0.05


@dataclass
class Request:
    """One request of the operator's, as it came."""

    at: float
    """By the monotonic clock."""
    method: str
    path: str
    watch: bool
    body: bytes = b""
    status: int = 0
    """0: no answer."""

    @property
    def writes(self) -> bool:
        return self.method != "GET"

    @property
    def renews(self) -> bool:
        """The Lease: API priority and fairness keeps it apart from all else, and so do we."""
        return "/leases/" in self.path or self.path.endswith("/leases")

    def told_ready(self) -> str:
        """The status of the Ready condition where this writes a Database's status, else ""."""
        if not (self.path.endswith("/status") and "/databases/" in self.path):
            return ""
        conditions = json.loads(self.body)["status"].get("conditions", [])
        return next((str(c["status"]) for c in conditions if c["type"] == "Ready"), "")


@dataclass
class Relay:
    """`refuse` answers seconds for Retry-After where a request gets 429 instead of an answer."""

    upstream: str
    tls: ssl.SSLContext
    log: list[Request] = field(default_factory=list)
    refuse: Callable[[Request], int | None] = lambda _: None
    before: Callable[[Request], Awaitable[None]] | None = None
    """Done before a request is passed on: somebody else who was a moment faster."""
    watches_flow: asyncio.Event = field(default_factory=asyncio.Event)
    """Cleared, events are held back: answers overtake them."""
    dead: bool = False
    """Nobody listens: connections end without a word."""
    port: int = 0
    stood_still: float = 0.0
    """The longest time, in seconds, for which this process got to nothing: so late a request may
    be in the log."""
    _watches: dict[int, web.Request] = field(default_factory=dict)

    def cut_watches(self) -> int:
        """Ends every watch in the middle of a word; how many there were."""
        watches, self._watches = self._watches, {}
        for watch in watches.values():
            _cut(watch)
        return len(watches)

    @property
    def watched(self) -> frozenset[str]:
        """What is being watched now: the paths."""
        return frozenset(watch.path for watch in self._watches.values())

    @property
    def ever_watched(self) -> frozenset[str]:
        """A number of watches could be reached with one of them cut and another not open yet."""
        return frozenset(each.path for each in self.log if each.watch)

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[None]:
        self.watches_flow.set()
        connector = aiohttp.TCPConnector(ssl=self.tls, limit=0)
        # Bytes are handed on as they are; a watch may be silent for long.
        self._session = aiohttp.ClientSession(
            connector=connector,
            auto_decompress=False,
            timeout=aiohttp.ClientTimeout(total=None),
            trust_env=False,
        )
        app = web.Application(client_max_size=2**24)
        app.router.add_route("*", "/{path:.*}", self._answer)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", self.port)
        await site.start()
        self.port = int(runner.addresses[0][1])
        ticking = asyncio.create_task(self._tick())
        try:
            yield
        finally:
            await ended(ticking)
            self.cut_watches()
            await runner.cleanup()
            await self._session.close()

    async def _tick(self) -> None:
        while True:
            began = time.monotonic()
            await asyncio.sleep(TICK)
            self.stood_still = max(self.stood_still, time.monotonic() - began)

    async def _answer(self, asked: web.Request) -> web.StreamResponse:
        watch = asked.query.get("watch") == "true"
        body = await asked.read()
        request = Request(time.monotonic(), asked.method, asked.path, watch, body)
        self.log.append(request)
        if self.dead:
            return _cut(asked)
        wait = self.refuse(request)
        if wait is not None:
            request.status = 429
            return _too_many(wait)
        if self.before is not None:
            await self.before(request)
        try:
            return await self._pass_on(asked, request)
        except (aiohttp.ClientError, ConnectionError):
            return _cut(asked)
        finally:
            self._watches.pop(id(asked), None)

    async def _pass_on(self, asked: web.Request, request: Request) -> web.StreamResponse:
        url = URL(self.upstream + asked.raw_path, encoded=True)
        headers = {k: v for k, v in asked.headers.items() if k.lower() not in HOP}
        async with self._session.request(
            asked.method, url, headers=headers, data=request.body or None
        ) as live:
            request.status = live.status
            kept = {k: v for k, v in live.headers.items() if k.lower() not in HOP}
            if not request.watch:
                return web.Response(status=live.status, headers=kept, body=await live.read())
            answer = web.StreamResponse(status=live.status, headers=kept)
            await answer.prepare(asked)
            self._watches[id(asked)] = asked
            async for chunk in live.content.iter_any():
                await self.watches_flow.wait()
                await answer.write(chunk)
            return answer


def _cut(asked: web.Request) -> web.Response:
    if asked.transport is not None:
        asked.transport.abort()
    return web.Response(status=503)  # nobody is there to read it


def _too_many(wait: int) -> web.Response:
    message = "too many requests, please try again later"
    status = {"kind": "Status", "apiVersion": "v1", "reason": "TooManyRequests", "code": 429}
    return web.json_response(
        {**status, "message": message}, status=429, headers={"Retry-After": str(wait)}
    )


def relay_to(plane: Plane) -> Relay:
    """As its administrator."""
    client = plane.authority.client("admin", "admin", "system:masters")
    tls = ssl.create_default_context(cafile=str(plane.trust))
    tls.load_cert_chain(client.certificate, client.key)
    return Relay(plane.server, tls)


def kubeconfig(file: Path, relay: Relay) -> Path:
    """JSON is YAML."""
    name = "relay"
    content = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": name,
        "clusters": [{"name": name, "cluster": {"server": f"http://127.0.0.1:{relay.port}"}}],
        "users": [{"name": name, "user": {"token": "nobody-asks"}}],
        "contexts": [{"name": name, "context": {"cluster": name, "user": name}}],
    }
    file.write_text(json.dumps(content))
    return file


async def ended(task: asyncio.Task[None]) -> None:
    """Cancels it and waits until it is over."""
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task


def ahead(requests: list[Request], rate: float, since: float) -> float:
    """How many more there were, at worst, than a second's worth and `rate` a second since then.

    Whoever stands still makes a request late, never early: a count from a beginning is exact on any
    machine, one of any second is not.
    """
    moments = sorted(each.at for each in requests if each.at >= since)
    return max((n - rate * (1 + at - since) for n, at in enumerate(moments, 1)), default=0.0)


def unrenewed(requests: list[Request]) -> float:
    """The longest time after which one wrote that had last begun to renew its Lease, in seconds."""
    longest, renewed = 0.0, None
    for each in sorted(requests, key=lambda request: request.at):
        if each.renews and each.writes and each.status in (200, 201):
            renewed = each.at
        elif each.writes and not each.renews:
            assert renewed is not None, "a write before it had the Lease"
            longest = max(longest, each.at - renewed)
    return longest
