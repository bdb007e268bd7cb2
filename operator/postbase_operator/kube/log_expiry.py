"""Takes away the log that nobody needs any more, an archive an hour, a thousand objects a second.

Only where the last listing of Backups leaves no doubt; what an unfinished restore reads stays.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta

from postbase_operator.api.database import Database
from postbase_operator.api.policies import BackupPolicy, PitrPolicy
from postbase_operator.archive.keys import (
    Archive,
    HistoryKey,
    PhysicalRecordKey,
    WalFolder,
    parse,
)
from postbase_operator.archive.template import Key
from postbase_operator.kube.archive_listing import histories
from postbase_operator.kube.archives import Archives
from postbase_operator.kube.backup_looks import backups_of, reading
from postbase_operator.kube.cache import Cache
from postbase_operator.kube.kinds import DATABASE
from postbase_operator.objectstore.store import ObjectStore
from postbase_operator.planning.archiving import archive_of
from postbase_operator.planning.database_backups import is_of
from postbase_operator.planning.pins import Pin, Whose, pinned_bases, pins
from postbase_operator.planning.retention import Policies, log_needed
from postbase_operator.planning.wal_expiry import expired_log, expired_of_gone
from postbase_operator.planning.window import Base, bases_of

logger = logging.getLogger(__name__)
EVERY = 3600.0
BATCH = 1000
"""Objects a request to the store, and a second."""


class LogExpiry:
    """One for all Databases; asks nothing of those that never archived."""

    def __init__(self, archives: Archives, cache: Cache, now: Callable[[], datetime]) -> None:
        self._archives = archives
        self._cache = cache
        self._now = now
        self._cleared: dict[str, float] = {}  # by the Database's UID

    async def clear(self) -> None:
        """Raises PostbaseError; the rest is the next round's."""
        for db in self._due():
            self._cleared[db.metadata.uid] = time.monotonic()
            await self._clear(db)

    def _due(self) -> Iterator[Database]:
        ago = time.monotonic() - EVERY
        for body in self._cache.all(DATABASE):
            db = Database.model_validate(body)
            archived = db.status.pitr is not None and db.status.pitr.latest_wal_time is not None
            due = archived and self._cleared.get(db.metadata.uid, ago) <= ago
            if due and not db.metadata.is_deleting:
                yield db

    async def _clear(self, db: Database) -> None:
        project = self._archives.project(db)
        source = self._archives.stores.source(project)
        if source is None or project is None:
            return
        archive, defaults = archive_of(db), project.spec.defaults
        policies = Policies(
            BackupPolicy.of(db.spec.backup, defaults.backup),
            PitrPolicy.of(db.spec.pitr, defaults.pitr),
        )
        place = db.metadata.namespace, db.metadata.name
        backups = [each for each in backups_of(self._cache, *place) if is_of(each, db.metadata.uid)]
        found = reading(self._cache, Whose(*place, db.metadata.uid))
        kept = log_needed(backups, policies, self._now(), pinned_bases(found, backups))
        store = await self._archives.stores.client(source)
        if kept or policies.pitr.enabled:
            over = await asyncio.to_thread(
                _expired, store, archive, bases_of(kept, archive), pins(found)
            )
        elif found:
            over = []
        else:
            age = timedelta(days=policies.pitr.retention_days)
            over = await asyncio.to_thread(_baseless, store, archive, self._now() - age)
        await delete(store, over)
        if over:
            told = {"object": f"Database/{db.metadata.namespace}/{db.metadata.name}"}
            logger.info("log that nobody needs was deleted", extra=told | {"objects": len(over)})


async def delete(store: ObjectStore, keys: list[str]) -> None:
    """At a bounded rate."""
    for first in range(0, len(keys), BATCH):
        await asyncio.sleep(1.0 if first else 0.0)
        await asyncio.to_thread(store.delete_many, keys[first : first + BATCH])


def _expired(
    store: ObjectStore, archive: Archive, bases: list[Base], held: tuple[Pin, ...]
) -> list[str]:
    """Chunks and segments before what any base backup, or a restore, needs."""
    if not bases:
        return []
    keys = list(_keys(store, archive))
    known = {key.timeline: key for key in keys if isinstance(key, HistoryKey)}
    return [str(key) for key in expired_log(keys, bases, histories(store, known), held)]


def _baseless(store: ObjectStore, archive: Archive, before: datetime) -> list[str]:
    """The log of an archive that is no longer written and has no base backup: of use to nobody,
    and kept all the same for as long as the window was."""
    listed = store.list(f"{archive}base/")
    if any(isinstance(parse(each.key), PhysicalRecordKey) for each in listed):
        return []
    wal = ((parse(each.key), each.modified) for each in store.list(str(WalFolder(archive))))
    stored = {key: written for key, written in wal if key is not None}
    return [str(key) for key in expired_of_gone(stored, (), {}, before)]


def _keys(store: ObjectStore, archive: Archive) -> Iterator[Key]:
    for each in store.list(str(WalFolder(archive))):
        key = parse(each.key)
        if key is not None:
            yield key
