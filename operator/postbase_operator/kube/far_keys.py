"""The Secrets of a Database whose server is not in this cluster: railway.keyring's Keyring.

The same credentials Secret as on Kubernetes, with the address that the server has there; beside it
the superuser's password, since no server of somebody else's trusts our certificates. That one has
no owner: the volume may outlive the Database, and no other password opens what is on it.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

from postbase_operator.api.database import Database
from postbase_operator.desired import meta, names
from postbase_operator.errors import Denied
from postbase_operator.kube.secret_marks import annotate, bequeath
from postbase_operator.kube.secrets import DatabaseSecrets
from postbase_operator.kube.session import Session
from postbase_operator.postgres.credentials import Credentials, Front

logger = logging.getLogger(__name__)

ONE_LOOK = 2.0
"""Seconds for which Secrets that were read count as read."""


@dataclass(frozen=True, slots=True)
class _Held:
    """What was read, when (by the monotonic clock), and for which spec and address."""

    credentials: Credentials
    generation: int
    front: Front
    read_at: float


class FarKeys:
    """One for all Databases of a platform that is elsewhere."""

    def __init__(self, api: Session, now: Callable[[], datetime]) -> None:
        self._api = api
        self._now = now
        self._held: dict[str, _Held] = {}  # by the Database's UID

    async def superuser(self, db: Database, known: str = "") -> str:
        return await self._secrets(db).superuser(known)

    async def replication(self, db: Database) -> str:
        return await self._secrets(db).replication()

    async def credentials(self, db: Database, front: Front) -> Credentials:
        held, now = self._held.get(db.metadata.uid), time.monotonic()
        asked = (db.metadata.generation, front)
        known = held is not None and (held.generation, held.front) == asked
        if held is not None and known and now - held.read_at <= ONE_LOOK:
            return held.credentials
        return self._hold(db, front, await self._secrets(db).credentials(front))

    async def change(
        self, db: Database, front: Front, new: Callable[[Credentials], Credentials]
    ) -> Credentials:
        return self._hold(db, front, await self._secrets(db).change(front, new))

    async def keep(self, db: Database, volumes: Sequence[str]) -> None:
        self._held.pop(db.metadata.uid, None)
        opens = {names.ANNOTATION_OPENS: " ".join(sorted(volumes))}
        await annotate(self._api, db, self._superuser(db), opens)

    async def let_go(self, db: Database) -> None:
        """Where the API server lets nobody own what he may not delete (OpenShift), they stay: they
        open nothing any more, and must not keep the Database from going."""
        self._held.pop(db.metadata.uid, None)
        try:
            await bequeath(self._api, db, self._superuser(db))
        except Denied as error:
            logger.warning(
                "the credentials were left behind",
                extra={"object": str(db.metadata.name), "error": str(error)},
            )

    def _superuser(self, db: Database) -> str:
        return meta.names_of(db).superuser(db.metadata.uid)

    def _secrets(self, db: Database) -> DatabaseSecrets:
        return DatabaseSecrets(self._api, db, self._now)

    def _hold(self, db: Database, front: Front, read: Credentials) -> Credentials:
        held = _Held(read, db.metadata.generation, front, time.monotonic())
        self._held[db.metadata.uid] = held
        return read
