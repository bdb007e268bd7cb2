"""Dumps that are restored into databases on Railway, and what follows: names change by SQL.

The Jobs run in the cluster, and come in as the operator does: through the TCP proxy, by the
superuser's password.
"""

from __future__ import annotations

from postbase_operator.api.database import Database
from postbase_operator.desired import meta
from postbase_operator.planning import plan as steps
from postbase_operator.planning.observed import Load
from postbase_operator.planning.restore_rehearsal import Rehearsal
from postbase_operator.planning.restore_seen import ADMITTED, Rehearsed
from postbase_operator.platforms import JobServer, Loads
from postbase_operator.postgres.credentials import Front
from postbase_operator.railway import services
from postbase_operator.railway.ground import Ground
from postbase_operator.railway.sql.servers import Servers

LoadStep = steps.LoadBackup | steps.DropDatabases


class Loading:
    """One for all Databases of the platform."""

    def __init__(self, servers: Servers, loads: Loads) -> None:
        self._servers = servers
        self._loads = loads

    def look(self, db: Database) -> tuple[Load, ...]:
        return self._loads.look(db)

    async def take(self, ground: Ground, db: Database, step: LoadStep) -> None:
        """Raises NotReady where there is no way in yet."""
        match step:
            case steps.LoadBackup():
                front = await self._servers.way_in(ground, db)
                await self._loads.start(db, step, _server(db, front))
            case steps.DropDatabases(names):
                await self._loads.stop(db, names)
                await self._servers.take(ground, db, step)

    async def rehearse(self, wanted: Rehearsal) -> Rehearsed:
        """What the cluster says to the Job. The server may not be there yet: its address decides
        nothing."""
        for step in wanted.todo:
            if isinstance(step, steps.LoadBackup):
                nowhere = Front(wanted.db.metadata.name, 0)
                return await self._loads.rehearse(wanted.db, step, _server(wanted.db, nowhere))
        return ADMITTED


def _server(db: Database, front: Front) -> JobServer:
    return JobServer(
        host=front.host,
        port=front.port,
        image=services.image(db),
        password_secret=meta.names_of(db).superuser(db.metadata.uid),
    )
