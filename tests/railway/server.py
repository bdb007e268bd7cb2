"""HTTP: whose call it is, what is asked to go wrong with it, and its rate."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from email.utils import formatdate
from typing import TYPE_CHECKING, Any

from aiohttp import web

from railway import execution, rates, schema
from railway.calls import Call
from railway.errors import Refused, shaped
from railway.execution import Answer, told
from railway.faults import Blocked, too_many
from railway.state import Token
from railway.visit import Visit, token_of

if TYPE_CHECKING:
    from railway.double import RailwayDouble

PATH = "/graphql/v2"


def application(double: RailwayDouble) -> web.Application:
    app = web.Application(client_max_size=1 << 22)
    gate = Gate(double)

    async def post(request: web.Request) -> web.Response:
        body = await request.read()
        identified = "source" in request.query or "x-source" in request.headers
        answer = await asyncio.to_thread(gate.answer, body, request.headers, identified)
        if answer.lost and request.transport is not None:
            request.transport.abort()
        kind, text = answer.content_type, answer.body
        return web.Response(
            status=answer.status or 200, text=text, content_type=kind, headers=answer.headers
        )

    app.router.add_post(PATH, post)
    return app


class Gate:
    def __init__(self, double: RailwayDouble) -> None:
        self.double = double
        self.strangers = rates.Unidentified(double.settings.unidentified_per_second)

    def answer(self, body: bytes, headers: Mapping[str, str], identified: bool) -> Answer:
        with self.double.clock.lock:
            return self._answer(body, headers, identified)

    def _answer(self, body: bytes, headers: Mapping[str, str], identified: bool) -> Answer:
        now = self.double.clock.now()
        if not identified and self.strangers.blocks(now):
            return self._logged("", [], None, Blocked().before(self.double, "") or Answer())
        try:
            asked: dict[str, Any] = json.loads(body)
            document = str(asked["query"])
        except (ValueError, KeyError, TypeError):
            return self._logged("", [], None, told(None, [shaped("Bad Request", None)], 400))
        first, roots = schema.asked(document)
        name, fields = str(asked.get("operationName") or first), list(roots)
        fault = self.double.fault_for(name, fields)
        answer = fault.before(self.double, fields[0] if fields else "") if fault else None
        token, refusal = self._token(headers, fields)
        if answer is None:
            answer = self._within_rate(token, now) or execution.check(document)
        if answer is None:
            answer = refusal or self._run(token, asked, document)
            if fault is not None and (refusal is None):
                answer = fault.after(self.double, answer)
        answer.headers["Date"] = formatdate(now, usegmt=True)  # Reset is by this clock as well
        if token is not None:
            answer.headers = self.double.world.budget(token).headers() | answer.headers
        return self._logged(name, fields, token, answer)

    def _token(
        self, headers: Mapping[str, str], fields: list[str]
    ) -> tuple[Token | None, Answer | None]:
        try:
            return token_of(self.double.world.state, headers), None
        except Refused as refused:
            return None, told(None, [shaped(refused.message, fields[:1])])

    def _within_rate(self, token: Token | None, now: float) -> Answer | None:
        if token is None or not self.double.settings.rate_limited:
            return None
        wait = self.double.world.budget(token).spend(now)
        return None if wait is None else too_many(wait)

    def _run(self, token: Token | None, asked: dict[str, Any], document: str) -> Answer:
        assert token is not None
        world, state = self.double.world, self.double.world.state
        old = self.double.old_state
        if old is not None and execution.only_queries(document):
            if world.clock.now() < old[1]:
                state = old[0]
            else:
                self.double.old_state = None
        variables = asked.get("variables") or {}
        visit = Visit(world, state, token)
        return execution.run(visit, document, variables, asked.get("operationName"))

    def _logged(self, name: str, fields: list[str], token: Token | None, answer: Answer) -> Answer:
        kind = token.kind if token is not None else ""
        errors = () if answer.lost else tuple(answer.errors())
        at, status = self.double.clock.now(), 0 if answer.lost else answer.status
        self.double.calls.append(Call(at, name, tuple(fields), status, errors, kind))
        return answer
