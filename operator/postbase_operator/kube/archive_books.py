"""What the operator knows of the archives in the object stores: listings, and the catalogue.

Listings stay in memory, and are made anew where something calls for it and else once an hour. The
same for each platform: an archive is the same wherever its server is.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from postbase_operator.api.database import Database
from postbase_operator.api.ids import public_id
from postbase_operator.api.policies import PitrPolicy
from postbase_operator.api.project import Project, ProjectDefaults
from postbase_operator.archive.keys import Archive, CatalogueKey, GivenUpKey
from postbase_operator.archive.receiver import ReceiverReport
from postbase_operator.archive.record import CatalogueEntry, UnreadableRecord
from postbase_operator.errors import InvalidSpec, PostbaseError
from postbase_operator.kube.archive_listing import Ends, listed
from postbase_operator.kube.budget import Allowance
from postbase_operator.kube.cache import Cache
from postbase_operator.kube.catalogue import restorable
from postbase_operator.kube.kinds import BACKUP, DATABASE, PROJECT
from postbase_operator.kube.session import Session
from postbase_operator.kube.stores import Source, Stores
from postbase_operator.objectstore.store import Reason, StoreUnavailable
from postbase_operator.planning.archive_observed import NONE_EARLIER, ArchiveSeen, Earlier
from postbase_operator.planning.archiving import incarnation
from postbase_operator.planning.window import Log, settled
from postbase_operator.settings import Settings

logger = logging.getLogger(__name__)
LISTED_EVERY = 3600.0
RETRIED_AFTER = 30.0
PATIENCE = 5.0
"""Seconds for which a look waits for a listing; it goes on without."""
STORE_PATIENCE = 15.0
TOLD_EVERY = timedelta(minutes=10)
FIGURES_PER_SECOND = 5.0


@dataclass
class Listing:
    """The last listing of one archive, and the one that is being made."""

    archive: Archive
    log: Log | None = None
    error: str = ""
    mark: Hashable = None
    """What was the case when it began: otherwise another one is due."""
    began: float = -LISTED_EVERY
    ends: Ends = field(default_factory=dict)
    task: asyncio.Task[None] | None = None

    def is_due(self, mark: Hashable) -> bool:
        if self.task is not None and not self.task.done():
            return False
        age = time.monotonic() - self.began
        if self.error:
            return age >= RETRIED_AFTER
        return mark != self.mark or age >= LISTED_EVERY


class Books:
    """One for all Databases of a platform."""

    def __init__(
        self, api: Session, cache: Cache, settings: Settings, now: Callable[[], datetime]
    ) -> None:
        self._cache = cache
        self._settings = settings
        self._now = now
        self.stores = Stores(api, settings)
        self._listings: dict[str, Listing] = {}  # by the Database's UID, as the next
        self._entered: set[str] = set()
        self._figures = Allowance(FIGURES_PER_SECOND)

    def forget(self, db: Database) -> None:
        uid = db.metadata.uid
        self._entered.discard(uid)
        listing = self._listings.pop(uid, None)
        if listing is not None and listing.task is not None:
            listing.task.cancel()

    def is_there(self, db: Database) -> bool:
        body = self._cache.get(DATABASE, db.metadata.namespace, db.metadata.name)
        return body is not None and body["metadata"]["uid"] == db.metadata.uid

    def project(self, db: Database) -> Project | None:
        body = self._cache.get(PROJECT, db.metadata.namespace, db.spec.project_ref.name)
        return None if body is None else Project.model_validate(body)

    def policy(self, db: Database) -> PitrPolicy:
        project = self.project(db)
        return db.pitr_policy(project.spec.defaults if project else ProjectDefaults())

    def source(self, db: Database) -> Source | None:
        """None where there is no store."""
        return self.stores.source(self.project(db))

    # -- looking ---------------------------------------------------------------------------

    def seen(self, db: Database, source: Source, system_id: str) -> ArchiveSeen:
        """What is known without asking anybody."""
        return ArchiveSeen(
            bucket=source.wanted.bucket,
            folder=(source.wanted.prefix or "").strip("/"),
            is_entered=self._is_entered(db, source, system_id),
        )

    def _is_entered(self, db: Database, source: Source, system_id: str) -> bool:
        told = db.status.archive
        known = told is not None and told.bucket == source.wanted.bucket
        current = known and told is not None and told.incarnation == incarnation(db, system_id)
        return current or db.metadata.uid in self._entered

    def may_tell(self, db: Database, report: ReceiverReport | None) -> bool:
        """Whether the moving figures may go into the status: a place in the global budget is taken
        only where something has moved and the last ones are old."""
        told = db.status.pitr
        if told is None or told.observed_at is None or report is None:
            return False
        before = told.receiver.durable_lsn if told.receiver is not None else None
        if self._now() - told.observed_at < TOLD_EVERY or before == report.durable_lsn:
            return False
        return self._figures.take()

    async def listed(
        self,
        db: Database,
        source: Source,
        archive: Archive,
        report: ReceiverReport | None,
        more: Hashable = None,
    ) -> Listing:
        """`more`: where it is another one than before the archive is listed anew, too."""
        uid = db.metadata.uid
        listing = self._listings.get(uid)
        if listing is None or listing.archive != archive:
            listing = self._listings[uid] = Listing(archive)
        mark = (source, self._bases(db), _turn(report), more)
        if listing.is_due(mark):
            listing.mark, listing.began = mark, time.monotonic()
            listing.task = asyncio.create_task(self._list(listing, source, report))
        if listing.task is not None and not listing.task.done():
            await asyncio.wait([listing.task], timeout=PATIENCE)
        return listing

    async def _list(self, listing: Listing, source: Source, before: ReceiverReport | None) -> None:
        try:
            store = await self.stores.client(source)
            found = await asyncio.to_thread(listed, store, listing.archive, listing.ends)
            listing.log = settled(found, before)
            listing.error = ""
        except (PostbaseError, UnreadableRecord) as error:
            listing.error = str(error)
            logger.info("an archive was not listed", extra={"error": str(error)})

    def _bases(self, db: Database) -> frozenset[str]:
        """The complete Backups that name it: with another one another window may begin."""
        return frozenset(
            body["metadata"]["uid"]
            for body in self._cache.children(BACKUP, db.metadata.namespace, db.metadata.name)
            if (body.get("status") or {}).get("phase") == "Completed"
        )

    # -- before there is a volume ------------------------------------------------------------

    async def earlier(self, db: Database) -> Earlier:
        """What the catalogue has of Databases of this name that are gone."""
        project = self.project(db)
        source = self.stores.source(project)
        if source is None or project is None:
            return NONE_EARLIER
        place = self._place(db)
        try:
            async with asyncio.timeout(STORE_PATIENCE):
                store = await self.stores.client(source)
                return Earlier(await asyncio.to_thread(restorable, store, place))
        except TimeoutError:
            return Earlier(unknown="the object store does not answer in time")
        except StoreUnavailable as error:
            if error.reason is Reason.NO_SUCH_BUCKET:
                return NONE_EARLIER
            return Earlier(unknown=str(error))
        except (InvalidSpec, PostbaseError) as error:
            return Earlier(unknown=str(error))

    def _place(self, db: Database) -> CatalogueKey:
        meta = db.metadata
        return CatalogueKey(self._settings.cluster_name, meta.namespace, meta.name, meta.uid)

    # -- the catalogue -----------------------------------------------------------------------

    async def enter(self, db: Database) -> None:
        """A store that is away is told by the receiver and by the Backups: entered later."""
        project, source = self.project(db), self.source(db)
        created = db.metadata.creation_timestamp
        if project is None or source is None or created is None:
            return
        place = self._place(db)
        entry = CatalogueEntry(
            cluster=place.cluster,
            namespace=place.namespace,
            name=place.name,
            database_uid=place.database_uid,
            project=public_id("Project", project.metadata.uid),
            created_at=created,
        )
        if await self._put(source, str(place), entry.to_bytes()):
            self._entered.add(db.metadata.uid)

    async def give_up(self, db: Database) -> None:
        """Notes that whoever deletes this Database wants a new one of its name to begin empty."""
        source = self.stores.source(self.project(db))
        if source is not None and db.status.archive is not None:
            place = self._place(db)
            mark = GivenUpKey(place.cluster, place.namespace, place.name, place.database_uid)
            await self._put(source, str(mark), b"")

    async def _put(self, source: Source, key: str, body: bytes) -> bool:
        """False where the store did not take it."""
        try:
            async with asyncio.timeout(STORE_PATIENCE):
                store = await self.stores.client(source)
                await asyncio.to_thread(store.put, key, body, if_absent=False)
        except (PostbaseError, TimeoutError) as error:
            logger.warning("the catalogue was not written", extra={"error": repr(error)})
            return False
        return True


def _turn(report: ReceiverReport | None) -> Hashable:
    """What may have put a hole into the log, or another timeline."""
    if report is None:
        return None
    return report.started_at, report.timeline, report.slot_lost, report.durable_lsn is None
