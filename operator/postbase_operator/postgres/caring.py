"""A server is made as it is wanted, and looked at, by whoever stands beside it.

What the operator does elsewhere step by step, in one go: all of it is idempotent, so that a kill
anywhere costs a repetition. What PostgreSQL refuses of it is told, and holds up nothing else.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial

from postbase_operator.archive import run
from postbase_operator.archive.lsn import Lsn
from postbase_operator.archive.server_wish import (
    ServerReport,
    ServerWish,
    ToldFacts,
    ToldReceiver,
    Trouble,
    WantedLogin,
)
from postbase_operator.errors import Denied, InvalidSpec, Unavailable
from postbase_operator.planning.archiving import LOST
from postbase_operator.planning.observed import ServerFacts
from postbase_operator.postgres import server as pg
from postbase_operator.postgres.access import Found, Wanted, is_right
from postbase_operator.postgres.altering import alter
from postbase_operator.postgres.connect import Connection
from postbase_operator.postgres.looks import MEASURED, Door
from postbase_operator.postgres.replication import ReceiverSeen, ensure_role, receiver_seen

REFUSED_AGAIN = 120.0
"""Seconds until what PostgreSQL has refused is asked of it again: each attempt is a line of its
log, and room for an extension may be there by then."""


@dataclass(slots=True)
class Caring:
    """Of one server, for one wish."""

    wish: ServerWish
    door: Door
    now: Callable[[], datetime]
    clock: Callable[[], float] = time.monotonic
    did: bool = False
    """The last look has changed something, which may show a moment later."""
    _refused: dict[str, tuple[float, Trouble]] = field(default_factory=dict)
    """By what was refused: when, and what was said."""
    _used: tuple[float, int] = (-MEASURED, 0)
    _described: tuple[float, run.ServerFacts | None] = (-MEASURED, None)

    async def look(self) -> ServerReport:
        """Makes it so, then tells how it is."""
        at, self.did = self.now(), False
        told = ServerReport(wish=self.wish.revision, at=at)
        try:
            async with self.door("postgres") as connection:
                facts = await pg.facts(connection, pg.ALTERED)
                if not facts.in_recovery:
                    facts = await self._make_so(connection, facts)
                found = await pg.find_access(connection, self._wanted(named=True))
                seen = await receiver_seen(connection) if not facts.in_recovery else None
                used = await self._measure(connection)
            extensions = await self._extend(found, facts)
            await self._describe(found)
        except (Unavailable, Denied) as error:
            return told.model_copy(update={"error": str(error)})
        refused = [trouble for _, trouble in self._refused.values()]
        return told.model_copy(
            update={
                "facts": self._told(facts, found, extensions, used),
                "receiver": _receiver(seen) if seen is not None else None,
                "trouble": refused[0] if refused else None,
            }
        )

    # -- making it so ------------------------------------------------------------------------

    async def _make_so(self, connection: Connection, facts: ServerFacts) -> ServerFacts:
        """Answers with the facts as they are after it."""
        wish = self.wish
        found = await pg.find_access(connection, self._wanted(named=True))
        if not is_right(self._wanted(), found):
            self.did = True
            await pg.set_up_access(connection, self._wanted())
        await ensure_role(connection, wish.replication)
        if facts.mounted_revision != wish.settings_revision:

            async def change() -> None:
                await alter(connection, wish.settings, wish.settings_revision)
                await pg.reload(connection)

            await self._try("settings", change)
        elif facts.loaded_revision != wish.settings_revision and not facts.rejected:
            self.did = True
            await pg.reload(connection)
        useless = not wish.archives and not facts.synchronous
        if facts.slot and (useless or facts.slot == LOST):
            self.did = True
            await pg.drop_slot(connection)
        return await pg.facts(connection, pg.ALTERED) if self.did else facts

    async def _extend(self, found: Found, facts: ServerFacts) -> tuple[str, ...]:
        """The extensions of the application's database, with what of the wish could be made."""
        if self.wish.database not in found.databases:
            return ()
        names = [each.name for each in self.wish.extensions]
        if not names:
            return ()
        async with self.door(self.wish.database) as connection:
            missing = await pg.missing_extensions(connection, names)
            for each in self.wish.extensions if not facts.in_recovery else ():
                if each.name in missing:
                    create = partial(pg.create_extension, connection, each.name, each.version)
                    await self._try(f"extension {each.name}", create)
            missing = await pg.missing_extensions(connection, names)
        return tuple(name for name in names if name not in missing)

    async def _try(self, what: str, work: Callable[[], Awaitable[None]]) -> None:
        at, _ = self._refused.get(what, (-REFUSED_AGAIN, None))
        if self.clock() - at < REFUSED_AGAIN:
            return
        self.did = True
        self._refused.pop(what, None)
        try:
            await work()
        except InvalidSpec as error:
            trouble = Trouble(field=error.field, why=error.why, reason=error.reason)
            self._refused[what] = (self.clock(), trouble)

    def _wanted(self, *, named: bool = False) -> Wanted:
        """`named`: with the database's name also where it is not to be made."""
        wish = self.wish
        return Wanted(
            database=wish.database if wish.makes_database or named else "",
            owner=wish.owner,
            logins=tuple((each.user, each.password) for each in wish.logins),
            closed=wish.closed,
        )

    # -- telling -----------------------------------------------------------------------------

    async def _measure(self, connection: Connection) -> int:
        at, used = self._used
        if self.clock() - at >= MEASURED:
            used = await pg.used_bytes(connection)
            self._used = (self.clock(), used)
        return used

    async def _describe(self, found: Found) -> None:
        """For backups: of an application's database there must be one."""
        at, known = self._described
        is_there = self.wish.database in found.databases
        if is_there and (known is None or self.clock() - at >= MEASURED):
            async with self.door(self.wish.database) as connection:
                known = await pg.described(connection, self.wish.database)
            self._described = (self.clock(), known)

    def _told(
        self, facts: ServerFacts, found: Found, extensions: tuple[str, ...], used: int
    ) -> ToldFacts:
        wish, lacks = self.wish, self.wish.database not in found.databases
        return ToldFacts(
            system_id=facts.system_id,
            version=facts.version,
            started_at=facts.started_at,
            in_recovery=facts.in_recovery,
            loaded_revision=facts.loaded_revision,
            mounted_revision=facts.mounted_revision,
            pending_restart=facts.pending_restart,
            rejected=facts.rejected,
            synchronous=facts.synchronous,
            slot=facts.slot,
            used_bytes=used,
            access_right=not lacks and is_right(self._wanted(), found),
            lacks_database=lacks,
            logins=tuple(wish.mark(each) for each in wish.logins if self._works(each, found)),
            extensions=extensions,
            described=self._described[1],
        )

    def _works(self, login: WantedLogin, found: Found) -> bool:
        alone = Wanted("", self.wish.owner, ((login.user, login.password),))
        return is_right(alone, found)


def _receiver(seen: ReceiverSeen) -> ToldReceiver:
    return ToldReceiver(
        at=seen.at,
        server=str(seen.server),
        timeline=seen.timeline,
        connected_at=seen.connected_at,
        state=seen.state,
        received=_text(seen.received),
        durable=_text(seen.durable),
        lag_seconds=seen.lag_seconds,
        kept=_text(seen.kept),
    )


def _text(position: Lsn | None) -> str | None:
    return None if position is None else str(position)
