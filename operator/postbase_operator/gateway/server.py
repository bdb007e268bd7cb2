"""HTTP, on aiohttp's low-level server: every answer is an envelope, whatever goes wrong.

The order in which errors are found is the API's: token, rate, route, body, and then the objects.
"""

from __future__ import annotations

import asyncio
import re
import secrets
import time
from collections.abc import Mapping
from http import HTTPStatus
from urllib.parse import unquote

from aiohttp import web
from prometheus_client import Counter, Histogram
from pydantic import ValidationError

from postbase_operator import metrics
from postbase_operator.api.api_token import Scope
from postbase_operator.gateway import cors
from postbase_operator.gateway.addresses import Addresses
from postbase_operator.gateway.answers import ID, failure, success
from postbase_operator.gateway.bodies import Body, NoBody, NoQuery, Query
from postbase_operator.gateway.buckets import Verdict, headers
from postbase_operator.gateway.call import Call, Services
from postbase_operator.gateway.limiter import Limiter
from postbase_operator.gateway.logs import audit
from postbase_operator.gateway.plans import ANONYMOUS, Rate
from postbase_operator.gateway.problems import Code, Problem, invalid, unavailable
from postbase_operator.gateway.route import Answer, Route, Router
from postbase_operator.gateway.writes import Origin, body_hash

LONGEST_BODY = 64 << 10
BODY_SECONDS = 10.0
HANDLER_SECONDS = 30.0
REQUEST_ID = re.compile(r"[A-Za-z0-9-]{8,64}", re.ASCII)
IDEMPOTENCY_KEY = re.compile(r"[\x21-\x7e]{1,128}", re.ASCII)
JSON = "application/json"


class Gateway:
    """Answers requests by the route table."""

    def __init__(
        self, services: Services, routes: tuple[Route, ...], limiter: Limiter, addresses: Addresses
    ) -> None:
        self._services = services
        self._router = Router(routes)
        self._limiter = limiter
        self._addresses = addresses
        self._counters: dict[tuple[str, str, int], tuple[Counter, Histogram]] = {}

    async def answer(self, request: web.BaseRequest) -> web.StreamResponse:
        given = request.headers.get("X-Request-Id", "")
        request_id = given if REQUEST_ID.fullmatch(given) else secrets.token_hex(12)
        request[ID] = request_id
        methods, values = self._router.find(parts_of(request))
        origin, origins = request.headers.get("Origin"), self._services.settings.allowed_origins
        told = cors.allowed(origin, origins)
        if origins and origin and cors.is_preflight(request.method, request.headers):
            return web.Response(status=204, headers=cors.preflight(origin, origins, methods))
        route = methods.get("GET" if request.method == "HEAD" else request.method)
        began = time.perf_counter()
        try:
            response = await self._routed(request, route or unrouted(methods), values, told)
        except Problem as problem:
            response = failure(problem, request_id, told)
        except TimeoutError:
            response = failure(unavailable("It took too long"), request_id, told)
        self._count(route, response.status, time.perf_counter() - began)
        return response

    def _count(self, route: Route | None, status: int, seconds: float) -> None:
        path, method = (route.path, route.method) if route is not None else ("", "")
        key = (path, method, status)
        if key not in self._counters:  # looked up once: labels() costs more than a hash
            counter = metrics.GATEWAY_REQUESTS.labels(path, method, str(status))
            self._counters[key] = counter, metrics.GATEWAY_SECONDS.labels(method)
        counter, histogram = self._counters[key]
        counter.inc()
        histogram.observe(seconds)

    async def _routed(
        self,
        request: web.BaseRequest,
        route: Route | Problem,
        values: list[str],
        told: dict[str, str],
    ) -> web.Response:
        request_id = request[ID]
        known = route if isinstance(route, Route) else UNROUTED
        call = Call(self._services, known, {}, Origin(request_id, ""))
        await self._admit(request, call, told)
        if isinstance(route, Problem):
            raise route
        if values:
            call.values = dict(zip(route.parameters, values, strict=True))
        raw = await self._body(request, route)
        call.sent, call.asked = parsed(route, raw), queried(route, request)
        call.origin = origin_of(request, call, raw)
        status = HTTPStatus.INTERNAL_SERVER_ERROR.value
        try:
            async with asyncio.timeout(HANDLER_SECONDS):
                answer = await route.handler(call)
            status = answer.status
        except Problem as problem:
            status = problem.status
            raise
        finally:
            if route.writes or route.secret:
                note(call, self._addresses.of(request), status)
        return success(answer, route, request_id, told)

    async def _admit(self, request: web.BaseRequest, call: Call, told: dict[str, str]) -> None:
        """By token and by rate; of routes that are nobody's only whoever has a token hears."""
        route, address = call.route, self._addresses.of(request)
        if route.public:
            if route.metered:
                await self._meter(f"ip:{address}", ANONYMOUS, told)
            return

        async def guessed() -> None:
            await self._meter(f"ip:{address}", ANONYMOUS, told)

        given = request.headers.get("Authorization")
        caller = await self._services.callers.identify(given, guessed)
        await self._meter(f"account:{caller.account.uid}", caller.limits.rate, told)
        call.caller = caller
        scope = Scope.WRITE if route.writes else Scope.READ
        if not caller.may(scope):
            raise Problem(
                Code.INSUFFICIENT_SCOPE, f"The token lacks the scope {scope.value.lower()}"
            )

    async def _meter(self, key: str, rate: Rate, told: dict[str, str]) -> None:
        verdict: Verdict = await self._limiter.take(key, rate)
        told.update(headers(rate, verdict))
        if not verdict.allowed:
            raise Problem(Code.RATE_LIMIT_EXCEEDED, "Too many requests")

    async def _body(self, request: web.BaseRequest, route: Route) -> bytes:
        """Raises for what is too long, too slow, or not JSON by its header."""
        length = request.content_length
        if length is not None and length > LONGEST_BODY:
            raise too_large()
        if route.body is NoBody or not request.can_read_body:
            return b""
        if request.headers.get("Content-Encoding", "identity") != "identity":
            raise Problem(Code.UNSUPPORTED_MEDIA_TYPE, "Send the body without Content-Encoding")
        raw = bytearray()
        try:
            async with asyncio.timeout(BODY_SECONDS):
                while chunk := await request.content.readany():
                    raw += chunk
                    if len(raw) > LONGEST_BODY:
                        raise too_large()
        except TimeoutError:
            raise Problem(
                Code.REQUEST_TIMEOUT, "The body did not come in time", headers=CLOSE
            ) from None
        except web.RequestPayloadError as error:
            raise Problem(Code.INVALID_REQUEST, "The body cannot be read", headers=CLOSE) from error
        if raw and request.content_type != JSON:
            raise Problem(Code.UNSUPPORTED_MEDIA_TYPE, f"Send the body as {JSON}")
        return bytes(raw)


