"""What the object store has of a Database's archive, and of those of Databases that are gone.

The store's methods block: all that asks it runs in a thread.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime

from postbase_operator.api.bootstrap import RestoreFrom
from postbase_operator.api.database import Database
from postbase_operator.api.project import Project
from postbase_operator.api.restore_status import RestorePlan, RestoreReason
from postbase_operator.archive.keys import Archive, HistoryKey, PhysicalFolder, RecoveryProgressKey
from postbase_operator.archive.record import BackupRecord, UnreadableRecord
from postbase_operator.archive.run import LogEnd, RecoveryProgress
from postbase_operator.errors import InvalidSpec
from postbase_operator.kube.cache import Cache
from postbase_operator.kube.kinds import DATABASE, PROJECT
from postbase_operator.kube.stores import Stores
from postbase_operator.objectstore import catalogue
from postbase_operator.objectstore.archive_log import StoredLog, load
from postbase_operator.objectstore.store import NotFound, ObjectStore
from postbase_operator.planning import plan as steps
from postbase_operator.planning.archived import Offer, Stopped, Wish, offered, wish_from
from postbase_operator.planning.archiving import archive_of
from postbase_operator.planning.recovery import Target, plan_recovery, way_from
from postbase_operator.planning.recovery_way import Refused

NO_ARCHIVE = RestoreReason.NO_ARCHIVE.value


@dataclass(frozen=True, slots=True)
class Whose:
    """The Database whose archive is read: by UID, or the youngest of a name but for `but`."""

    uid: str = ""
    name: str = ""
    but: str = ""


class Recoveries:
    """One for all Databases."""

    def __init__(
        self, cache: Cache, stores: Stores, cluster: str, now: Callable[[], datetime]
    ) -> None:
        self._cache, self._stores, self._cluster, self._now = cache, stores, cluster, now

    async def offer(self, db: Database, wish: Wish) -> Offer:
        """What the Database's own archive says. Raises what the store raises."""
        archive = archive_of(db)
        store = await self._store(db)
        return await asyncio.to_thread(_offer, store, archive, wish, self._now())

    async def offer_for(self, db: Database) -> Offer:
        """What the archive says that spec.bootstrap names, of a Database that is to begin."""
        whose, wish = _asked(db)
        live = self._cache.get(DATABASE, db.metadata.namespace, whose.name) if whose.name else None
        if live is not None and live["metadata"]["uid"] != db.metadata.uid:
            whose = Whose(uid=live["metadata"]["uid"])
        store = await self._store(db)
        found = await asyncio.to_thread(_find, store, self._cluster, db.metadata.namespace, whose)
        if found is None:
            what = f"of UID {whose.uid}" if whose.uid else f"named {whose.name!r}"
            why = f"the object store has no archive of a Database {what}"
            return Offer(reason=NO_ARCHIVE, message=why)
        return await asyncio.to_thread(_offer, store, found, wish, self._now())

    async def stopped(self, db: Database, plan: RestorePlan) -> Stopped | None:
        """Where the log ends of a server that was stopped."""
        store = await self._store(db)
        return await asyncio.to_thread(_stopped, store, archive_of(db), plan)

    async def progress(
        self, db: Database, object_key: str, restore: str
    ) -> RecoveryProgress | None:
        place = PhysicalFolder.read(object_key)
        if place is None:
            return None
        store = await self._store(db)
        key = str(RecoveryProgressKey(place.archive, restore))
        try:
            return RecoveryProgress.from_bytes(await asyncio.to_thread(store.get, key))
        except (NotFound, UnreadableRecord):
            return None

    async def pin(self, db: Database, step: steps.PinLog) -> None:
        store = await self._store(db)
        await asyncio.to_thread(store.put, str(step.key), LogEnd(end=step.end).to_bytes())

    async def keep_history(
        self, db: Database, object_key: str, timeline: int, content: bytes
    ) -> None:
        place = PhysicalFolder.read(object_key)
        if place is None:
            raise InvalidSpec("status.plan", f"{object_key!r} is no physical backup")
        store = await self._store(db)
        key = str(HistoryKey(place.archive, timeline))
        await asyncio.to_thread(store.put, key, content)

    async def _store(self, db: Database) -> ObjectStore:
        body = self._cache.get(PROJECT, db.metadata.namespace, db.spec.project_ref.name)
        where = self._stores.source(Project.model_validate(body) if body else None)
        if where is None:
            raise InvalidSpec("spec.objectStore", "there is none", reason="NoObjectStore")
        return await self._stores.client(where)


def _asked(db: Database) -> tuple[Whose, Wish]:
    bootstrap = db.spec.bootstrap
    wanted: RestoreFrom | None = bootstrap.restore if bootstrap is not None else None
    if wanted is None:  # latest: of its own name, which another life of it had
        return Whose(name=db.metadata.name, but=db.metadata.uid), Wish()
    wish, origin = wish_from(wanted), wanted.from_
    if origin.database_uid is not None:
        return Whose(uid=origin.database_uid), wish
    return Whose(name=origin.name or "", but=db.metadata.uid), wish


def _find(store: ObjectStore, cluster: str, namespace: str, whose: Whose) -> Archive | None:
    uid = whose.uid or catalogue.youngest(store, cluster, namespace, whose.name, whose.but)
    return catalogue.newest_archive(store, uid) if uid else None


def _offer(store: ObjectStore, archive: Archive, wish: Wish, now: datetime) -> Offer:
    archived = replace(load(store, archive), live=wish.live)
    if wish.backup_id is not None:
        base = next((each for each in archived.bases if each.id == wish.backup_id), None)
        return _as_it_is(base, wish.backup_id)
    size = archived.index.segment_size
    target = Target(wish.time, wish.lsn, wish.timeline)
    try:
        found = plan_recovery(archived, StoredLog(store, size), target, now)
    except Refused as error:
        reason = error.reason.value
        return Offer(reason=reason, message=str(error), passing=error.passing)
    return offered(found, wish)


def _as_it_is(base: BackupRecord | None, wanted: str) -> Offer:
    if base is None:
        why = f"there is no physical backup {wanted} in the archive"
        return Offer(reason=RestoreReason.NO_BASE_BACKUP.value, message=why)
    plan = RestorePlan(
        backup_id=base.id,
        object_key=base.place.object_key,
        backup_time=base.completed_at,
        bytes=base.size_bytes,
    )
    return Offer(plan, version=base.postgres_version)


def _stopped(store: ObjectStore, archive: Archive, plan: RestorePlan) -> Stopped | None:
    archived = load(store, archive)
    reader = StoredLog(store, archived.index.segment_size)
    timeline = plan.timelines[-1] if plan.timelines else None
    way = way_from(archived, reader, plan.backup_id or "", timeline)
    if way is None or not way.files:
        return None
    found = reader.records(way.files[-1])
    return Stopped(way.end, cleanly=bool(found) and found[-1].is_shutdown)
