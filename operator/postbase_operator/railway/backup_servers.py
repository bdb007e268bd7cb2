"""The servers that backups are taken of, where they are on Railway: platforms.BackingUp.

The Jobs run in the cluster, and come in as the operator does: through the TCP proxy, by a password.
A dump takes the superuser's; a physical backup that of the receiver's role, as pg_hba lets no other
replicate. What they read leaves Railway, and is billed as that.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from postbase_operator.api.database import Database
from postbase_operator.api.policies import BackupMethod
from postbase_operator.desired import meta
from postbase_operator.platforms import BackupServer
from postbase_operator.railway import services
from postbase_operator.railway.ground import Ground
from postbase_operator.railway.servers import Servers
from postbase_operator.railway.support import check_private_backup


class BackupServers:
    """One for all Databases of the platform. `ground` is found once it is needed."""

    def __init__(self, ground: Callable[[], Awaitable[Ground]], servers: Servers) -> None:
        self._ground = ground
        self._servers = servers

    async def server(self, db: Database, method: BackupMethod) -> BackupServer:
        check_private_backup(db, method)
        ground, known = await self._ground(), meta.names_of(db)
        front, facts = await self._servers.describe(ground, db)
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
