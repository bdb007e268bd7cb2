"""The servers that backups are taken of, where they are on Railway: platforms.BackingUp.

The Jobs run in the cluster, and come in as the operator does: through the TCP proxy, by the
superuser's password. What they read leaves Railway, and is billed as that.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from postbase_operator.api.database import Database
from postbase_operator.desired import meta
from postbase_operator.platforms import BackupServer
from postbase_operator.railway import services
from postbase_operator.railway.ground import Ground
from postbase_operator.railway.servers import Servers


class BackupServers:
    """One for all Databases of the platform. `ground` is found once it is needed."""

    def __init__(self, ground: Callable[[], Awaitable[Ground]], servers: Servers) -> None:
        self._ground = ground
        self._servers = servers

    async def server(self, db: Database) -> BackupServer:
        front, facts = await self._servers.describe(await self._ground(), db)
        return BackupServer(
            host=front.host,
            port=front.port,
            image=services.image(db),
            facts=facts,
            superuser_secret=meta.names_of(db).superuser(db.metadata.uid),
        )
