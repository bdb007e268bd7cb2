"""GraphQL over HTTP: one document to Railway, one answer back as a type, errors by meaning.

A change whose outcome is not known is never sent a second time from here: a volume would be made
twice. The caller reads what is there, and decides again.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any, Self, TypeVar

import aiohttp
from pydantic import BaseModel, ValidationError

from postbase_operator import metrics
from postbase_operator.errors import PostbaseError, Throttled, Unavailable
from postbase_operator.railway.graphql.budget import SHORT, Budget, Budgets, Said, said
from postbase_operator.railway.graphql.faults import (
    RAILWAY,
    InvalidDocument,
    Request,
    TooMany,
    TooQuickly,
    UnknownOutcome,
    complaints,
    of_complaints,
    of_status,
    quiet,
    unclear,
)
from postbase_operator.railway.graphql.values import secrets_of, wire
from postbase_operator.railway.operations import Document, Field, unknown_fields

ENDPOINT = "https://backboard.railway.com/graphql/v2"
SOURCE = "postbase-operator"
"""Sent as ?source=: Cloudflare allows those who do not say who they are less."""

CONNECT_SECONDS = 10.0
QUERY_SECONDS = 30.0
CHANGE_SECONDS = 90.0
"""Railway's own CLI waits as long: a volume has taken half a minute."""
REFUSED_AT_MOST = 5
"""Times that one request is sent again after a second in which there were too many."""

Answer = TypeVar("Answer", bound=BaseModel)


class TokenKind(StrEnum):
    """What a token is good for, and which header carries it."""

    ACCOUNT = "Account"
    WORKSPACE = "Workspace"
    PROJECT = "Project"


@dataclass(frozen=True, slots=True)
class Token:
    """`value` is in no repr, so in no trace and no log either."""

    kind: TokenKind
    value: str = field(repr=False)

    @property
    def header(self) -> dict[str, str]:
        if self.kind is TokenKind.PROJECT:
            return {"Project-Access-Token": self.value}
        return {"Authorization": f"Bearer {self.value}"}

    @property
    def fingerprint(self) -> str:
        """Tells tokens apart without telling them."""
        return hashlib.sha256(self.value.encode()).hexdigest()[:12]


@dataclass(frozen=True, slots=True)
class _Reply:
    """What came back, whatever it is."""

    status: int
    raw: bytes
    said: Said


