"""The way in to a server that was recovered, before it has a password that we know.

The operator alone, by a certificate of an authority that is made out of the superuser's password:
so it is kept nowhere, and who has the password may come in, as afterwards. The server shows a
certificate of the same authority, so that nobody can stand between. Once it is settled the password
opens it, as any other.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import datetime

from postbase_operator.api.database import Database
from postbase_operator.desired import staged
from postbase_operator.errors import NotReady, Unavailable
from postbase_operator.postgres import certificates
from postbase_operator.postgres.certificates import Identity
from postbase_operator.postgres.connect import Connection, certificate_session, password_session
from postbase_operator.railway.graphql.models import TcpProxy
from postbase_operator.railway.ground import Ground
from postbase_operator.railway.sql.servers import Servers

HOST = "postbase-restore"


class RestoreDoor:
    """One for all Databases."""

    def __init__(self, servers: Servers, now: Callable[[], datetime]) -> None:
        self._servers = servers
        self._now = now

    async def server(self, ground: Ground, db: Database) -> tuple[Identity, bytes]:
        """What the server shows, and the authority that it and we trust."""
        ca = await self._authority(ground, db)
        return certificates.server(ca, [HOST], self._now()), ca.certificate

    @asynccontextmanager
    async def open(
        self, ground: Ground, db: Database, proxy: TcpProxy | None
    ) -> AsyncIterator[Connection]:
        """Raises NotReady where there is no proxy yet, Unavailable while it recovers."""
        if proxy is None or not proxy.ready:
            raise NotReady(f"the TCP proxy of {ground.name(db)} is not there yet", 2.0)
        ca = await self._authority(ground, db)
        ours = certificates.client(ca, staged.SUPERUSER, self._now())
        where = (proxy.domain, proxy.proxy_port)
        async with AsyncExitStack() as stack:
            try:
                by_certificate = certificate_session(*where, ca.certificate, ours)
                connection = await stack.enter_async_context(by_certificate)
            except Unavailable:
                password = await self._servers.superuser(ground, db)
                by_password = password_session(*where, password)
                connection = await stack.enter_async_context(by_password)
            yield connection

    async def _authority(self, ground: Ground, db: Database) -> Identity:
        password = await self._servers.superuser(ground, db)
        name = f"postbase restore {db.metadata.uid}"
        return certificates.derived_authority(name, password, self._now())
