"""An operator whose n-th call goes wrong, and a clock that waits for nobody.

A call is a request to the API server, a session with PostgreSQL that is opened, or a statement that
changes something there. What breaks is the wire: session, cache, watcher, queue, reconciler and
platform above it are the product's own.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from enum import Enum
from typing import Any, TypeVar
from urllib.parse import urlsplit

import aiohttp
from kubernetes.aio import client
from kubernetes.aio.client.rest import RESTResponse

from apiserver.loop import Loop
from postbase_operator.handlers.keys import Key
from postbase_operator.handlers.reconcile import Reconciler, now
from postbase_operator.kube.kinds import DATABASE, Body
from postbase_operator.kube.platform import KubePlatform

T = TypeVar("T")
STEP = 0.25
DEAF = 2.0
"""Seconds without watches: the first repetition, after 1 to 1.5, knows of nothing."""


class Clock(asyncio.SelectorEventLoop):
    """An event loop whose time passes only when all that live by it have nothing else to do: a
    back-off costs nothing, and how fast this machine is decides about no call."""

    def __init__(self) -> None:
        super().__init__()
        self._passed = 1000.0
        self._living = 0
        self._waiting: list[asyncio.Future[None]] = []

    def time(self) -> float:
        return self._passed

    def join(self) -> None:
        self._living += 1

    def leave(self) -> None:
        self._living -= 1
        self._pass()

    async def pass_time(self) -> None:
        """A quarter of a second, and whatever begins by it."""
        turn = self.create_future()
        self._waiting.append(turn)
        self._pass()
        await turn
        for _ in range(10):
            await asyncio.sleep(0)

    def _pass(self) -> None:
        if len(self._waiting) == self._living:
            self._passed += STEP
            waiting, self._waiting = self._waiting, []
            for turn in waiting:
                turn.set_result(None)


class Mode(Enum):
    """What happens to the n-th call."""

    REFUSED = "refused"
    """It never gets there."""
    LOST = "answer lost"
    """It is done, and nobody hears of it: for a while the watches are cut off as well."""
    KILLED = "killed"
    """It is done, and the operator is no more; the next one knows nothing."""


@dataclass
class Wire:
    """Counts the calls about Databases from `arm` on, and breaks at the n-th."""

    armed: bool = False
    at: int = 0
    mode: Mode = Mode.REFUSED
    calls: int = 0
    broken: str = ""
    """What the n-th call was, once it came to that."""
    dead: bool = False
    deaf_until: float = 0.0
    counting: bool = False
    """A Database is being looked at; a Project's count of them is a call of its own."""
    writes: list[str] = field(default_factory=list)
    news: asyncio.Event = field(default_factory=asyncio.Event)
    in_flight: int = 0
    """Requests that wait for their answers."""

    def arm(self, at: int, mode: Mode) -> None:
        self.armed, self.at, self.mode = True, at, mode
        self.calls, self.broken = 0, ""

    def wrote(self, what: str) -> None:
        if self.counting:
            self.writes.append(what)

    async def carry(self, what: str, send: Callable[[], Awaitable[T]], broken: Exception) -> T:
        if self.dead:
            raise asyncio.CancelledError  # whatever it still wanted to tidy up
        if not (self.armed and self.counting):
            return await send()
        self.calls += 1
        if self.calls != self.at:
            return await send()
        self.broken = what
        if self.mode is Mode.REFUSED:
            raise broken
        answer = await send()
        if self.mode is Mode.LOST:
            self.deaf_until = asyncio.get_running_loop().time() + DEAF
            raise broken
        self.dead = True
        self.news.set()
        await asyncio.get_running_loop().create_future()
        return answer


class Client(client.ApiClient):
    """The official client on such a wire. `told` hears what every write has made, as watches do."""

    def __init__(
        self, settings: client.Configuration, wire: Wire, told: Callable[[Body], None]
    ) -> None:
        super().__init__(settings)
        self._wire = wire
        self._told = told

    async def call_api(self, method: str, url: str, *args: Any, **kwargs: Any) -> RESTResponse:
        whole, what = super().call_api, f"{method} {urlsplit(url).path}"

        async def send() -> RESTResponse:
            self._wire.in_flight += 1
            try:
                response = await whole(method, url, *args, **kwargs)
                raw = await response.read()
            finally:
                self._wire.in_flight -= 1
            if method != "GET" and "dryRun=" not in url:  # what was not made nobody hears of
                self._wire.wrote(what)
                if response.status < 400:
                    self._told(json.loads(raw))
            return response

        return await self._wire.carry(what, send, aiohttp.ServerDisconnectedError())


@dataclass
class Operator(Loop):
    """One life of the operator process, served by one worker so that calls come in one order."""

    wire: Wire = field(kw_only=True)
    _busy: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        everywhere = replace(self.settings, watch_namespaces=())
        platform = KubePlatform(self.session, self.cache, everywhere, now)
        self._reconciler = Reconciler(self.session, self.cache, platform, self.settings, "test")

    async def start(self) -> None:
        await self.watcher.list_everything()
        self._working = asyncio.create_task(self.queue.run())

    async def stop(self) -> None:
        self._working.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._working

    async def _run(self, key: Key) -> float | None:
        self._busy = True
        self.wire.counting = key.kind == DATABASE.kind
        try:
            return await super()._run(key)
        finally:
            self._busy = self.wire.counting = False
            self.wire.news.set()

    async def idle(self) -> None:
        """Until it has done what it can for now, or is dead."""
        while (self._busy or self.queue.depth) and not self.wire.dead:
            await self.wire.news.wait()
            self.wire.news.clear()
