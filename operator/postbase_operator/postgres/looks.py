"""What the operator asks of a running server and tells it, whoever runs it and however one gets in.

The platform knows the door; what lies behind it is PostgreSQL on Kubernetes as on Railway.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import replace
from datetime import datetime

from postbase_operator.api.database import Database
from postbase_operator.desired import names
from postbase_operator.errors import Unavailable
from postbase_operator.planning import plan as steps
from postbase_operator.planning.observed import Server
from postbase_operator.postgres import copies
from postbase_operator.postgres import server as pg
from postbase_operator.postgres.access import Wanted, is_right
from postbase_operator.postgres.connect import Connection
from postbase_operator.postgres.credentials import Credentials
from postbase_operator.postgres.faults import POSTGRESQL

MEASURED = 60.0
"""Seconds for which a volume's use counts as known: to measure it, PostgreSQL visits each file."""

Door = Callable[[str], AbstractAsyncContextManager[Connection]]
"""Opens a session as superuser to the database of that name."""

ServerStep = (
    steps.SetUpAccess
    | steps.ReloadConfig
    | steps.CreateExtensions
    | steps.DropSlot
    | steps.SwapDatabases
    | steps.DropDatabases
)


class Looks:
    """One for all Databases of a platform."""

    def __init__(self, now: Callable[[], datetime], sources: pg.Sources = pg.MOUNTED) -> None:
        self._now = now
        self._sources = sources
        self._used: dict[str, tuple[float, int]] = {}  # by UID: when measured, and the bytes
        self._unanswered: dict[str, datetime] = {}  # likewise: since when

    def forget(self, db: Database) -> None:
        self._used.pop(db.metadata.uid, None)
        self._unanswered.pop(db.metadata.uid, None)

    def unanswered_since(self, db: Database) -> datetime | None:
        """When the first was of the looks at its server that have failed in a row."""
        return self._unanswered.get(db.metadata.uid)

    async def ask(self, db: Database, door: Door, held: Credentials) -> Server:
        """What the server says of itself, and whether access is as wanted."""
        try:
            server = await self._ask(db, door, held)
        except Unavailable as error:
            if error.service == POSTGRESQL:
                self._unanswered.setdefault(db.metadata.uid, self._now())
            raise
        self._unanswered.pop(db.metadata.uid, None)
        return server

    async def _ask(self, db: Database, door: Door, held: Credentials) -> Server:
        wanted = self._wanted(held)
        async with door("postgres") as connection:
            facts = await pg.facts(connection, self._sources)
            found = await pg.find_access(connection, wanted)
            used = await self._measure(db, connection)
        right = is_right(wanted, found)
        missing: tuple[str, ...] = ()
        if right and db.spec.extensions:
            async with door(names.DATABASE) as connection:
                missing = await pg.missing_extensions(
                    connection, [extension.name for extension in db.spec.extensions]
                )
        return Server(
            facts,
            access_right=right,
            lacks_database=wanted.database not in found.databases,
            roles_right=right or is_right(replace(wanted, database=""), found),
            missing_extensions=missing,
            login_pending=held.pending is not None,
            rotation=held.rotation,
            rotated_at=held.rotated_at,
            password_given=held.given is not None,
            password_waits=not held.is_as_given,
            used_bytes=used,
        )

    async def _measure(self, db: Database, connection: Connection) -> int:
        at, used = self._used.get(db.metadata.uid, (-MEASURED, 0))
        now = time.monotonic()
        if now - at >= MEASURED:
            used = await pg.used_bytes(connection)
            self._used[db.metadata.uid] = (now, used)
        return used

    async def tell(self, db: Database, door: Door, held: Credentials, step: ServerStep) -> None:
        if isinstance(step, steps.CreateExtensions):
            versions = {each.name: each.version for each in db.spec.extensions}
            async with door(names.DATABASE) as connection:
                for name in step.names:
                    await pg.create_extension(connection, name, versions[name])
            return
        async with door("postgres") as connection:
            match step:
                case steps.ReloadConfig():
                    await pg.reload(connection)
                case steps.DropSlot():
                    await pg.drop_slot(connection)
                case steps.SetUpAccess(with_database):
                    wanted = self._wanted(held)
                    wanted = wanted if with_database else replace(wanted, database="")
                    await pg.set_up_access(connection, wanted)
                case steps.SwapDatabases(chosen, former):
                    await copies.swap(connection, chosen, former)
                case steps.DropDatabases(dropped):
                    await copies.drop(connection, dropped)

    def _wanted(self, held: Credentials) -> Wanted:
        return Wanted(
            database=names.DATABASE,
            owner=names.OWNER,
            logins=tuple((login.user, login.password) for login in held.open()),
            closed=held.closed(self._now()),
        )
