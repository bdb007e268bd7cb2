"""What is seen of a Backup: its Database, its Job, and the store, whose word stands above both."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from datetime import datetime

from postbase_operator.api.backup import Backup
from postbase_operator.api.database import Database, DatabasePhase
from postbase_operator.api.ids import public_id
from postbase_operator.api.policies import BackupPolicy, PitrPolicy
from postbase_operator.api.project import Project
from postbase_operator.api.runs import RunPhase
from postbase_operator.archive.keys import LogicalStem, parse_backup
from postbase_operator.archive.record import BackupRecord, Progress, UnreadableRecord
from postbase_operator.desired.backup_job import job_name
from postbase_operator.errors import InvalidSpec
from postbase_operator.kube import backup_jobs
from postbase_operator.kube.cache import Cache
from postbase_operator.kube.cache import place_of as place_of_body
from postbase_operator.kube.kinds import BACKUP, DATABASE, JOB, NAMESPACE, POD, PROJECT, Body
from postbase_operator.kube.session import Session
from postbase_operator.kube.stores import Source as StoreSource
from postbase_operator.kube.stores import Stores
from postbase_operator.objectstore.store import NotFound, ObjectStore, StoreUnavailable
from postbase_operator.planning import retention
from postbase_operator.planning.backup_done import done_before
from postbase_operator.planning.backup_observed import (
    BackupSeen,
    JobState,
    RunState,
    Source,
    Trouble,
    place_of,
)
from postbase_operator.planning.backup_queue import turn
from postbase_operator.planning.database_backups import Backups as Known
from postbase_operator.planning.retention import Policies
from postbase_operator.settings import Settings

NO_STORE = Trouble(
    "NoObjectStore",
    "There is no object store: set spec.objectStore of the Project, or objectStore of the chart",
)


class BackupLooks:
    """Looks; changes nothing."""

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
        self._now = now
        self._stores = stores

    def policies(self, backup: Backup) -> Policies:
        db = self.database(backup)
        if db is None:
            return Policies(BackupPolicy(), PitrPolicy())
        project = self.project(db)
        defaults = project.spec.defaults if project else None
        if defaults is None:
            return Policies(BackupPolicy(), PitrPolicy())
        return Policies(
            BackupPolicy.of(db.spec.backup, defaults.backup),
            PitrPolicy.of(db.spec.pitr, defaults.pitr),
        )

    def of(self, database: Body, project: Project | None) -> Known:
        """What a Database's planner is told."""
        place = place_of_body(database)
        named = tuple(each for each in self._all() if _names(each) == place)
        return Known(named, has_store=self._stores.source(project) is not None)

    async def look(self, backup: Backup) -> BackupSeen:
        """Raises Unavailable where the cluster cannot be asked; of the store it says so itself."""
        db = self.database(backup)
        project = self.project(db) if db is not None else None
        source = self.source(db, project) if db is not None else None
        job = self._job(backup)
        store, record, unknown = None, None, ""
        where = self.store_of(backup, project)
        if where is None:
            store = NO_STORE
        elif not backup.is_done() and not backup.metadata.is_deleting:
            store, record, unknown, job = await self._ask_store(backup, source, where, job)
        siblings = list(self._siblings(backup))
        return BackupSeen(
            source=source,
            job=job,
            record=record,
            record_unknown=unknown,
            store=store,
            over_quota=self._over_quota(project),
            queued=turn(backup, list(self._unfinished()), self._settings.max_concurrent_backups),
            done=done_before(backup, db.status.finished_runs) if db is not None else None,
            verified_at=record.completed_at if record is not None else None,
            is_needed=retention.is_needed(backup, siblings, self.policies(backup), self._now()),
            namespace_going=backup.metadata.is_deleting and await self._is_going(backup),
        )

    async def _ask_store(
        self, backup: Backup, source: Source | None, where: StoreSource, job: JobState | None
    ) -> tuple[Trouble | None, BackupRecord | None, str, JobState | None]:
        """Trouble, record, why that is not known, and the attempt with how far it is."""
        place = place_of(backup, source)
        if place is None:
            return None, None, "", job
        try:
            store = await self._stores.client(where)
            if job is not None and job.state is RunState.RUNNING:
                return None, None, "", await _with_progress(store, str(place.progress), job)
            return None, await _record(store, str(place.record)), "", job
        except InvalidSpec as error:
            return Trouble(error.reason, str(error)), None, str(error), job
        except StoreUnavailable as error:
            trouble = None if error.passing else Trouble(error.reason.value, str(error))
            return trouble, None, str(error), job

    def database(self, backup: Backup) -> Database | None:
        name = backup.spec.database_ref.name
        body = self._cache.get(DATABASE, backup.metadata.namespace, name)
        return None if body is None else Database.model_validate(body)

    def project(self, db: Database) -> Project | None:
        body = self._cache.get(PROJECT, db.metadata.namespace, db.spec.project_ref.name)
        return None if body is None else Project.model_validate(body)

    def source(self, db: Database, project: Project | None) -> Source | None:
        """None where its Project is gone, whose id its dumps are filed under."""
        if project is None:
            return None
        return Source(
            uid=db.metadata.uid,
            name=db.metadata.name,
            project_id=public_id("Project", project.metadata.uid),
            incarnation=f"{db.status.system_id or 0}-1",
            is_running=bool(db.status.system_id) and db.status.phase is DatabasePhase.RUNNING,
            is_deleting=db.metadata.is_deleting,
        )

    def store_of(self, backup: Backup, project: Project | None) -> StoreSource | None:
        """The Project's; of a Database that is gone, that of the Project that its key names."""
        if project is None and backup.status.object_key:
            place = parse_backup(backup.status.object_key)
            for body in self._cache.all(PROJECT):
                each = Project.model_validate(body)
                known = isinstance(place, LogicalStem) and place.project_id == public_id(
                    "Project", each.metadata.uid
                )
                if known and each.metadata.namespace == backup.metadata.namespace:
                    project = each
        return self._stores.source(project)

    def _job(self, backup: Backup) -> JobState | None:
        """The latest attempt that is there: the status may not know of it yet."""
        namespace, last = backup.metadata.namespace, backup.status.attempts + 1
        for attempt in range(last, 0, -1):
            job = self._cache.get(JOB, namespace, job_name(backup, attempt))
            if job is not None:
                name = backup.spec.database_ref.name
                pods = self._cache.children(POD, namespace, name)
                return backup_jobs.state_of(job, backup_jobs.pod_of(job, pods))
        return None

    def _all(self) -> Iterator[Backup]:
        for body in self._cache.all(BACKUP):
            yield Backup.model_validate(body)

    def _siblings(self, backup: Backup) -> Iterator[Backup]:
        return (each for each in self._all() if _names(each) == _names(backup))

    def _unfinished(self) -> Iterator[Backup]:
        return (backup for backup in self._all() if not backup.is_done())

    def _over_quota(self, project: Project | None) -> str:
        if project is None or project.spec.quota.backup_gib is None:
            return ""
        databases = {
            body["metadata"]["name"]
            for body in self._cache.all(DATABASE)
            if body["metadata"]["namespace"] == project.metadata.namespace
            and body["spec"]["projectRef"]["name"] == project.metadata.name
        }
        used = sum(
            backup.status.size_bytes or 0
            for backup in self._all()
            if backup.metadata.namespace == project.metadata.namespace
            and backup.spec.database_ref.name in databases
            and backup.status.phase is RunPhase.COMPLETED
        )
        return retention.quota(used, project) or ""

    async def _is_going(self, backup: Backup) -> bool:
        live = await self._api.find(NAMESPACE, None, backup.metadata.namespace)
        return live is not None and "deletionTimestamp" in live["metadata"]


def _names(backup: Backup) -> tuple[str, str]:
    """The Database that it is of, by namespace and name."""
    return backup.metadata.namespace, backup.spec.database_ref.name


async def _with_progress(store: ObjectStore, key: str, job: JobState) -> JobState:
    """How far it is; where that cannot be read, nothing is said of it."""
    try:
        progress = Progress.from_bytes(await asyncio.to_thread(store.get, key))
    except (NotFound, UnreadableRecord):
        return job
    return JobState(
        job.attempt, job.state, job.since, job.ended_at, job.reason, job.message, progress
    )


async def _record(store: ObjectStore, key: str) -> BackupRecord | None:
    try:
        return BackupRecord.from_bytes(await asyncio.to_thread(store.get, key))
    except NotFound:
        return None