CLOSE = {"Connection": "close"}


async def _nothing(_call: Call) -> Answer:
    raise Problem(Code.NOT_FOUND, "There is no such route")


UNROUTED = Route("GET", "/", "", _nothing, ())


def parts_of(request: web.BaseRequest) -> list[str]:
    """Segments of the path, each decoded by itself: `%2F` stays within one. A slash at the end
    means nothing, nor does /v1 in front."""
    parts = [unquote(part, errors="replace") for part in request.rel_url.raw_path.split("/")[1:]]
    if parts and not parts[-1]:
        parts.pop()
    return parts[1:] if parts[:1] == ["v1"] else parts


def unrouted(methods: Mapping[str, Route]) -> Problem:
    if not methods:
        return Problem(Code.NOT_FOUND, "There is no such route")
    allowed = sorted({*methods, *(("HEAD",) if "GET" in methods else ())})
    return Problem(
        Code.METHOD_NOT_ALLOWED,
        f"This route knows {', '.join(allowed)}",
        headers={"Allow": ", ".join(allowed)},
    )


def too_large() -> Problem:
    return Problem(Code.PAYLOAD_TOO_LARGE, f"A body may have {LONGEST_BODY} bytes", headers=CLOSE)


def parsed(route: Route, raw: bytes) -> Body:
    if not raw and route.body_needed:
        raise invalid("A body in JSON is needed")
    try:
        return route.body.model_validate_json(raw or b"{}")
    except ValidationError as error:
        raise invalid(words(error)) from None


def queried(route: Route, request: web.BaseRequest) -> Query:
    if route.query is NoQuery or not request.query_string:
        return NO_QUERY if route.query is NoQuery else route.query()
    try:
        return route.query.model_validate(dict(request.query))
    except ValidationError as error:
        raise invalid(words(error)) from None


NO_QUERY = NoQuery()


def words(error: ValidationError) -> str:
    """What is wrong and where, never what was sent."""
    first = error.errors(include_url=False, include_context=False, include_input=False)[0]
    place = ".".join(str(part) for part in first["loc"] if isinstance(part, int | str))[:100]
    return f"{place}: {first['msg']}" if place else str(first["msg"])


def origin_of(request: web.BaseRequest, call: Call, raw: bytes) -> Origin:
    caller, key = call.caller, request.headers.get("Idempotency-Key", "")
    account = caller.account.id if caller is not None else ""
    if not key or not call.route.idempotent:
        return Origin(call.origin.request_id, account)
    if IDEMPOTENCY_KEY.fullmatch(key) is None:
        raise invalid("Idempotency-Key: 1 to 128 visible ASCII characters")
    place = f"{call.route.method} {request.rel_url.raw_path}"
    return Origin(call.origin.request_id, account, key, body_hash(place, raw))


def note(call: Call, address: str, status: int) -> None:
    """One line of the audit."""
    caller = call.caller
    audit.info(
        "request",
        extra={
            "request_id": call.origin.request_id,
            "route": f"{call.route.method} {call.route.path}",
            "status": status,
            "account": caller.account.id if caller is not None else "",
            "token": caller.token.id if caller is not None else "",
            "address": address,
            **{f"{name}_id": value for name, value in call.ids.items()},
        },
    )
