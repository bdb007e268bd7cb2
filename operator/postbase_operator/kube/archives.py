"""How the archives of Databases in this cluster do: what their sidecars say, and what lies there.

While archiving is off nothing is asked.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime

from postbase_operator.api.database import Database
from postbase_operator.api.project import Project
from postbase_operator.errors import InvalidSpec
from postbase_operator.kube.admin import Admin
from postbase_operator.kube.archive_books import Books
from postbase_operator.kube.cache import Cache
from postbase_operator.kube.receivers import Receivers
from postbase_operator.kube.session import Session
from postbase_operator.kube.stores import Source, Stores
from postbase_operator.planning import plan as steps
from postbase_operator.planning.archive_observed import ArchiveSeen, Earlier
from postbase_operator.planning.archiving import archive_of
from postbase_operator.planning.observed import Process, ProcessState
from postbase_operator.settings import Settings

logger = logging.getLogger(__name__)
ArchiveStep = steps.BringStore | steps.EnterCatalogue
BROUGHT_EVERY = 45.0
ANSWERS = {ProcessState.RUNNING, ProcessState.STOPPING}
"""While PostgreSQL stops, the sidecar tells whether the archive has got the end of the log."""


class Archives:
    """One for all Databases."""

    def __init__(
        self,
        api: Session,
        cache: Cache,
        settings: Settings,
        admin: Admin,
        now: Callable[[], datetime],
    ) -> None:
        self._admin = admin
        self._books = Books(api, cache, settings, now)
        self.receivers = Receivers(admin, now)
        self._brought: dict[str, tuple[float, int]] = {}  # by the Database's UID

    @property
    def stores(self) -> Stores:
        return self._books.stores

    def forget(self, db: Database) -> None:
        self.receivers.forget(db)
        self._books.forget(db)
        self._brought.pop(db.metadata.uid, None)

    def project(self, db: Database) -> Project | None:
        return self._books.project(db)

    async def watch(self, wake: Callable[[Database], None]) -> None:
        """Asks the sidecars of all that are there; `wake`: of one that says something else."""
        await self.receivers.watch(wake, self._books.is_there)

    async def look(self, db: Database, process: Process, system_id: str) -> ArchiveSeen | None:
        """None where there is no store. What the store raises is told, not raised."""
        source = self._books.source(db)
        if source is None:
            self.receivers.forget(db)
            return None
        seen = self._books.seen(db, source, system_id)
        on = self._books.policy(db).enabled and bool(system_id)
        answers = process.state in ANSWERS and bool(process.address)
        if not on or not answers or not process.receiver_revision:
            self.receivers.forget(db)
            return seen
        heard = await self.receivers.ask(db, process.address)
        if process.state is not ProcessState.RUNNING:
            return replace(seen, report=heard.report)
        listing = await self._books.listed(db, source, archive_of(db, system_id), heard.report)
        return replace(
            seen,
            report=heard.report,
            silence=heard.silence,
            log=listing.log,
            listing_error=listing.error,
            may_tell=self._books.may_tell(db, heard.report),
        )

    async def earlier(self, db: Database) -> Earlier:
        """What the catalogue has of Databases of this name that are gone."""
        return await self._books.earlier(db)

    async def take(self, db: Database, step: ArchiveStep) -> None:
        match step:
            case steps.BringStore():
                source = self._books.source(db)
                if source is not None:
                    await self._bring(db, source)
            case steps.EnterCatalogue():
                await self._books.enter(db)

    async def _bring(self, db: Database, source: Source) -> None:
        """Trouble with its sources is told by the receiver, which goes on with what it has."""
        try:
            data = await self._books.stores.data(source)
        except InvalidSpec as error:
            logger.warning("a store's Secrets cannot be read", extra={"error": str(error)})
            return
        at, held = self._brought.get(db.metadata.uid, (-BROUGHT_EVERY, 0))
        digest = hash(tuple(sorted(data.items())))
        if held != digest or time.monotonic() - at >= BROUGHT_EVERY:
            await self._admin.bring_store(db, data)
            self._brought[db.metadata.uid] = time.monotonic(), digest

    async def give_up(self, db: Database) -> None:
        """Notes that whoever deletes this Database wants a new one of its name to begin empty."""
        await self._books.give_up(db)
