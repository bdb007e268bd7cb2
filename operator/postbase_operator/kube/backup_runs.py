"""Attempts at backups as Jobs of this cluster: platforms.BackupRuns."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from postbase_operator.api.backup import Backup
from postbase_operator.api.database import Database
from postbase_operator.api.project import Project
from postbase_operator.desired.backup_job import backup_job, job_name
from postbase_operator.errors import NotReady
from postbase_operator.kube import backup_jobs
from postbase_operator.kube.apply import MANAGER, body_of
from postbase_operator.kube.cache import Cache
from postbase_operator.kube.kinds import JOB, POD, PROJECT, Body
from postbase_operator.kube.refusals import AlreadyExists
from postbase_operator.kube.secrets import DatabaseSecrets
from postbase_operator.kube.session import Session
from postbase_operator.kube.stores import Stores
from postbase_operator.platforms import Attempt, BackupServer, RunOrder
from postbase_operator.settings import Settings


class JobRuns:
    """One for all Backups, whichever platform their Databases are on."""

    def __init__(
        self,
        api: Session,
        cache: Cache,
        settings: Settings,
        stores: Stores,
        now: Callable[[], datetime],
    ) -> None:
        self._api = api
        self._cache = cache
        self._settings = settings
        self._stores = stores
        self._now = now

    async def look(self, backup: Backup, db: Database | None) -> Attempt | None:  # noqa: ARG002
        """By the cache, and by the Backup's name alone: its Jobs outlive its Database."""
        job = self._held(backup)
        if job is None:
            return None
        pods = self._cache.children(POD, backup.metadata.namespace, backup.spec.database_ref.name)
        state = backup_jobs.state_of(job, backup_jobs.pod_of(job, pods))
        return Attempt(state, backup_jobs.source_bytes(job))

    def _held(self, backup: Backup) -> Body | None:
        """The Job of the latest attempt that is there: the status may not know of it yet."""
        namespace, last = backup.metadata.namespace, backup.status.attempts + 1
        for attempt in range(last, 0, -1):
            job = self._cache.get(JOB, namespace, job_name(backup, attempt))
            if job is not None:
                return job
        return None

    async def start(
        self, backup: Backup, db: Database, order: RunOrder, server: BackupServer
    ) -> None:
        keys = DatabaseSecrets(self._api, db, self._now)
        project = self._cache.get(PROJECT, db.metadata.namespace, db.spec.project_ref.name)
        where = self._stores.source(None if project is None else Project.model_validate(project))
        if where is None:
            raise NotReady("the Database's store is gone", retry_after=1.0)
        await keys.store(await self._stores.data(where))
        job = backup_job(
            backup,
            db,
            order.run,
            server.image,
            order.attempt,
            self._settings,
            server.password_secret,
        )
        body = body_of(job)
        left = max(1, int((order.until - self._now()).total_seconds()))
        body["spec"]["activeDeadlineSeconds"] = left
        try:
            made = await self._api.create(JOB, backup.metadata.namespace, body, MANAGER)
        except AlreadyExists:
            return  # an answer that was lost, or another operator's: by its name it is the same
        self._cache.put(JOB, made)

    async def stop(self, backup: Backup, db: Database | None, attempt: int) -> None:  # noqa: ARG002
        namespace = backup.metadata.namespace
        live = await self._api.find(JOB, namespace, job_name(backup, attempt))
        if live is not None and "deletionTimestamp" not in live["metadata"]:
            uid = live["metadata"]["uid"]
            await self._api.delete(JOB, namespace, live["metadata"]["name"], uid)
