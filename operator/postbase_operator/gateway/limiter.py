"""One bucket per caller over all replicas: the replica that owns a key keeps its bucket.

The owner is the ready replica with the highest hash of (replica, key) (rendezvous hashing): when
one goes, only its own keys move, and each move can add one burst. Where the owner does not answer,
a replica lets its share through (an n-th), so that no outage of a peer is an outage of the API.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
import logging
import time
from collections.abc import Callable, Collection
from typing import Protocol

import aiohttp
from aiohttp import web

from postbase_operator.gateway.buckets import Buckets, Verdict
from postbase_operator.gateway.plans import Rate
from postbase_operator.kube.kinds import Body

logger = logging.getLogger(__name__)
PATH = "/take"
PATIENCE = aiohttp.ClientTimeout(total=0.5, connect=0.2)
FRESH = 30.0
"""Seconds by which the clocks of two replicas may differ."""
SIGNATURE = "X-Postbase-Signature"
PORT = "peers"
"""Name of the port in the Service that replicas ask each other on."""


class Limiter(Protocol):
    async def take(self, key: str, rate: Rate) -> Verdict:
        """One request of this caller."""


class Alone:
    """The only replica, or one that knows of no others."""

    def __init__(self, buckets: Buckets) -> None:
        self._buckets = buckets

    async def take(self, key: str, rate: Rate) -> Verdict:
        return self._buckets.take(key, rate)


class Members:
    """The ready replicas, as `address:port`, from the EndpointSlices of the Service."""

    def __init__(self) -> None:
        self._slices: dict[str, frozenset[str]] = {}
        self.all: tuple[str, ...] = ()

    def put(self, body: Body) -> None:
        self._slices[body["metadata"]["name"]] = frozenset(members(body))
        self._count()

    def drop(self, body: Body) -> None:
        self._slices.pop(body["metadata"]["name"], None)
        self._count()

    def replace(self, bodies: Collection[Body]) -> None:
        self._slices = {}
        for body in bodies:
            self.put(body)
        self._count()

    def _count(self) -> None:
        self.all = tuple(sorted(frozenset().union(*self._slices.values())))


def members(body: Body) -> list[str]:
    """Of one EndpointSlice: those that are ready."""
    ports = [port["port"] for port in body.get("ports") or () if port.get("name") == PORT]
    if not ports:
        return []
    return [
        f"[{address}]:{ports[0]}" if ":" in address else f"{address}:{ports[0]}"
        for endpoint in body.get("endpoints") or ()
        if (endpoint.get("conditions") or {}).get("ready", True)
        for address in endpoint["addresses"][:1]
    ]


def owner(key: str, candidates: Collection[str]) -> str | None:
    """The one that all replicas with the same list come to."""
    return max(
        candidates,
        key=lambda each: hashlib.sha256(f"{each}|{key}".encode()).digest(),
        default=None,
    )


class Shared:
    """Asks the owner of a key; owns its own ones."""

    def __init__(
        self,
        buckets: Buckets,
        members: Members,
        me: str,
        secret: Callable[[], bytes],
        now: Callable[[], float] = time.time,
    ) -> None:
        self._buckets = buckets
        self._members = members
        self._me = me
        self._secret = secret
        self._now = now
        self._client: aiohttp.ClientSession | None = None

    async def take(self, key: str, rate: Rate) -> Verdict:
        chosen = owner(key, self._members.all)
        if chosen is None or chosen == self._me:
            return self._buckets.take(key, rate)
        try:
            return await self._ask(chosen, key, rate)
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
            logger.info("a replica does not answer", extra={"peer": chosen, "error": repr(error)})
            return self._buckets.take(f"share|{key}", rate, share=len(self._members.all))

    async def _ask(self, peer: str, key: str, rate: Rate) -> Verdict:
        if self._client is None:
            # Others' answers must come by a pooled connection: a handshake is half of the time.
            self._client = aiohttp.ClientSession(timeout=PATIENCE, trust_env=False)
        question = json.dumps(
            {"key": key, "rate": [rate.name, rate.per_minute, rate.burst], "at": self._now()}
        ).encode()
        headers = {SIGNATURE: signed(self._secret(), question)}
        url = f"http://{peer}{PATH}"
        async with self._client.post(url, data=question, headers=headers) as answer:
            answer.raise_for_status()
            told = json.loads(await answer.read())
        return Verdict(
            bool(told["allowed"]),
            int(told["remaining"]),
            float(told["full_in"]),
            float(told["retry_after"]),
        )

    async def answer(self, request: web.BaseRequest) -> web.Response:
        """A peer's question; 403 for what is not signed with our key, or long ago."""
        raw = await request.read()
        given = request.headers.get(SIGNATURE, "")
        secret = self._secret()
        if not secret or not hmac.compare_digest(given, signed(secret, raw)):
            return web.Response(status=403)
        try:
            asked = json.loads(raw)
            name, per_minute, burst = asked["rate"]
            rate, key = Rate(str(name), int(per_minute), int(burst)), str(asked["key"])
            stale = abs(self._now() - float(asked["at"])) > FRESH
        except (ValueError, KeyError, TypeError):
            return web.Response(status=400)
        if stale:
            return web.Response(status=403)
        verdict = self._buckets.take(key, rate)
        return web.json_response(
            {
                "allowed": verdict.allowed,
                "remaining": verdict.remaining,
                "full_in": verdict.full_in,
                "retry_after": verdict.retry_after,
            }
        )

    async def close(self) -> None:
        if self._client is not None:
            await self._client.close()
            await asyncio.sleep(0)  # lets its connections end within this loop


def signed(secret: bytes, question: bytes) -> str:
    return hmac.new(secret, question, hashlib.sha256).hexdigest()
