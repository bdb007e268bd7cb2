"""How archiving of a Database on Railway does: asked of its server, and of the receiver's log.

The receiver itself is asked nothing: it has no port (receiver_report.py).
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from postbase_operator.api.conditions import ConditionType, find_condition
from postbase_operator.api.database import Database
from postbase_operator.archive.receiver import ReceiverConfig, ReceiverReport
from postbase_operator.archive.receiver_environment import report_in
from postbase_operator.archive.wish import OFF
from postbase_operator.errors import InvalidSpec, NotReady, PostbaseError
from postbase_operator.planning.archive_observed import ArchiveSeen, Silence
from postbase_operator.railway import receiver_service
from postbase_operator.railway.graphql import reads
from postbase_operator.railway.graphql.deployments import Deployment, Standing
from postbase_operator.railway.graphql.models import ServiceInstance, TcpProxy
from postbase_operator.railway.ground import Ground
from postbase_operator.railway.sql.servers import Servers
from postbase_operator.railway.wal import receiver_report
from postbase_operator.railway.wal.archive_books import ArchiveBooks
from postbase_operator.railway.wal.receiver_report import Known

logger = logging.getLogger(__name__)
SAID_EVERY = 30.0
"""Seconds for which the receiver's last words count as read: each reading is a request to Railway,
of which an hour has a thousand."""
LINES = 100
"""Of its log, from the end: without a filter, whose language Railway may change."""
BEGINS_WITHIN = timedelta(minutes=3)
"""How long its first beginning may take."""
STANDINGS = {
    Standing.COMING: "its deployment is on its way",
    Standing.FAILED: "its deployment has failed; its log is on Railway's page of the service. The "
    "image must be one that Railway can pull without a login (railway.image of the chart)",
    Standing.GONE: "its deployment is being removed",
    Standing.STOPPED: "its deployment is stopped",
    Standing.RUNNING: "it runs, and has no connection to the server",
}


@dataclass(frozen=True, slots=True)
class Receiver:
    """The service as it is seen. `config`: what it was last told, OFF where it is not there."""

    service: ServiceInstance | None = None
    config: ReceiverConfig = OFF

    @property
    def deployment(self) -> Deployment | None:
        return self.service.latest_deployment if self.service is not None else None

    @property
    def standing(self) -> Standing | None:
        """None where nothing was deployed yet."""
        return self.deployment.standing if self.deployment is not None else None

    @property
    def service_id(self) -> str | None:
        return self.service.service_id if self.service is not None else None


@dataclass(frozen=True, slots=True)
class WayIn:
    """To a server that answers. `identity`: another server, or another way in, has another one."""

    identity: str
    proxy: TcpProxy | None = None


@dataclass(slots=True)
class Memory:
    """Of one Database, between looks. `said`: of which deployment, when (monotonic), what.
    `restarted`: the last request that was served. `front`: which server it is about."""

    front: str = ""
    known: Known = field(default_factory=Known)
    silent_since: datetime | None = None
    trouble: PostbaseError | None = None
    said: tuple[str, float, ReceiverReport | None] = ("", 0.0, None)
    restarted: str = ""


@dataclass(slots=True)
class Hearing:
    """Of all Databases of the platform, and what is remembered of each."""

    servers: Servers
    books: ArchiveBooks
    now: Callable[[], datetime]
    _memories: dict[str, Memory] = field(default_factory=dict)  # by the Database's UID

    def memory(self, db: Database) -> Memory:
        return self._memories.setdefault(db.metadata.uid, Memory())

    def forget(self, db: Database) -> None:
        self._memories.pop(db.metadata.uid, None)

    def is_well(self, db: Database) -> None:
        """Nothing is in the way of having it so."""
        if db.metadata.uid in self._memories:
            self._memories[db.metadata.uid].trouble = None

    async def receiver(self, ground: Ground, db: Database) -> Receiver:
        """A stranger's service of that name is nobody's to us: told once one is to be made."""
        try:
            _, service = await ground.look_receiver(db)
            if service is None:
                return Receiver()
            held = await ground.sight.variables(service.service_id)
        except (InvalidSpec, NotReady):
            return Receiver()
        return Receiver(service, receiver_service.told_last(held))

    async def look(
        self,
        ground: Ground,
        db: Database,
        receiver: Receiver,
        system_id: str,
        answering: WayIn | None,
    ) -> ArchiveSeen | None:
        """`answering`: the way in to a server that answers now. None where there is no store."""
        if not self.books.wants(db) or not system_id:
            self._memories.pop(db.metadata.uid, None)
            return await self.books.look(db, system_id, None, None)
        report, silence = None, None
        if answering is not None:
            report, silence = await self._heard(ground, db, receiver, answering)
        seen = await self.books.look(db, system_id, report, silence)
        if seen is None:
            return None
        return replace(seen, report=receiver_report.completed(seen.report, seen.log))

    async def _heard(
        self, ground: Ground, db: Database, receiver: Receiver, way: WayIn
    ) -> tuple[ReceiverReport | None, Silence | None]:
        """One of the two, or none of them where the server has not answered this time."""
        seen = await self.servers.receiver(ground, db, way.proxy)
        if seen is None:
            return None, None
        memory = self.memory(db)
        if memory.front != way.identity:  # another's log: its positions say nothing of this one's
            memory.front, memory.known, memory.silent_since = way.identity, Known(), None
        memory.known = receiver_report.learnt(memory.known, seen)
        report = receiver_report.report(seen, memory.known, receiver.config)
        if not receiver_report.is_well(report):
            said = await self._said(ground, memory, receiver)
            report = receiver_report.explained(report, said, seen, memory.known, receiver.config)
        if report is not None:
            memory.silent_since = None
            return report, None
        memory.silent_since = memory.silent_since or self.now()
        if self._may_yet_begin(db, memory, receiver):
            return None, None
        return None, Silence(memory.silent_since, "ReceiverDown", _why(memory, receiver))

    def _may_yet_begin(self, db: Database, memory: Memory, receiver: Receiver) -> bool:
        """It is made for the first time: to Railway that is a minute or two, and no trouble."""
        held = find_condition(db.status.conditions, ConditionType.ARCHIVING)
        first = held is None or held.reason == "Starting"
        waits = memory.trouble is None or isinstance(memory.trouble, NotReady)
        comes = receiver.standing in (None, Standing.COMING, Standing.RUNNING)
        since = memory.silent_since or self.now()
        return first and waits and comes and self.now() - since < BEGINS_WITHIN

    async def _said(
        self, ground: Ground, memory: Memory, receiver: Receiver
    ) -> ReceiverReport | None:
        """Its last words, by the log of its deployment. They only explain: without them the
        condition says less, so that no error of Railway's is worth ending a look for."""
        latest = receiver.deployment
        if latest is None:
            return None
        deployment, at, said = memory.said
        now = ground.sight.clock()
        if deployment == latest.id and now - at < SAID_EVERY:
            return said
        try:
            lines = await reads.logs(ground.client, latest.id, limit=LINES)
        except PostbaseError as error:
            logger.info("the receiver's log was not read", extra={"error": str(error)})
            lines = ()
        found = (report_in(line.message) for line in reversed(lines))
        said = next((each for each in found if each is not None), None)
        memory.said = (latest.id, now, said)
        return said


def _why(memory: Memory, receiver: Receiver) -> str:
    if memory.trouble is not None:
        why = str(memory.trouble)
    elif receiver.service is None:
        why = "its service is not there yet"
    elif receiver.standing is None:
        why = "its service has no deployment yet"
    else:
        why = STANDINGS[receiver.standing]
    return f"The WAL receiver does not stream: {why}"
