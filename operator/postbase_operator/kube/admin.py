"""The operator's way into a Database's PostgreSQL: its Secrets, and sessions by certificate.

Secrets are read by name before each use, and looked over whole once a minute, because nothing
watches them. What was read serves for the few seconds of one look and is then forgotten.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import partial

from postbase_operator.api.database import Database
from postbase_operator.archive.run import ServerFacts
from postbase_operator.desired import meta, names
from postbase_operator.kube.secrets import DatabaseSecrets
from postbase_operator.kube.session import Session
from postbase_operator.planning import plan as steps
from postbase_operator.planning.observed import Server
from postbase_operator.postgres import certificates, credentials
from postbase_operator.postgres import server as pg
from postbase_operator.postgres.authority import Authority
from postbase_operator.postgres.connect import ADMIN, Endpoint, session
from postbase_operator.postgres.credentials import Credentials
from postbase_operator.postgres.looks import Door, Looks, ServerStep

ONE_LOOK = 2.0
"""Seconds for which Secrets that were read count as read."""
LOOKED_OVER = 40.0
"""Seconds for which all of them count as right; planning looks again every 45."""

RotationStep = steps.BeginRotation | steps.FinishRotation


@dataclass(frozen=True, slots=True)
class Keys:
    """What opens one server, and when (by the monotonic clock) it was read and looked over."""

    ca: Authority
    credentials: Credentials
    generation: int
    """Of the Database: another spec may name other Secrets."""
    read_at: float
    looked_over_at: float


class Admin:
    """Asks servers and tells them; one for all Databases of the platform."""

    def __init__(self, api: Session, now: Callable[[], datetime]) -> None:
        self._api = api
        self._now = now
        self._held: dict[str, Keys] = {}  # by the Database's UID
        self._looks = Looks(now)

    def forget(self, db: Database) -> None:
        self._held.pop(db.metadata.uid, None)
        self._looks.forget(db)

    async def ensure(self, db: Database, *, first: bool = False) -> None:
        """All Secrets as they should be; nothing where that was so within the minute."""
        if self._looked_over(db) is None:
            await self._look_over(db, first=first)

    def unanswered_since(self, db: Database) -> datetime | None:
        """When the first was of the looks at its server that have failed in a row."""
        return self._looks.unanswered_since(db)

    async def ask(self, db: Database, address: str) -> Server:
        """What the server says of itself, and whether access is as wanted."""
        keys = await self._keys(db)
        return await self._looks.ask(db, self._door(db, address, keys), keys.credentials)

    async def tell(self, db: Database, address: str, step: ServerStep) -> None:
        keys = await self._keys(db)
        await self._looks.tell(db, self._door(db, address, keys), keys.credentials, step)

    async def rotate(self, db: Database, step: RotationStep) -> None:
        """One write of the credentials Secret; what it says is then set in the database."""
        keys, overlap = await self._keys(db), db.spec.credentials.overlap

        def change(held: Credentials) -> Credentials:
            match step:
                case steps.BeginRotation(value):
                    return credentials.begun(held, value)
                case steps.FinishRotation():
                    return credentials.finished(held, self._now(), overlap)

        secrets = DatabaseSecrets(self._api, db, self._now)
        after = await secrets.change(secrets.front(keys.ca), change)
        self._hold(db, keys.ca, after, keys.looked_over_at)

    async def checkpoint(self, db: Database, address: str) -> None:
        door = self._door(db, address, await self._keys(db))
        async with door("postgres") as connection:
            await connection.execute("CHECKPOINT")

    async def describe(self, db: Database, address: str) -> ServerFacts:
        door = self._door(db, address, await self._keys(db))
        async with door(names.DATABASE) as connection:
            return await pg.described(connection, names.DATABASE)

    async def sidecar(self, db: Database) -> tuple[bytes, str]:
        """By whom the sidecar's certificate is signed (PEM), and the token that it wants to see."""
        keys = await self._keys(db)
        token = await DatabaseSecrets(self._api, db, self._now).receiver_token()
        return keys.ca.servers, token

    async def bring_store(self, db: Database, data: Mapping[str, bytes]) -> None:
        """The Secret by which this Database's Jobs and sidecar reach the object store."""
        await DatabaseSecrets(self._api, db, self._now).store(data)

    # -- keys ------------------------------------------------------------------------------

    async def _keys(self, db: Database) -> Keys:
        held = self._looked_over(db)
        if held is None:
            return await self._look_over(db)
        # Before it has ever run nobody has had a reason to edit what was just made for it.
        if time.monotonic() - held.read_at <= (ONE_LOOK if db.status.system_id else LOOKED_OVER):
            return held
        secrets = DatabaseSecrets(self._api, db, self._now)
        ca = await secrets.authority()
        return self._hold(db, ca, await secrets.credentials(secrets.front(ca)), held.looked_over_at)

    def _looked_over(self, db: Database) -> Keys | None:
        """What was right within the minute, and for the spec as it is."""
        held = self._held.get(db.metadata.uid)
        if held is None or held.generation != db.metadata.generation:
            return None
        return held if time.monotonic() - held.looked_over_at <= LOOKED_OVER else None

    async def _look_over(self, db: Database, *, first: bool = False) -> Keys:
        secrets = DatabaseSecrets(self._api, db, self._now)
        ca, credentials = await secrets.ensure(first=first)
        return self._hold(db, ca, credentials, time.monotonic())

    def _hold(
        self,
        db: Database,
        ca: Authority,
        credentials: Credentials,
        looked_over_at: float,
    ) -> Keys:
        keys = Keys(ca, credentials, db.metadata.generation, time.monotonic(), looked_over_at)
        self._held[db.metadata.uid] = keys
        return keys

    def _door(self, db: Database, address: str, keys: Keys) -> Door:
        """Where the server is, and who we are to it: a certificate for a day, kept nowhere."""
        host = meta.names_of(db).host
        endpoint = Endpoint(host=host, address=address, authority=keys.ca.servers)
        identity = certificates.client(keys.ca.signing, ADMIN, self._now())
        return partial(session, endpoint, identity)
