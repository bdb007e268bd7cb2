"""Takes away the log of Databases that are gone, of which the catalogue alone knows.

By what lies in the bucket. An hour lies between two rounds. Only of our own cluster's catalogue,
and of the namespaces that are watched: a Database that is not seen need not be gone.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta

from postbase_operator.api.policies import PitrPolicy
from postbase_operator.api.project import Project
from postbase_operator.archive.keys import (
    Archive,
    CatalogueKey,
    HistoryKey,
    PhysicalRecordKey,
    WalFolder,
    parse,
)
from postbase_operator.archive.record import BackupRecord, UnreadableRecord
from postbase_operator.archive.template import Key
from postbase_operator.kube.archive_listing import histories
from postbase_operator.kube.backup_looks import reading
from postbase_operator.kube.cache import Cache
from postbase_operator.kube.kinds import DATABASE, PROJECT
from postbase_operator.kube.log_expiry import EVERY, delete
from postbase_operator.kube.stores import Source, Stores
from postbase_operator.objectstore import catalogue
from postbase_operator.objectstore.store import NotFound, ObjectStore
from postbase_operator.planning.pins import Whose
from postbase_operator.planning.wal_expiry import base_of, expired_of_gone
from postbase_operator.planning.window import Base
from postbase_operator.settings import Settings

logger = logging.getLogger(__name__)
LIFETIME = timedelta(days=PitrPolicy().retention_days)
"""Of log that no base backup needs: the Database's own setting is gone with it."""


class GoneLog:
    """Clears up; one listing of the catalogue an hour and store."""

    def __init__(
        self, stores: Stores, cache: Cache, settings: Settings, now: Callable[[], datetime]
    ) -> None:
        self._stores, self._cache, self._settings = stores, cache, settings
        self._now = now
        self._cleared: dict[Source, float] = {}

    async def clear(self) -> None:
        """Raises PostbaseError; the rest is the next round's."""
        for source in self._sources():
            began = time.monotonic()
            if began - self._cleared.get(source, -EVERY) < EVERY:
                continue
            self._cleared[source] = began
            store = await self._stores.client(source)
            for entry in await asyncio.to_thread(self._entries, store):
                if self._is_gone(entry):
                    await self._clear(store, entry)

    def _sources(self) -> Iterator[Source]:
        """The installation's store, and those that Projects bring."""
        projects = map(Project.model_validate, self._cache.all(PROJECT))
        found = [self._stores.source(project) for project in (None, *projects)]
        yield from dict.fromkeys(each for each in found if each is not None)

    def _entries(self, store: ObjectStore) -> list[CatalogueKey]:
        watched = self._settings.watch_namespaces
        folder = f"{catalogue.FOLDER}{self._settings.cluster_name}/"
        keys = [parse(each.key) for each in store.list(folder)]
        return [
            key
            for key in keys
            if isinstance(key, CatalogueKey) and (not watched or key.namespace in watched)
        ]

    def _is_gone(self, entry: CatalogueKey) -> bool:
        alive = {body["metadata"]["uid"] for body in self._cache.all(DATABASE)}
        uid = entry.database_uid
        return uid not in alive and not reading(
            self._cache, Whose(entry.namespace, entry.name, uid)
        )

    async def _clear(self, store: ObjectStore, entry: CatalogueKey) -> None:
        uid = entry.database_uid
        for archive in await asyncio.to_thread(lambda: list(catalogue.archives(store, uid))):
            over = await asyncio.to_thread(_over, store, archive, self._now() - LIFETIME)
            # It took its time: a restore may have begun meanwhile.
            if over and self._is_gone(entry):
                await delete(store, over)
                told = {"object": f"Database/{entry.namespace}/{entry.name}", "uid": uid}
                told["objects"] = str(len(over))
                logger.info("log of a Database that is gone was deleted", extra=told)


def _over(store: ObjectStore, archive: Archive, before: datetime) -> list[str]:
    """The log is listed first: of a base backup that comes later nothing is taken."""
    found = ((parse(each.key), each.modified) for each in store.list(str(WalFolder(archive))))
    stored: dict[Key, datetime] = {key: at for key, at in found if key is not None}
    if not stored:
        return []
    bases = _bases(store, archive)
    if bases is None:
        return []
    known = {key.timeline: key for key in stored if isinstance(key, HistoryKey)}
    over = expired_of_gone(stored, bases, histories(store, known), before)
    return [str(key) for key in over]


def _bases(store: ObjectStore, archive: Archive) -> list[Base] | None:
    """None where one of them cannot be judged: a later release wrote it."""
    bases: list[Base] = []
    for each in store.list(f"{archive}base/"):
        if not isinstance(parse(each.key), PhysicalRecordKey):
            continue
        try:
            base = base_of(BackupRecord.from_bytes(store.get(each.key)))
        except NotFound:
            continue  # deleted in this moment
        except UnreadableRecord:
            return None
        if base is None:
            return None
        bases.append(base)
    return bases
