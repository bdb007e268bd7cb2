"""The WAL receiver beside a database, asked itself: over TLS, with the Database's own authority.

Its address is the pod's, its certificate is the Service's: found by two Secrets and a pod of the
tenant's namespace, which the gateway may read there. Answers count for a moment, doors for minutes.
"""

from __future__ import annotations

import ssl
import time
from dataclasses import dataclass

import aiohttp

from postbase_operator.api.database import Database
from postbase_operator.archive.receiver import TOKEN_KEY, ReceiverReport
from postbase_operator.archive.record import UnreadableRecord
from postbase_operator.desired import names
from postbase_operator.desired.names import Names
from postbase_operator.errors import NotReady, PostbaseError, Unavailable
from postbase_operator.kube.kinds import POD, SECRET
from postbase_operator.kube.secret_data import decode
from postbase_operator.kube.session import Session

TIMEOUT = aiohttp.ClientTimeout(total=4.0)
DOOR_LASTS = 60.0
FRESH = 1.0
MOST = 5_000
CA = "ca.crt"
SERVICE = "the WAL receiver"


@dataclass(frozen=True, slots=True)
class Door:
    """How one sidecar is asked, and until when (monotonic) that counts."""

    address: str
    host: str
    trust: ssl.SSLContext
    token: str
    until: float


class Sidecars:
    """Raises Unavailable or NotReady where one cannot be asked."""

    def __init__(self, session: Session, port: int = names.SIDECAR_PORT) -> None:
        self._session = session
        self._port = port
        self._doors: dict[str, Door] = {}
        self._heard: dict[str, tuple[float, ReceiverReport]] = {}

    async def report(self, db: Database) -> ReceiverReport:
        """As of now, or of a second ago."""
        at, held = self._heard.get(db.metadata.uid, (0.0, None))
        if held is not None and time.monotonic() - at < FRESH:
            return held
        raw = await self._ask(db, "GET", "/status")
        try:
            report = ReceiverReport.from_bytes(raw)
        except UnreadableRecord as error:
            raise Unavailable(SERVICE, str(error)) from error
        if len(self._heard) >= MOST:
            self._heard.clear()
        self._heard[db.metadata.uid] = time.monotonic(), report
        return report

    async def restart(self, db: Database) -> None:
        await self._ask(db, "POST", "/restart")
        self._heard.pop(db.metadata.uid, None)

    async def _ask(self, db: Database, method: str, path: str) -> bytes:
        door = await self._door(db)
        url = f"https://{door.address}:{self._port}{path}"
        headers = {"Authorization": f"Bearer {door.token}"}
        try:
            async with (
                aiohttp.ClientSession(timeout=TIMEOUT, trust_env=False) as session,
                session.request(
                    method, url, headers=headers, ssl=door.trust, server_hostname=door.host
                ) as answer,
            ):
                answer.raise_for_status()
                return await answer.read()
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            # Certificate, token and address may be others by now.
            self._doors.pop(db.metadata.uid, None)
            raise Unavailable(SERVICE, type(error).__name__) from error

    async def _door(self, db: Database) -> Door:
        held = self._doors.get(db.metadata.uid)
        if held is not None and time.monotonic() < held.until:
            return held
        own = Names(db.metadata.namespace, db.metadata.name)
        try:
            pod = await self._session.get(POD, own.namespace, own.pod)
            authority = decode(await self._session.get(SECRET, own.namespace, own.authority))
            keys = decode(await self._session.get(SECRET, own.namespace, own.tls))
            address = str((pod.get("status") or {}).get("podIP") or "")
            if not address:
                raise NotReady("the pod has no address yet")
            trust = ssl.create_default_context(cadata=authority[CA].decode())
            token = keys[TOKEN_KEY].decode()
        except (KeyError, ValueError, ssl.SSLError) as error:
            raise Unavailable(SERVICE, "its Secrets are not whole") from error
        except NotReady:
            raise
        except PostbaseError as error:
            raise Unavailable(SERVICE, f"it is not found: {type(error).__name__}") from error
        literal = f"[{address}]" if ":" in address else address
        made = Door(literal, own.host, trust, token, time.monotonic() + DOOR_LASTS)
        if len(self._doors) >= MOST:
            self._doors.clear()
        self._doors[db.metadata.uid] = made
        return made
