"""What the service beside a Database is told, as variables: to receive its log, to take care of its
server, or both."""

from __future__ import annotations

from dataclasses import dataclass

from postbase_operator.api.database import Database
from postbase_operator.archive.receiver import ReceiverConfig
from postbase_operator.archive.wish import ArchivingWish
from postbase_operator.errors import InvalidSpec
from postbase_operator.railway import receiver_service
from postbase_operator.railway.ground import Ground
from postbase_operator.railway.sql.servers import Servers
from postbase_operator.railway.wal.archive_books import ArchiveBooks


@dataclass(frozen=True, slots=True)
class Beside:
    """One for all Databases of the platform."""

    servers: Servers
    books: ArchiveBooks

    async def told(
        self,
        ground: Ground,
        db: Database,
        wish: ArchivingWish,
        database_service: str,
        *,
        again: bool,
    ) -> tuple[dict[str, str], InvalidSpec | None]:
        """And what a person has to mend of the archive, where the server is taken care of all the
        same. `again`: the receiver's role may be another than it was. Raises InvalidSpec."""
        care = await self.servers.told(ground, db, wish)
        trouble: InvalidSpec | None = None
        try:
            told = await self._receiver(ground, db, wish.receiver, database_service, again=again)
        except InvalidSpec as error:
            if not care:
                raise
            trouble, told = error, receiver_service.alone(database_service)
        return told | dict(care), trouble

    async def _receiver(
        self,
        ground: Ground,
        db: Database,
        config: ReceiverConfig,
        database_service: str,
        *,
        again: bool,
    ) -> dict[str, str]:
        if not config.enabled:
            return receiver_service.alone(database_service)
        password = await self.servers.replication(ground, db, again=again)
        store = await self.books.store(db)
        return receiver_service.told(config, database_service, password, store).variables()
