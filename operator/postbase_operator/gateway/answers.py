"""Answers on the wire: every one an envelope, those of aiohttp's own making, too."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Mapping
from typing import Any

from aiohttp import web
from aiohttp.web_protocol import RequestHandler

from postbase_operator.gateway.problems import Code, Problem
from postbase_operator.gateway.route import Answer, Route

logger = logging.getLogger(__name__)
ID = web.RequestKey("request_id", str)
KEEP_ALIVE = 15.0
"""Seconds for which a silent connection is kept, and in which a request's head must have come."""
SAFE = {
    "Server": "postbase",
    "X-Content-Type-Options": "nosniff",
    "Content-Type": "application/json",
}
UNKEPT = {"Cache-Control": "no-store"}


def success(answer: Answer, route: Route, request_id: str, told: Mapping[str, str]) -> web.Response:
    data = answer.data
    raw = data if isinstance(data, bytes) else data.model_dump_json(by_alias=True).encode()
    body = answer.whole if answer.whole is not None else b'{"success":true,"data":' + raw + b"}"
    kept = UNKEPT if route.secret else {}
    return web.Response(
        body=body,
        status=answer.status,
        headers={**SAFE, **told, **kept, **answer.headers, "X-Request-Id": request_id},
    )


def envelope(code: str, message: str) -> bytes:
    error = {"code": code, "message": message}
    return json.dumps({"success": False, "error": error}, ensure_ascii=False).encode(
        errors="replace"
    )


def failure(problem: Problem, request_id: str, told: Mapping[str, str]) -> web.Response:
    response = web.Response(
        body=envelope(problem.code, problem.message),
        status=problem.status,
        headers={**SAFE, **UNKEPT, **told, **problem.headers, "X-Request-Id": request_id},
    )
    if problem.headers.get("Connection") == "close":
        response.force_close()
    return response


class Connection(RequestHandler):
    """aiohttp's, with our envelope where it gives up on a request, or we do."""

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        request_id = request.get(ID, "")
        if status < 500:
            logger.debug("a request that is none", extra={"why": message or ""})
            told, code = "The request cannot be read", Code.INVALID_REQUEST
        else:
            logger.error("a request failed", exc_info=exc, extra={"request_id": request_id})
            told, code = "Something went wrong here; the request id finds it", Code.INTERNAL_ERROR
        if request.writer.output_size > 0:
            raise ConnectionError("an answer has begun already")
        response = web.Response(
            body=envelope(code, told),
            status=status,
            headers={**SAFE, **({"X-Request-Id": request_id} if request_id else {})},
        )
        response.force_close()
        return response


class Server(web.Server):
    """Makes our connections."""

    def __init__(self, handler: Callable[[web.BaseRequest], Any]) -> None:
        super().__init__(handler)
        self._options: dict[str, Any] = {
            "keepalive_timeout": KEEP_ALIVE,
            "lingering_time": 2.0,
            "auto_decompress": False,
            "access_log": None,
        }

    def __call__(self) -> Connection:
        return Connection(self, loop=self._loop, **self._options)
