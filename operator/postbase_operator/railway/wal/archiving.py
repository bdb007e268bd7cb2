"""Archiving of Databases on Railway: what is done for it.

The receiver is a service beside the database's (receiving.py). How it does is heard elsewhere
(hearing.py). Trouble with it is told, and holds up nothing else of its Database.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, field

from postbase_operator.api.database import Database
from postbase_operator.archive.wish import ArchivingWish
from postbase_operator.errors import InvalidSpec, NotReady, PostbaseError
from postbase_operator.railway import receiver_service
from postbase_operator.railway.graphql.faults import NotFound, PlanLimit, Refused
from postbase_operator.railway.ground import Ground
from postbase_operator.railway.lifecycle.building import goes
from postbase_operator.railway.lifecycle.making import SERVICE
from postbase_operator.railway.support import is_private
from postbase_operator.railway.wal.beside import Beside
from postbase_operator.railway.wal.hearing import Hearing
from postbase_operator.railway.wal.receiving import Receiving

logger = logging.getLogger(__name__)
RESTS = 5.0
"""Seconds until Railway is asked again to have it so, where it is waited for and something is in
the way …"""
REJECTED_RESTS = 120.0
"""… and where Railway has rejected it: each such look is four requests, of which an hour has a
thousand, and nothing of it is mended within seconds."""


@dataclass(slots=True)
class Archiving:
    """One for all Databases of the platform. `image` is our own, as Railway pulls it."""

    hearing: Hearing
    image: str
    _beside: Beside = field(init=False)
    _free: set[str] = field(default_factory=set)  # UIDs: no commit waits for the receiver
    _rests: dict[str, float] = field(default_factory=dict)
    """By UID, of those that wait for the service beside them: not before, by the clock."""

    def __post_init__(self) -> None:
        self._beside = Beside(self.hearing.servers, self.hearing.books)

    def commits_wait(self, db: Database, *, waits: bool) -> None:
        """As its server says; True of one that runs and says nothing. A receiver is taken away only
        where it is known that none waits: no commit would end any more. An operator that has just
        begun knows that of nobody."""
        (self._free.discard if waits else self._free.add)(db.metadata.uid)

    def forget(self, db: Database) -> None:
        self._free.discard(db.metadata.uid)
        self._rests.pop(db.metadata.uid, None)
        self.hearing.forget(db)
        self.hearing.books.forget(db)

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
            self.hearing.memory(db).trouble = error
            self.hearing.servers.note(db, error)
            self._rests[db.metadata.uid] = ground.sight.clock() + _rest(error)
            logger.info(
                "the receiver is not as wanted yet",
                extra={"object": str(db.metadata.name), "error": str(error)},
            )
            return
        self.hearing.servers.note(db, None)
        self.hearing.is_well(db)

    async def restart(self, ground: Ground, db: Database, request: str) -> None:
        """Once a request, as long as this process lives: what fails after it in the same run does
        not have it done again. Raises what Railway has not done, but for what lasts."""
        memory = self.hearing.memory(db)
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
        silent = self.hearing.memory(db).silent_since is not None
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
