"""Asks the sidecars how archiving does: over TLS, with the Database's own authority and a token.

What they say stays in memory; a Database is looked at again where an answer is another one. So a
fleet that archives as it should costs a small request a Database each ten seconds, and no write.
"""

from __future__ import annotations

import asyncio
import logging
import ssl
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime

import aiohttp

from postbase_operator.api.database import Database
from postbase_operator.archive.receiver import ReceiverReport
from postbase_operator.archive.record import UnreadableRecord
from postbase_operator.desired import meta, names
from postbase_operator.errors import NotReady, PostbaseError
from postbase_operator.kube.admin import Admin
from postbase_operator.planning.archive_observed import Silence
from postbase_operator.planning.archiving_health import LAGGING_FROM

logger = logging.getLogger(__name__)
ASKED_EVERY = 10.0
ROUND = 1.0
FRESH = 4.0
"""Seconds for which an answer counts as the present one."""
TIMEOUT = aiohttp.ClientTimeout(total=4.0)
DOOR_LASTS = 300.0
SIDE_BY_SIDE = 32


@dataclass(frozen=True, slots=True)
class Door:
    """How one sidecar is asked, and until when (by the monotonic clock) that counts."""

    trust: ssl.SSLContext
    token: str
    until: float


@dataclass(frozen=True, slots=True)
class Heard:
    """The last answer of one sidecar. One of `report` and `silence` is None. `tried`: when the
    cluster stood in the way of another one (both by the monotonic clock)."""

    db: Database
    address: str
    at: float
    report: ReceiverReport | None = None
    silence: Silence | None = None
    tried: float = 0.0

    @property
    def gist(self) -> tuple[object, ...]:
        """What is worth a look at the Database where it changes."""
        told = self.report
        if told is None:
            return (None,)
        return (
            told.state,
            told.timeline,
            told.started_at,
            told.slot_lost,
            told.suspended,
            told.store_failing_since is None,
            told.durable_lsn is None,
            told.lag_seconds >= LAGGING_FROM,
        )


class Receivers:
    """One for all Databases that archive."""

    def __init__(self, admin: Admin, now: Callable[[], datetime]) -> None:
        self._admin = admin
        self._now = now
        self._heard: dict[str, Heard] = {}  # by the Database's UID
        self._doors: dict[str, Door] = {}

    def forget(self, db: Database) -> None:
        self._heard.pop(db.metadata.uid, None)
        self._doors.pop(db.metadata.uid, None)

    async def ask(self, db: Database, address: str) -> Heard:
        """Its answer, of this moment or of the last few seconds. Raises what the cluster raises
        where its Secrets cannot be read."""
        held = self._heard.get(db.metadata.uid)
        same = held is not None and held.address == address
        if held is not None and same and time.monotonic() - held.at < FRESH:
            return held
        heard = await self._ask(db, address, held if same else None)
        self._heard[db.metadata.uid] = heard
        return heard

    async def watch(
        self, wake: Callable[[Database], None], is_there: Callable[[Database], bool]
    ) -> None:
        """Asks all of them over and over that are there; `wake` is called where one answers
        otherwise than it did. Until cancelled."""
        limit = asyncio.Semaphore(SIDE_BY_SIDE)

        async def again(held: Heard) -> None:
            async with limit:
                fresh = await self._again(held)
            present = self._heard.get(held.db.metadata.uid)
            if present is None:
                # Forgotten meanwhile. Kept all the same, one that was deleted was asked for ever,
                # and its Secrets were made anew for it each second.
                self.forget(held.db)  # the door was opened anew
            if present is not held:
                return
            self._heard[held.db.metadata.uid] = fresh
            if fresh.gist != held.gist:
                wake(held.db)

        while True:
            for gone in [held.db for held in self._heard.values() if not is_there(held.db)]:
                self.forget(gone)  # somebody took its finalizer away
            due = time.monotonic() - ASKED_EVERY
            asked = [held for held in self._heard.values() if max(held.at, held.tried) <= due]
            await asyncio.gather(*(again(held) for held in asked))
            await asyncio.sleep(ROUND)

    async def _again(self, held: Heard) -> Heard:
        """What is held already, where the cluster has trouble of its own: until the next round."""
        try:
            return await self._ask(held.db, held.address, held)
        except PostbaseError as error:
            logger.info("a sidecar was not asked", extra={"error": str(error)})
            return replace(held, tried=time.monotonic())

    async def _ask(self, db: Database, address: str, before: Heard | None) -> Heard:
        uid = db.metadata.uid
        try:
            door = await self._door(db)
            return Heard(db, address, time.monotonic(), await _report(db, address, door))
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            self._doors.pop(uid, None)  # certificate and token may be others by now
            return self._silent(db, address, before, "ReceiverDown", _words(error))
        except (UnreadableRecord, NotReady) as error:
            return self._silent(db, address, before, "ReceiverDown", str(error))

    def _silent(
        self, db: Database, address: str, before: Heard | None, reason: str, why: str
    ) -> Heard:
        silence = Silence(self._now(), reason, f"The WAL receiver does not answer: {why}")
        if before is not None and before.silence is not None:
            silence = replace(silence, since=before.silence.since)
        return Heard(db, address, time.monotonic(), silence=silence)

    async def _door(self, db: Database) -> Door:
        held = self._doors.get(db.metadata.uid)
        if held is not None and time.monotonic() < held.until:
            return held
        authority, token = await self._admin.sidecar(db)
        trust = ssl.create_default_context(cadata=authority.decode())
        made = Door(trust, token, time.monotonic() + DOOR_LASTS)
        self._doors[db.metadata.uid] = made
        return made


async def _report(db: Database, address: str, door: Door) -> ReceiverReport:
    """Raises aiohttp's errors, TimeoutError, UnreadableRecord."""
    host = f"[{address}]" if ":" in address else address
    url = f"https://{host}:{names.SIDECAR_PORT}/status"
    headers = {"Authorization": f"Bearer {door.token}"}
    async with (
        aiohttp.ClientSession(timeout=TIMEOUT, trust_env=False, raise_for_status=True) as session,
        session.get(
            url, headers=headers, ssl=door.trust, server_hostname=meta.names_of(db).host
        ) as answer,
    ):
        return ReceiverReport.from_bytes(await answer.read())


def _words(error: Exception) -> str:
    """Without the address, which is another after each start of the pod."""
    match error:
        case TimeoutError():
            return "no answer in time"
        case aiohttp.ClientResponseError():
            return f"it answered {error.status}"
        case aiohttp.ClientConnectorCertificateError() | aiohttp.ClientConnectorSSLError():
            return "its certificate is not trusted"
        case aiohttp.ClientConnectorError():
            return "the connection was refused"
    return type(error).__name__
