"""Servers of both kinds: those with a TCP proxy, and those that nobody reaches from outside."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime

from postbase_operator.api.database import Database
from postbase_operator.archive.run import ServerFacts
from postbase_operator.archive.wish import ArchivingWish
from postbase_operator.errors import InvalidSpec, PostbaseError
from postbase_operator.planning.observed import Server
from postbase_operator.postgres.credentials import Front
from postbase_operator.postgres.replication import ReceiverSeen
from postbase_operator.railway.graphql.models import TcpProxy
from postbase_operator.railway.ground import Ground
from postbase_operator.railway.keyring import Keyring
from postbase_operator.railway.sql.private_servers import PrivateServers
from postbase_operator.railway.sql.servers import Servers, SqlStep
from postbase_operator.railway.support import UNSUPPORTED, is_private

NO_WAY_IN = "Private lets nobody in from this cluster: set ClusterIP for what has to"


class EitherServers(Servers):
    """By `spec.expose`, at each call: it may be changed while the server runs."""

    def __init__(self, keyring: Keyring, now: Callable[[], datetime]) -> None:
        super().__init__(keyring, now)
        self._private = PrivateServers(keyring, now, self.superuser, self._rotated)

    def forget(self, db: Database) -> None:
        super().forget(db)
        self._private.forget(db)

    def unanswered_since(self, db: Database) -> datetime | None:
        if is_private(db):
            return self._private.unanswered_since(db)
        return super().unanswered_since(db)

    async def ask(
        self, ground: Ground, db: Database, proxy: TcpProxy | None
    ) -> tuple[Server | None, str]:
        if is_private(db):
            return await self._private.ask(ground, db)
        self._private.forget(db)
        return await super().ask(ground, db, proxy)

    async def ensure_secrets(self, ground: Ground, db: Database) -> None:
        if is_private(db):
            return await self._private.ensure_secrets(ground, db)
        return await super().ensure_secrets(ground, db)

    async def take(self, ground: Ground, db: Database, step: SqlStep) -> None:
        if is_private(db):
            return await self._private.take(ground, db, step)
        return await super().take(ground, db, step)

    async def way_in(self, ground: Ground, db: Database) -> Front:
        _check_way_in(db)
        return await super().way_in(ground, db)

    async def describe(self, ground: Ground, db: Database) -> tuple[Front, ServerFacts]:
        if is_private(db):
            return await self._private.describe(ground, db)
        return await super().describe(ground, db)

    async def receiver(
        self, ground: Ground, db: Database, proxy: TcpProxy | None
    ) -> ReceiverSeen | None:
        if is_private(db):
            return self._private.receiver(db)
        return await super().receiver(ground, db, proxy)

    async def replication(self, ground: Ground, db: Database, *, again: bool) -> str:
        if is_private(db):  # the wish has it
            return await self._keyring.replication(db)
        return await super().replication(ground, db, again=again)

    async def checkpoint(self, ground: Ground, db: Database) -> None:
        """Of a private one there is none to be had: what it recovers from is longer."""
        if not is_private(db):
            await super().checkpoint(ground, db)

    async def told(
        self, ground: Ground, db: Database, archiving: ArchivingWish
    ) -> Mapping[str, str]:
        return await self._private.told(ground, db, archiving) if is_private(db) else {}

    def note(self, db: Database, trouble: PostbaseError | None) -> None:
        if is_private(db):
            self._private.note(db, trouble)

    def may_close(self, db: Database) -> bool:
        return is_private(db) and self._private.answers(db)


def _check_way_in(db: Database) -> None:
    if is_private(db):
        raise InvalidSpec("spec.expose", NO_WAY_IN, reason=UNSUPPORTED)