class Client:
    """One token's way to Railway. Clients of the same token share its Budget through `budgets`."""

    def __init__(self, token: Token, budgets: Budgets, endpoint: str = ENDPOINT) -> None:
        self._token = token
        self._endpoint = endpoint
        self._budget = budgets.of(token.fingerprint)
        self._session: aiohttp.ClientSession | None = None
        self._unknown: set[Field] = set()

    def __repr__(self) -> str:
        return f"Client({self._token!r}, {self._endpoint!r})"

    @property
    def budget(self) -> Budget:
        return self._budget

    async def __aenter__(self) -> Self:
        # Proxies come from the environment, as clusters without a way out have them. No cookies:
        # what stands before the API would know us by them, and every request is to be alike.
        self._session = aiohttp.ClientSession(trust_env=True, cookie_jar=aiohttp.DummyCookieJar())
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def ask(
        self,
        document: Document,
        answer: type[Answer],
        variables: Mapping[str, Any] | None = None,
        *,
        urgent: bool | None = None,
    ) -> Answer:
        """Sends the document and reads its `data` as `answer`.

        Variables that are None are left out; NULL clears. `urgent` may use the reserve of the rate
        budget; changes are. Raises what faults.py lists, and Denied, Throttled, Unavailable.
        """
        inputs = wire(variables or {})
        asked = document.without(self._unknown)
        while True:
            try:
                data = await self._data(asked, inputs, asked.mutation if urgent is None else urgent)
                break
            except InvalidDocument as error:
                # Refused as a whole before anything of it was done: so it can be asked again.
                missing = unknown_fields(error.messages)
                if not missing or not missing <= asked.optional:
                    raise
                self._unknown |= missing
                asked = asked.without(missing)
        return self._read(asked, answer, data)

    def _read(self, asked: Document, answer: type[Answer], data: Any) -> Answer:
        try:
            return answer.model_validate(data)
        except ValidationError as error:  # its text holds what was read: only where it is, is told
            where = ", ".join(".".join(map(str, e["loc"])) for e in error.errors()[:3])
        why = f"{asked.name}: the answer is not as expected at {where}"
        raise (UnknownOutcome if asked.mutation else Unavailable)(RAILWAY, why)

    async def _data(self, document: Document, inputs: dict[str, Any], urgent: bool) -> Any:
        """Asked again where Railway had too many in this second, and so has done nothing of it."""
        for _ in range(REFUSED_AT_MOST):
            try:
                return await self._once(document, inputs, urgent)
            except TooMany as error:
                if error.seconds > SHORT:
                    raise
        return await self._once(document, inputs, urgent)

    async def _once(self, document: Document, inputs: dict[str, Any], urgent: bool) -> Any:
        secrets = (self._token.value, *secrets_of(inputs))
        request = Request(document.name, document.mutation, secrets)
        turn = await self._budget.take(urgent=urgent)
        heard = Said()
        outcome = "none"
        try:
            reply = await self._send(document, inputs, request)
            heard = reply.said
            data = _data_of(request, reply)
            outcome = "ok"
            return data
        except PostbaseError as error:
            outcome = type(error).__name__
            if isinstance(error, Throttled) and not isinstance(error, TooQuickly):
                heard = replace(heard, retry_after=error.seconds)  # for all who send with it
            raise
        finally:
            self._budget.settle(turn, heard)
            metrics.RAILWAY_REQUESTS.labels(document.name, outcome).inc()

    async def _send(self, document: Document, inputs: dict[str, Any], request: Request) -> _Reply:
        if self._session is None:
            raise RuntimeError("a Client is used within `async with`")
        body = {"query": document.body, "operationName": document.name, "variables": inputs}
        total = CHANGE_SECONDS if document.mutation else QUERY_SECONDS
        timeout = aiohttp.ClientTimeout(total=total, sock_connect=CONNECT_SECONDS)
        try:
            async with self._session.post(
                self._endpoint,
                params={"source": SOURCE},
                data=json.dumps(body, allow_nan=False),
                headers={
                    **self._token.header,
                    "Accept": "application/graphql-response+json, application/json",
                    "Content-Type": "application/json",
                },
                timeout=timeout,
                allow_redirects=False,  # the token would go wherever that leads
            ) as response:
                raw = await response.read()
                return _Reply(response.status, raw, said(response.headers, time.time()))
        except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError) as error:
            # Nothing was sent: a change has not been made either.
            raise Unavailable(RAILWAY, _silence(request, error)) from None
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise unclear(request, quiet(type(error).__name__, request.secrets)) from None


def _silence(request: Request, error: BaseException) -> str:
    """Told without the exception's own text and chain, which may hold the request's headers."""
    return f"{request.name}: cannot be reached ({type(error).__name__})"


def _data_of(request: Request, reply: _Reply) -> Any:
    """`data` of an answer without errors; otherwise the error that it means."""
    if reply.status == 429:
        raise of_status(request, reply.status, reply.raw, _pause(reply.said))
    try:
        body = json.loads(reply.raw)
    except ValueError:
        raise of_status(request, reply.status, reply.raw, reply.said.retry_after) from None
    found = complaints(body)
    if found:
        raise of_complaints(request, found, reply.status)
    data = body.get("data") if isinstance(body, dict) else None
    if reply.status != 200 or not isinstance(data, dict):
        raise of_status(request, reply.status, reply.raw, reply.said.retry_after)
    return data


def _pause(heard: Said) -> float | None:
    """Of a 429: as it says, or until the window's end."""
    return heard.retry_after if heard.retry_after is not None else heard.reset
