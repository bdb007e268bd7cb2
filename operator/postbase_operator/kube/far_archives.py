"""Archives of Databases whose server is not in this cluster: railway.archive_books.ArchiveBooks."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime

from postbase_operator.api.database import Database
from postbase_operator.archive.receiver import ReceiverReport
from postbase_operator.errors import InvalidSpec
from postbase_operator.kube.archive_books import Books
from postbase_operator.kube.cache import Cache
from postbase_operator.kube.session import Session
from postbase_operator.planning.archive_observed import ArchiveSeen, Earlier, Silence
from postbase_operator.planning.archiving import archive_of
from postbase_operator.planning.archiving_health import NO_STORE
from postbase_operator.settings import Settings


class FarArchives:
    """One for all Databases of a platform that is elsewhere."""

    def __init__(
        self, api: Session, cache: Cache, settings: Settings, now: Callable[[], datetime]
    ) -> None:
        self._books = Books(api, cache, settings, now)
        self._now = now
        self._figures: dict[str, datetime] = {}  # by UID: when figures were last due

    def wants(self, db: Database) -> bool:
        return self._books.policy(db).enabled

    async def store(self, db: Database) -> Mapping[str, str]:
        source = self._books.source(db)
        if source is None:
            raise InvalidSpec("spec.pitr", NO_STORE, reason="NoObjectStore")
        data = await self._books.stores.data(source)
        return {key: value.decode() for key, value in data.items()}

    async def look(
        self,
        db: Database,
        system_id: str,
        report: ReceiverReport | None,
        silence: Silence | None,
    ) -> ArchiveSeen | None:
        source = self._books.source(db)
        if source is None:
            return None
        seen = self._books.seen(db, source, system_id)
        if report is None and silence is None:
            return seen
        tells = self._books.may_tell(db, report)
        if tells:  # what the server does not know of them stands in the archive
            self._figures[db.metadata.uid] = self._now()
        due = self._figures.get(db.metadata.uid)
        listing = await self._books.listed(db, source, archive_of(db, system_id), report, due)
        return replace(
            seen,
            report=report,
            silence=silence,
            log=listing.log,
            listing_error=listing.error,
            watched=False,
            may_tell=tells,
        )

    async def earlier(self, db: Database) -> Earlier:
        return await self._books.earlier(db)

    async def enter(self, db: Database) -> None:
        await self._books.enter(db)

    async def give_up(self, db: Database) -> None:
        await self._books.give_up(db)

    def forget(self, db: Database) -> None:
        self._books.forget(db)
        self._figures.pop(db.metadata.uid, None)
