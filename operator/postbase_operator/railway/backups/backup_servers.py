"""The servers that backups are taken of, where they are on Railway: platforms.BackingUp.

The Jobs run in the cluster, and come in as the operator does: through the TCP proxy, by a password.
A dump takes the superuser's; a physical backup that of the receiver's role, as pg_hba lets no other
replicate. What they read leaves Railway, and is billed as that.

A private Database has no way in from here. It is backed up where its log is received
(backup_runs.py), and physically alone: our image has no pg_dump of the server's version.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import datetime

from postbase_operator.api.database import Database
from postbase_operator.api.policies import BackupMethod
from postbase_operator.archive.backup_order import BackupKeys
from postbase_operator.archive.wish import OFF
from postbase_operator.desired import meta
from postbase_operator.platforms import BackupRuns, BackupServer
from postbase_operator.railway import receiver_service, services
from postbase_operator.railway.backups.backup_runs import BackupRuns as OwnRuns
from postbase_operator.railway.ground import Ground
from postbase_operator.railway.sql.servers import Servers
from postbase_operator.railway.support import check_private_backup, is_private
from postbase_operator.railway.wal.archive_books import ArchiveBooks


class BackupServers:
    """One for all Databases of the platform. `ground` is found once it is needed."""

    def __init__(
        self,
        ground: Callable[[], Awaitable[Ground]],
        servers: Servers,
        books: ArchiveBooks,
        now: Callable[[], datetime],
    ) -> None:
        self._ground = ground
        self._servers = servers
        self._books = books
        self._runs = OwnRuns(ground, self._keys, now)

    async def server(self, db: Database, method: BackupMethod) -> BackupServer:
        check_private_backup(db, method)
        ground, known = await self._ground(), meta.names_of(db)
        front, facts = await self._servers.describe(ground, db)
        if is_private(db):
            image = services.image(db)
            return BackupServer(host=front.host, port=front.port, image=image, facts=facts)
        secret = known.superuser(db.metadata.uid)
        if method is BackupMethod.PHYSICAL:
            await self._servers.replication(ground, db, again=True)
            secret = known.replication(db.metadata.uid)
        return BackupServer(
            host=front.host,
            port=front.port,
            image=services.image(db),
            facts=facts,
            password_secret=secret,
        )

    def runs(self, db: Database) -> BackupRuns | None:
        return self._runs if is_private(db) else None

    async def _keys(self, ground: Ground, db: Database) -> BackupKeys:
        """Raises InvalidSpec where the store cannot be reached from outside of the cluster."""
        password = await self._servers.replication(ground, db, again=False)
        store = await self._books.store(db)
        told = receiver_service.told(OFF, ground.name(db), password, store)
        return BackupKeys(password=told.password, store=dict(told.store))
