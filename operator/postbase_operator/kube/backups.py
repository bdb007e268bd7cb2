"""A Backup's planner's steps, carried out. Runs are Jobs."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import datetime

from postbase_operator.api.backup import Backup
from postbase_operator.api.database import Database
from postbase_operator.archive.run import BackupRun
from postbase_operator.desired import names
from postbase_operator.desired.backup_job import backup_job, job_name
from postbase_operator.errors import Denied, InvalidSpec, NotReady, PostbaseError, Unavailable
from postbase_operator.kube import backup_bytes, objects
from postbase_operator.kube.apply import MANAGER, body_of
from postbase_operator.kube.backup_bytes import NO_STORE
from postbase_operator.kube.backup_looks import BackupLooks
from postbase_operator.kube.backup_objects import BackupObjects
from postbase_operator.kube.cache import Cache
from postbase_operator.kube.kinds import BACKUP, JOB
from postbase_operator.kube.refusals import AlreadyExists, QuotaExceeded, Refused
from postbase_operator.kube.secrets import DatabaseSecrets
from postbase_operator.kube.session import Session
from postbase_operator.kube.stores import Stores
from postbase_operator.objectstore.store import ObjectStore, StoreUnavailable
from postbase_operator.planning import backup_steps as steps
from postbase_operator.planning.backup_done import wish
from postbase_operator.planning.backup_observed import Source, Trouble
from postbase_operator.planning.backup_steps import BackupPlan, BackupStep
from postbase_operator.platforms import BackingUp, BackupServer
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
        self._now = now
        self._backing_up = backing_up
        self._stores = Stores(api, settings)
        self._objects = BackupObjects(api, cache)
        self.looks = BackupLooks(api, cache, settings, self._stores, now)

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
        keys = DatabaseSecrets(self._api, db, self._now)
        await keys.store(await self._stores.data(where))
        run = _run(backup, db, source, server)
        opened_by = server.password_secret
        job = backup_job(backup, db, run, server.image, attempt, self._settings, opened_by)
        body = body_of(job)
        left = max(1, int((until - self._now()).total_seconds()))
        body["spec"]["activeDeadlineSeconds"] = left
        try:
            made = await self._api.create(JOB, backup.metadata.namespace, body, MANAGER)
        except AlreadyExists:
            return  # an answer that was lost, or another operator's: by its name it is the same
        self._cache.put(JOB, made)

    async def _stop(self, backup: Backup, attempt: int) -> None:
        namespace = backup.metadata.namespace
        live = await self._api.find(JOB, namespace, job_name(backup, attempt))
        if live is not None and "deletionTimestamp" not in live["metadata"]:
            uid = live["metadata"]["uid"]
            await self._api.delete(JOB, namespace, live["metadata"]["name"], uid)

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


def hindrance(error: PostbaseError) -> Trouble:
    """What is told of a step that could not be done."""
    match error:
        case InvalidSpec():
            reason = error.reason
        case StoreUnavailable():
            reason = error.reason.value
        case QuotaExceeded():
            reason = "QuotaExceeded"
        case Denied():
            reason = "Denied"
        case Refused():
            reason = "Refused"
        case _:  # PostgreSQL does not answer, or has no address yet
            reason = "DatabaseNotReady"
    return Trouble(reason, str(error))
