"""Archiving of Databases on Railway: what is seen of it, and what is done for it.

The receiver is a service beside the database's (receiving.py), and is asked nothing: it has no
port. How it does is asked of the server (receiver_report.py). Trouble with it is told, and holds up
nothing else of its Database.
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
from postbase_operator.archive.wish import OFF, ArchivingWish
from postbase_operator.errors import InvalidSpec, NotReady, PostbaseError
from postbase_operator.planning.archive_observed import ArchiveSeen, Silence
from postbase_operator.railway import receiver_service
from postbase_operator.railway.graphql import reads
from postbase_operator.railway.graphql.deployments import Deployment, Standing
from postbase_operator.railway.graphql.faults import NotFound, PlanLimit, Refused
from postbase_operator.railway.graphql.models import ServiceInstance, TcpProxy
from postbase_operator.railway.ground import Ground
from postbase_operator.railway.lifecycle.building import goes
from postbase_operator.railway.lifecycle.making import SERVICE
from postbase_operator.railway.sql.servers import Servers
from postbase_operator.railway.support import is_private
from postbase_operator.railway.wal import receiver_report
from postbase_operator.railway.wal.archive_books import ArchiveBooks
from postbase_operator.railway.wal.beside import Beside
from postbase_operator.railway.wal.receiver_report import Known
from postbase_operator.railway.wal.receiving import Receiving

logger = logging.getLogger(__name__)
SAID_EVERY = 30.0
"""Seconds for which the receiver's last words count as read: each reading is a request to Railway,
of which an hour has a thousand."""
LINES = 100
"""Of its log, from the end: without a filter, whose language Railway may change."""
RESTS = 5.0
"""Seconds until Railway is asked again to have it so, where it is waited for and something is in
the way …"""
REJECTED_RESTS = 120.0
"""… and where Railway has rejected it: each such look is four requests, of which an hour has a
thousand, and nothing of it is mended within seconds."""
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
class _Memory:
    """Of one Database, between looks. `said`: of which deployment, when (monotonic), what.
    `restarted`: the last request that was served. `front`: which server it is about."""

    front: str = ""
    known: Known = field(default_factory=Known)
    silent_since: datetime | None = None
    trouble: PostbaseError | None = None
    said: tuple[str, float, ReceiverReport | None] = ("", 0.0, None)
    restarted: str = ""


@dataclass(slots=True)
class Archiving:
    """One for all Databases of the platform. `image` is our own, as Railway pulls it."""

    servers: Servers
    books: ArchiveBooks
    image: str
    now: Callable[[], datetime]
    _beside: Beside = field(init=False)
    _memories: dict[str, _Memory] = field(default_factory=dict)  # by the Database's UID
    _free: set[str] = field(default_factory=set)  # UIDs: no commit waits for the receiver
    _rests: dict[str, float] = field(default_factory=dict)
    """By UID, of those that wait for the service beside them: not before, by the clock."""

    def __post_init__(self) -> None:
        self._beside = Beside(self.servers, self.books)

    def commits_wait(self, db: Database, *, waits: bool) -> None:
        """As its server says; True of one that runs and says nothing. A receiver is taken away only
        where it is known that none waits: no commit would end any more. An operator that has just
        begun knows that of nobody."""
        (self._free.discard if waits else self._free.add)(db.metadata.uid)

    def forget(self, db: Database) -> None:
        self._free.discard(db.metadata.uid)
        self._rests.pop(db.metadata.uid, None)
        self._memories.pop(db.metadata.uid, None)
        self.books.forget(db)

    # -- looking -----------------------------------------------------------------------------

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
        memory = self._memory(db)
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

    def _may_yet_begin(self, db: Database, memory: _Memory, receiver: Receiver) -> bool:
        """It is made for the first time: to Railway that is a minute or two, and no trouble."""
        held = find_condition(db.status.conditions, ConditionType.ARCHIVING)
        first = held is None or held.reason == "Starting"
        waits = memory.trouble is None or isinstance(memory.trouble, NotReady)
        comes = receiver.standing in (None, Standing.COMING, Standing.RUNNING)
        since = memory.silent_since or self.now()
        return first and waits and comes and self.now() - since < BEGINS_WITHIN

    async def _said(
        self, ground: Ground, memory: _Memory, receiver: Receiver
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

    def _memory(self, db: Database) -> _Memory:
        return self._memories.setdefault(db.metadata.uid, _Memory())

    # -- doing -------------------------------------------------------------------------------

    async def apply(self, ground: Ground, db: Database, wish: ArchivingWish) -> None:
        """The service as it is wanted, or none. What is in the way the next look tells."""
        rests = self._rests.get(db.metadata.uid, 0.0) > ground.sight.clock()
        if is_private(db) and rests:
            return
        try:
            if wish.receiver.enabled or is_private(db):
                await self._bring(ground, db, wish)
            elif db.metadata.uid in self._free:
                await Receiving(ground).remove(db)
        except PostbaseError as error:
            self._memory(db).trouble = error
            self.servers.note(db, error)
            self._rests[db.metadata.uid] = ground.sight.clock() + _rest(error)
            logger.info(
                "the receiver is not as wanted yet",
                extra={"object": str(db.metadata.name), "error": str(error)},
            )
            return
        self.servers.note(db, None)
        if db.metadata.uid in self._memories:
            self._memories[db.metadata.uid].trouble = None

    async def restart(self, ground: Ground, db: Database, request: str) -> None:
        """Once a request, as long as this process lives: what fails after it in the same run does
        not have it done again. Raises what Railway has not done, but for what lasts."""
        memory = self._memory(db)
        if memory.restarted == request:
            return
        try:
            _, service = await ground.look_receiver(db, fresh=True)
            await Receiving(ground).restart(service)
        except (InvalidSpec, NotFound) as error:  # a stranger's, or gone meanwhile
            extra = {"object": str(db.metadata.name), "error": str(error)}
            logger.info("there is no receiver to restart", extra=extra)
        memory.restarted = request

    async def _bring(self, ground: Ground, db: Database, wish: ArchivingWish) -> None:
        state, database = await ground.look(db)
        if database is None:
            raise NotReady(f"the service {ground.name(db)} is not seen", 2.0)
        runs = goes(database)
        if db.spec.paused and not runs:
            _, service = await ground.look_receiver(db)
            return await Receiving(ground).stop(service)
        volumes = state.volumes_of(database.service_id)
        region = (volumes[0].region if volumes else None) or database.region
        if region is None:
            raise NotReady(f"Railway does not say where {ground.name(db)} runs", 2.0)
        silent = self._memory(db).silent_since is not None
        name = database.service_name
        variables, trouble = await self._beside.told(ground, db, wish, name, again=silent)
        wanted = receiver_service.wanted_with(db, ground.cluster, self.image, region, variables)
        try:
            await Receiving(ground).apply(db, wanted)
        except NotReady as error:
            raise trouble or error from None
        if trouble is not None:  # of the archive alone: the server is taken care of
            raise trouble

    async def is_gone(self, ground: Ground, db: Database) -> bool:
        """At the deletion of its Database, once the server's service is gone: what that has sent is
        archived by then. Raises NotReady within the time in which one may still show."""
        name, told = ground.receiver_name(db), db.status
        known = told.railway is not None and told.railway.receiver_service_id is not None
        may_be_there = known or (told.pitr is not None and told.pitr.enabled) or is_private(db)
        if may_be_there:
            ground.is_met(SERVICE, name)
        try:
            gone = await Receiving(ground).remove(db)
        except InvalidSpec as error:
            extra = {"object": str(db.metadata.name), "error": str(error)}
            logger.warning("left alone on Railway", extra=extra)
            return True
        if gone and may_be_there:
            ground.wait_for(SERVICE, name)
        return gone


def _rest(error: PostbaseError) -> float:
    """Seconds."""
    if isinstance(error, (PlanLimit, Refused)):
        return REJECTED_RESTS
    return (error.retry_after if isinstance(error, NotReady) else None) or RESTS


def _why(memory: _Memory, receiver: Receiver) -> str:
    if memory.trouble is not None:
        why = str(memory.trouble)
    elif receiver.service is None:
        why = "its service is not there yet"
    elif receiver.standing is None:
        why = "its service has no deployment yet"
    else:
        why = STANDINGS[receiver.standing]
    return f"The WAL receiver does not stream: {why}"
