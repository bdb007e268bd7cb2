"""The SQL side of a Database on Railway that nobody reaches from outside: by its Caretaker.

There is no way in. What is wanted of the server is told to the Caretaker in the service beside it
(archive/server_wish.py), which makes it so; how the server is stands in the log of that service.
Each reading of a log is a request to Railway, of which an hour has a thousand: it is read seldom,
and often only while something is awaited.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial

from postbase_operator.api.database import Database
from postbase_operator.archive.run import ServerFacts
from postbase_operator.archive.server_wish import ServerReport, ServerWish, server_report_in
from postbase_operator.archive.wish import ArchivingWish
from postbase_operator.errors import InvalidSpec, NotReady, PostbaseError
from postbase_operator.planning import plan as steps
from postbase_operator.planning.observed import Server
from postbase_operator.postgres.credentials import Credentials, Front
from postbase_operator.postgres.replication import ReceiverSeen
from postbase_operator.railway.graphql import reads
from postbase_operator.railway.graphql.deployments import Deployment, Standing
from postbase_operator.railway.graphql.models import ServiceInstance
from postbase_operator.railway.ground import Ground
from postbase_operator.railway.keyring import Keyring
from postbase_operator.railway.receiver_service import PORT, private_host
from postbase_operator.railway.sql import server_report
from postbase_operator.railway.sql.servers import SqlStep

logger = logging.getLogger(__name__)
LINES = 300
"""Of its log, from the end: the lines of a receiver in trouble are among them."""
FRESH = timedelta(minutes=5)
"""How old a report may be. The Caretaker tells one at least each 105 seconds."""
READ_EVERY = 120.0
"""Seconds between two readings of a log while all is as wanted."""
READ_SOON = 5.0
"""Likewise while something is awaited …"""
PATIENCE = 180.0
"""… for so long; then it is in trouble, and looked at less often."""
READ_AGAIN = 30.0
WAITS = {
    Standing.COMING: "its deployment is on its way",
    Standing.FAILED: "its deployment has failed; its log is on Railway's page of the service. The "
    "image must be one that Railway can pull without a login (railway.image of the chart)",
    Standing.GONE: "its deployment is being removed",
    Standing.STOPPED: "its deployment is stopped",
}


@dataclass(slots=True)
class _Memory:
    """Of one Database, between looks. Times are monotonic."""

    report: ServerReport | None = None
    """The newest that was read, of whichever deployment."""
    read: tuple[str, float] = ("", 0.0)
    """The deployment whose log was read last, and when."""
    awaits_since: float | None = None
    wanted: ServerWish | None = None
    trouble: str = ""
    """Why the Caretaker is not told yet."""
    unanswered: datetime | None = None
    answers: bool = False
    """The last look was answered, by the server of now."""


@dataclass(slots=True)
class PrivateServers:
    """One for all private Databases of the platform. `superuser`: as railway.servers has it;
    `rotated` likewise: what a step of a rotation makes of the Secret."""

    keyring: Keyring
    now: Callable[[], datetime]
    superuser: Callable[[Ground, Database], Awaitable[str]]
    rotated: Callable[[Database, SqlStep, Credentials], Credentials]
    _memories: dict[str, _Memory] = field(default_factory=dict)

    def forget(self, db: Database) -> None:
        self._memories.pop(db.metadata.uid, None)

    def _memory(self, db: Database) -> _Memory:
        return self._memories.setdefault(db.metadata.uid, _Memory())

    def unanswered_since(self, db: Database) -> datetime | None:
        return self._memory(db).unanswered

    def answers(self, db: Database) -> bool:
        return self._memory(db).answers

    def note(self, db: Database, trouble: PostbaseError | None) -> None:
        self._memory(db).trouble = "" if trouble is None else str(trouble)

    # -- looking -----------------------------------------------------------------------------

    async def ask(self, ground: Ground, db: Database) -> tuple[Server | None, str]:
        """What the Caretaker has said of it, or why nothing that counts."""
        memory = self._memory(db)
        server, why = await self._ask(ground, db, memory)
        memory.answers = server is not None
        if server is None:
            memory.unanswered = memory.unanswered or self.now()
            return None, f"The server is asked by the service beside it: {why}"
        memory.unanswered = None
        state, service = await ground.look(db)
        if service is not None and state.proxy_of(service.service_id) is not None:
            return None, "The way in from the internet is being closed"
        return server, ""

    async def describe(self, ground: Ground, db: Database) -> tuple[Front, ServerFacts]:
        """Where it is to its neighbours, and what a backup's record says of it, as of the last
        report. Raises NotReady where there is none that counts."""
        server, why = await self.ask(ground, db)
        report = self._memory(db).report
        facts = report.facts if report is not None else None
        if server is None or facts is None or facts.described is None:
            raise NotReady(why or "the service beside the server has not described it yet", 5.0)
        return front(await self._service(ground, db)), facts.described

    async def _ask(
        self, ground: Ground, db: Database, memory: _Memory
    ) -> tuple[Server | None, str]:
        service = await self._service(ground, db)
        held = await self.keyring.credentials(db, front(service))
        why = await self._read(ground, db, memory)
        report, process = memory.report, service.latest_deployment
        since = process.status_updated_at if process is not None else None
        if report is None or (since is not None and report.at <= since):
            return None, why or "it has not answered yet"
        if self.now() - report.at > FRESH:
            return None, why or f"it was last heard of at {report.at:%Y-%m-%dT%H:%M:%SZ}"
        if report.facts is None:
            return None, report.error
        if report.facts.lacks_database and server_report.is_restored(db):
            raise InvalidSpec(
                "spec.expose",
                "what spec.bootstrap names has not been restored: set ClusterIP until it is",
                reason="NotSupportedOnRailway",
            )
        superuser = await self.superuser(ground, db)
        found = server_report.server(db, report, superuser, held)
        return found, "" if found is not None else "it makes roles and the database"

    async def _service(self, ground: Ground, db: Database) -> ServiceInstance:
        _, service = await ground.look(db)
        if service is None:
            raise NotReady(f"the service {ground.name(db)} is not seen", 2.0)
        return service

    async def _read(self, ground: Ground, db: Database, memory: _Memory) -> str:
        """The newest report, where another one is due. Why there may be none."""
        try:
            _, caretaker = await ground.look_receiver(db)
        except InvalidSpec as error:  # a stranger's: nothing of it is read
            memory.report = None
            return str(error)
        latest = caretaker.latest_deployment if caretaker is not None else None
        if latest is None:
            return memory.trouble or "it is not there yet"
        if latest.standing is not Standing.RUNNING:
            return WAITS[latest.standing]
        if self._is_due(memory, latest, ground.sight.clock()):
            await self._read_log(ground, memory, latest)
        return memory.trouble

    def _is_due(self, memory: _Memory, latest: Deployment, now: float) -> bool:
        deployment, at = memory.read
        report = memory.report
        settled = report is not None and server_report.is_settled(report, memory.wanted)
        if settled and memory.answers:
            memory.awaits_since = None
            return deployment != latest.id or now - at >= READ_EVERY
        if memory.awaits_since is None:
            memory.awaits_since = now
        pace = READ_SOON if now - memory.awaits_since < PATIENCE else READ_AGAIN
        return deployment != latest.id or now - at >= pace

    async def _read_log(self, ground: Ground, memory: _Memory, latest: Deployment) -> None:
        """What was read before counts on where Railway does not answer: it grows old by itself."""
        clock = ground.sight.clock()
        memory.read = (latest.id, clock)
        try:
            lines = await reads.logs(ground.client, latest.id, limit=LINES)
        except PostbaseError as error:
            logger.info("a Caretaker's log was not read", extra={"error": str(error)})
            memory.read = (latest.id, clock - READ_EVERY + READ_AGAIN)  # not in two minutes only
            return
        found = (server_report_in(line.message) for line in reversed(lines))
        newest = next((each for each in found if each is not None), None)
        if newest is not None and (memory.report is None or newest.at > memory.report.at):
            memory.report = newest

    def receiver(self, db: Database) -> ReceiverSeen | None:
        """What the server says of the receiver; None where it says nothing."""
        report = self._memory(db).report
        return server_report.receiver_seen(report) if report is not None else None

    # -- telling -----------------------------------------------------------------------------

    async def told(
        self, ground: Ground, db: Database, archiving: ArchivingWish
    ) -> Mapping[str, str]:
        """What the Caretaker is to be told, as variables of its service."""
        held = await self.keyring.credentials(db, front(await self._service(ground, db)))
        superuser = await self.superuser(ground, db)
        replication = await self.keyring.replication(db)
        wish = server_report.wish(db, superuser, replication, held, archiving, self.now())
        self._memory(db).wanted = wish
        return wish.variables()

    async def ensure_secrets(self, ground: Ground, db: Database) -> None:
        await self.superuser(ground, db)
        _, service = await ground.look(db)
        if service is not None:
            await self.keyring.credentials(db, front(service))

    async def take(self, ground: Ground, db: Database, step: SqlStep) -> None:
        """The wish says it, and the Caretaker does it: of most steps nothing is left to do but to
        wait. Raises InvalidSpec for what PostgreSQL refuses."""
        match step:
            case steps.BeginRotation() | steps.FinishRotation():
                where = front(await self._service(ground, db))
                await self.keyring.change(db, where, partial(self.rotated, db, step))
            case steps.PokeConfig() | steps.ReloadConfig() | steps.DropSlot():
                self._refused(db)
            case _:
                self._refused(db)
                raise NotReady("the service beside the server is told of it", 2.0)

    def _refused(self, db: Database) -> None:
        memory = self._memory(db)
        report, wanted = memory.report, memory.wanted
        if report is None or wanted is None or report.wish != wanted.revision:
            return
        if (trouble := report.trouble) is not None:
            raise InvalidSpec(trouble.field, trouble.why, trouble.reason)


def front(service: ServiceInstance) -> Front:
    return Front(private_host(service.service_name), PORT)
