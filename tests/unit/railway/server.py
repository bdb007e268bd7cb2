"""An HTTP server on a port of its own that answers as it is told, and keeps what it was sent."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

from postbase_operator.railway.graphql.budget import Budgets, Rates
from postbase_operator.railway.graphql.client import Client, Token, TokenKind

SECRET = "tok-0123456789abcdef"
JSON = "application/json"
CUT = "cut"
"""The connection ends without an answer."""
HALF = "half"
"""The connection ends within the answer."""
SILENT = "silent"


@dataclass
class Reply:
    """An answer; a dict as body is JSON."""

    body: Any = field(default_factory=lambda: {"data": {}})
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)


@dataclass
class Server:
    """`script` is what the requests get, one after another, the last for ever; a function is given
    the body of the request."""

    script: list[Any] = field(default_factory=lambda: [Reply()])
    bodies: list[dict[str, Any]] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    queries: list[str] = field(default_factory=list)
    url: str = ""

    async def answer(self, request: web.Request) -> web.StreamResponse:
        self.bodies.append(await request.json())
        self.headers.append(dict(request.headers))
        self.queries.append(request.query_string)
        turn = self.script.pop(0) if len(self.script) > 1 else self.script[0]
        if isinstance(turn, Callable):  # type: ignore[arg-type]
            turn = turn(self.bodies[-1])
        if turn == SILENT:
            await asyncio.sleep(60)
        if turn in (CUT, HALF):
            assert request.transport is not None
            if turn == HALF:
                request.transport.write(b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n{")
            request.transport.close()
            return web.Response()
        if isinstance(turn.body, bytes):
            return web.Response(body=turn.body, status=turn.status, headers=turn.headers)
        return web.json_response(turn.body, status=turn.status, headers=turn.headers)


@asynccontextmanager
async def served(
    *script: Any, kind: TokenKind = TokenKind.WORKSPACE, rates: Rates | None = None
) -> AsyncIterator[tuple[Server, Client]]:
    """A server that follows the script, and a client of it."""
    server = Server(list(script) or [Reply()])
    app = web.Application()
    app.router.add_post("/graphql/v2", server.answer)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    server.url = f"http://127.0.0.1:{runner.addresses[0][1]}/graphql/v2"
    try:
        budgets = Budgets(rates or Rates(per_second=1000))
        async with Client(Token(kind, SECRET), budgets, server.url) as client:
            yield server, client
    finally:
        await runner.cleanup()


def ok(**data: Any) -> Reply:
    return Reply({"data": data})


def error(message: str, *path: str) -> Reply:
    """As Railway answers nearly every failure."""
    code = {"code": "INTERNAL_SERVER_ERROR"}
    complaint = {"message": message, "path": list(path), "extensions": code, "traceId": "0123"}
    return Reply({"data": None, "errors": [complaint]})
