"""The SQL side of a Database on Railway: in through the TCP proxy, as superuser by password.

The operator is elsewhere, so that there is no other way in. What is asked and told is the same as
on Kubernetes (postgres/looks.py) but for settings, which are made by ALTER SYSTEM.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from datetime import datetime
from functools import partial

from postbase_operator.api.database import Database
from postbase_operator.archive.run import ServerFacts
from postbase_operator.archive.wish import ArchivingWish
from postbase_operator.desired import names
from postbase_operator.errors import Denied, NotReady, PostbaseError, Unavailable
from postbase_operator.planning import plan as steps
from postbase_operator.planning.observed import Server
from postbase_operator.postgres import server as pg
from postbase_operator.postgres.altering import alter
from postbase_operator.postgres.connect import password_session
from postbase_operator.postgres.credentials import Credentials, Front, begun, finished
from postbase_operator.postgres.faults import POSTGRESQL
from postbase_operator.postgres.looks import Door, Looks, ServerStep
from postbase_operator.postgres.replication import ReceiverSeen, ensure_role, receiver_seen
from postbase_operator.railway import parameters, services
from postbase_operator.railway.graphql.models import TcpProxy
from postbase_operator.railway.ground import Ground
from postbase_operator.railway.keyring import Keyring

logger = logging.getLogger(__name__)

SqlStep = ServerStep | steps.PokeConfig | steps.BeginRotation | steps.FinishRotation


class Servers:
    """Asks servers and tells them; one for all Databases of the platform."""

    def __init__(self, keyring: Keyring, now: Callable[[], datetime]) -> None:
        self._keyring = keyring
        self._now = now
        self._looks = Looks(now, pg.ALTERED)
        self._roles: dict[str, tuple[Front, str]] = {}
        """By UID: which server's receiver's role was given which password."""

    def forget(self, db: Database) -> None:
        self._looks.forget(db)
        self._roles.pop(db.metadata.uid, None)

    def unanswered_since(self, db: Database) -> datetime | None:
        return self._looks.unanswered_since(db)

    async def superuser(self, ground: Ground, db: Database) -> str:
        """The password of the superuser, as the volume was made with it."""
        _, service = await ground.look(db)
        if service is None:
            return await self._keyring.superuser(db)
        variables = await ground.sight.variables(service.service_id)
        return await self._keyring.superuser(db, variables.get(services.PASSWORD, ""))

    async def ask(
        self, ground: Ground, db: Database, proxy: TcpProxy | None
    ) -> tuple[Server | None, str]:
        """What the server says, or why it says nothing. Without a proxy it is not asked."""
        if proxy is None:
            return None, ""
        try:
            held = await self._keyring.credentials(db, front(proxy))
            return await self._looks.ask(db, await self._door(ground, db, proxy), held), ""
        except (Unavailable, Denied) as error:
            if error.service != POSTGRESQL:
                raise
            return None, str(error)

    async def ensure_secrets(self, ground: Ground, db: Database) -> None:
        """Those of the application only once the address is known: a Secret that leads nowhere is
        worse than none."""
        await self.superuser(ground, db)
        proxy = await _proxy(ground, db)
        if proxy is not None:
            await self._keyring.credentials(db, front(proxy))

    async def take(self, ground: Ground, db: Database, step: SqlStep) -> None:
        """Raises NotReady where there is no way in yet."""
        proxy = await _ready_proxy(ground, db)
        match step:
            case steps.PokeConfig(revision):
                waits = revision == parameters.revision(db, synchronous=True)
                door = await self._door(ground, db, proxy)
                async with door("postgres") as connection:
                    await alter(connection, parameters.wanted(db, synchronous=waits), revision)
            case steps.BeginRotation() | steps.FinishRotation():
                await self._keyring.change(db, front(proxy), partial(self._rotated, db, step))
            case _:
                held = await self._keyring.credentials(db, front(proxy))
                await self._looks.tell(db, await self._door(ground, db, proxy), held, step)

    def _rotated(self, db: Database, step: SqlStep, held: Credentials) -> Credentials:
        match step:
            case steps.BeginRotation(value):
                return begun(held, value)
            case steps.FinishRotation():
                return finished(held, self._now(), db.spec.credentials.overlap)
        return held

    async def way_in(self, ground: Ground, db: Database) -> Front:
        """Where it is, for who comes in by the password of the Secret. Raises as `take`."""
        proxy = await _ready_proxy(ground, db)
        await self.superuser(ground, db)
        return front(proxy)

    async def describe(self, ground: Ground, db: Database) -> tuple[Front, ServerFacts]:
        """Where it is, and what a backup's record says of it. Raises as `take`."""
        proxy = await _ready_proxy(ground, db)
        door = await self._door(ground, db, proxy)
        async with door(names.DATABASE) as connection:
            return front(proxy), await pg.described(connection, names.DATABASE)

    async def receiver(
        self, ground: Ground, db: Database, proxy: TcpProxy | None
    ) -> ReceiverSeen | None:
        """What the server says of the receiver; None where it says nothing."""
        if proxy is None:
            return None
        door = await self._door(ground, db, proxy)
        try:
            async with door("postgres") as connection:
                return await receiver_seen(connection)
        except (Unavailable, Denied) as error:
            if error.service != POSTGRESQL:
                raise
            return None

    async def replication(self, ground: Ground, db: Database, *, again: bool) -> str:
        """The password of the receiver's role, which has it when this returns. The server is told
        once, and `again`. Raises as `take`."""
        password = await self._keyring.replication(db)
        proxy = await _proxy(ground, db)
        known = self._roles.get(db.metadata.uid)
        if again or proxy is None or known != (front(proxy), password):
            proxy = await _ready_proxy(ground, db)
            door = await self._door(ground, db, proxy)
            async with door("postgres") as connection:
                await ensure_role(connection, password)
            self._roles[db.metadata.uid] = (front(proxy), password)
        return password

    async def told(
        self,
        ground: Ground,  # noqa: ARG002 - of those that have no proxy (either_servers.py)
        db: Database,  # noqa: ARG002
        archiving: ArchivingWish,  # noqa: ARG002
    ) -> Mapping[str, str]:
        """What is wanted of the server, as variables for who takes care of it; nothing where it is
        told by SQL."""
        return {}

    def note(self, db: Database, trouble: PostbaseError | None) -> None:
        """Why who takes care of it is not told yet; None: he is."""

    def may_close(self, db: Database) -> bool:  # noqa: ARG002
        """Nothing needs its proxy any more."""
        return False

    async def checkpoint(self, ground: Ground, db: Database) -> None:
        """Railway's stop does not reach PostgreSQL, which is killed after a while: what it then
        recovers from is short. One that gives no answer is stopped all the same."""
        proxy = await _proxy(ground, db)
        if proxy is None or not proxy.ready:
            return
        try:
            door = await self._door(ground, db, proxy)
            async with door("postgres") as connection:
                await connection.execute("CHECKPOINT")
        except (Unavailable, Denied) as error:
            if error.service != POSTGRESQL:
                raise
            logger.warning(
                "stopped without a checkpoint",
                extra={"object": str(db.metadata.name), "error": str(error)},
            )

    async def _door(self, ground: Ground, db: Database, proxy: TcpProxy) -> Door:
        password = await self.superuser(ground, db)
        return partial(password_session, proxy.domain, proxy.proxy_port, password)


async def _proxy(ground: Ground, db: Database) -> TcpProxy | None:
    state, service = await ground.look(db)
    return state.proxy_of(service.service_id) if service is not None else None


async def _ready_proxy(ground: Ground, db: Database) -> TcpProxy:
    proxy = await _proxy(ground, db)
    if proxy is None or not proxy.ready:
        raise NotReady(f"the TCP proxy of {ground.name(db)} is not there yet", 2.0)
    return proxy


def front(proxy: TcpProxy) -> Front:
    return Front(proxy.domain, proxy.proxy_port)
