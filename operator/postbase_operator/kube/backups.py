"""A Backup's planner's steps, carried out."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import datetime

from postbase_operator.api.backup import Backup
from postbase_operator.api.database import Database
from postbase_operator.archive.run import BackupRun
from postbase_operator.desired import names
from postbase_operator.errors import Denied, InvalidSpec, NotReady, Unavailable
from postbase_operator.kube import backup_bytes, objects
from postbase_operator.kube.backup_bytes import NO_STORE
from postbase_operator.kube.backup_looks import BackupLooks
from postbase_operator.kube.backup_objects import BackupObjects
from postbase_operator.kube.cache import Cache
from postbase_operator.kube.kinds import BACKUP
from postbase_operator.kube.session import Session
from postbase_operator.kube.stores import Stores
from postbase_operator.objectstore.store import ObjectStore
from postbase_operator.planning import backup_steps as steps
from postbase_operator.planning.backup_done import wish
from postbase_operator.planning.backup_observed import Source
from postbase_operator.planning.backup_steps import BackupPlan, BackupStep
from postbase_operator.platforms import BackingUp, BackupServer, RunOrder
from postbase_operator.settings import Settings


class Backups:
    """One for all Backups, whichever platform their Databases are on."""

    def __init__(
        self,
        api: Session,
        cache: Cache,
        settings: Settings,
        backing_up: BackingUp,
        now: Callable[[], datetime],
    ) -> None:
        self._api = api
        self._cache = cache
        self._settings = settings
        self._backing_up = backing_up
        self._stores = Stores(api, settings)
        self._objects = BackupObjects(api, cache, now)
        self.looks = BackupLooks(api, cache, settings, self._stores, now, backing_up)

    async def execute(self, backup: Backup, plan: BackupPlan) -> None:
        for step in plan.steps:
            await self._take(backup, step)

    async def _take(self, backup: Backup, step: BackupStep) -> None:
        match step:
            case steps.StartRun(attempt, until):
                await self._start(backup, attempt, until)
            case steps.StopRun(attempt):
                await self._stop(backup, attempt)
            case steps.AbortLeftovers(prefix, needed):
                await self._clear(backup, prefix, needed=needed)
            case steps.DeleteBytes(prefix):
                await self._delete_bytes(backup, prefix)
            case steps.DeleteObject(name, bytes):
                await self._objects.delete(backup.metadata.namespace, name, takes_bytes=bytes)
            case steps.Release():
                await self._release(backup)

    async def _start(self, backup: Backup, attempt: int, until: datetime) -> None:
        db = self.looks.database(backup)
        project = self.looks.project(db) if db is not None else None
        source = self.looks.source(db, project)
        where = self._stores.source(project)
        if db is None or source is None or project is None or where is None:
            raise NotReady("the Database, its Project or their store is gone", retry_after=1.0)
        server = await self._backing_up.server(db, backup.spec.method)
        order = RunOrder(attempt, until, _run(backup, db, source, server))
        await self.looks.runs(db).start(backup, db, order, server)

    async def _stop(self, backup: Backup, attempt: int) -> None:
        db = self.looks.database(backup)
        runs = self.looks.runs(db)
        await runs.stop(backup, db, attempt)
        if runs is not self.looks.jobs:
            await self.looks.jobs.stop(backup, db, attempt)

    async def _store(self, backup: Backup) -> ObjectStore:
        db = self.looks.database(backup)
        project = self.looks.project(db) if db is not None else None
        if db is not None and project is None:
            raise NotReady(f"the Project of Database {db.metadata.name!r} is not there")
        where = self.looks.store_of(backup, project)
        if where is None:
            raise Unavailable(NO_STORE.reason, NO_STORE.message)
        return await self._stores.client(where)

    async def _clear(self, backup: Backup, prefix: str, *, needed: bool) -> None:
        try:
            store = await self._store(backup)
            await asyncio.to_thread(backup_bytes.clear, store, prefix)
        except (Unavailable, Denied, InvalidSpec, NotReady):
            if needed:
                raise

    async def _delete_bytes(self, backup: Backup, prefix: str) -> None:
        store = await self._store(backup)
        await asyncio.to_thread(backup_bytes.delete, store, prefix)

    async def _release(self, backup: Backup) -> None:
        body = self._cache.get(BACKUP, backup.metadata.namespace, backup.metadata.name)
        if body is not None:
            cache, finalizer = self._cache, names.FINALIZER
            await objects.remove_finalizer(self._api, cache, BACKUP, body, finalizer)


def _run(backup: Backup, db: Database, source: Source, server: BackupServer) -> BackupRun:
    return BackupRun(
        id=backup.id,
        method=backup.spec.method,
        backup_name=backup.metadata.name,
        spec_hash=wish(backup),
        project=source.project_id,
        namespace=db.metadata.namespace,
        name=db.metadata.name,
        database_uid=db.metadata.uid,
        incarnation=source.incarnation,
        image_digest=(db.status.image.digest if db.status.image else None) or "",
        host=server.host,
        port=server.port,
        dbname=names.DATABASE,
        server=server.facts,
    )
