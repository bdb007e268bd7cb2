"""What is seen of a Backup: its Database, its Job, and the store, whose word stands above both."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from datetime import datetime

from postbase_operator.api.backup import Backup
from postbase_operator.api.database import Database, DatabasePhase
from postbase_operator.api.database_status import FinishedRun
from postbase_operator.api.ids import public_id
from postbase_operator.api.pitr_restore import PitrRestore
from postbase_operator.api.policies import BackupPolicy, PitrPolicy
from postbase_operator.api.project import Project
from postbase_operator.api.quantity import whole_bytes
from postbase_operator.api.runs import RunPhase
from postbase_operator.archive.keys import LogicalStem, parse_backup
from postbase_operator.errors import PostbaseError
from postbase_operator.kube import backup_bytes
from postbase_operator.kube.backup_bytes import NOWHERE, SILENT, Answer
from postbase_operator.kube.backup_runs import JobRuns
from postbase_operator.kube.backup_trouble import hindrance
from postbase_operator.kube.cache import Cache
from postbase_operator.kube.cache import place_of as place_of_body
from postbase_operator.kube.kinds import (
    BACKUP,
    DATABASE,
    NAMESPACE,
    PITR_RESTORE,
    PROJECT,
    Body,
)
from postbase_operator.kube.session import Session
from postbase_operator.kube.stores import Source as StoreSource
from postbase_operator.kube.stores import Stores
from postbase_operator.planning import retention
from postbase_operator.planning.archiving import incarnation
from postbase_operator.planning.backup import STOP_GRACE
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
from postbase_operator.planning.database_backups import is_of
from postbase_operator.planning.pins import Reader, Whose, pinned_backups, readers
from postbase_operator.planning.retention import Policies
from postbase_operator.platforms import Attempt, BackingUp, BackupRuns
from postbase_operator.settings import Settings

ANSWERING = (DatabasePhase.RUNNING, DatabasePhase.DELETING)
"""Phases in which PostgreSQL may be backed up: one that is deleted waits for its last backup."""


class BackupLooks:
    """Looks; changes nothing."""

    def __init__(
        self,
        api: Session,
        cache: Cache,
        settings: Settings,
        stores: Stores,
        now: Callable[[], datetime],
        backing_up: BackingUp | None = None,
    ) -> None:
        """`backing_up` None: all Databases are in this cluster."""
        self._api = api
        self._cache = cache
        self._settings = settings
        self._now = now
        self._stores = stores
        self._backing_up = backing_up
        self.jobs = JobRuns(api, cache, settings, stores, now)

    def runs(self, db: Database | None) -> BackupRuns:
        """Who runs the attempts at its backups. Of one that is gone only Jobs can be left."""
        own = self._backing_up.runs(db) if self._backing_up is not None and db is not None else None
        return self.jobs if own is None else own

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
        return Known(
            tuple(backups_of(self._cache, *place)),
            has_store=self._stores.source(project) is not None,
            pinned=pinned(self._cache, *place),
            over_quota=self._over_quota(project),
        )

    async def look(self, backup: Backup) -> BackupSeen:
        """Raises what the cluster raises where it cannot be asked; of the store it says so."""
        db = self.database(backup)
        project = self.project(db) if db is not None else None
        attempt, unseen = await self._attempt(backup, db)
        source, job = self.source(db, project, attempt), attempt.state if attempt else None
        done = done_before(backup, db.status.finished_runs) if db is not None else None
        answer = await self._ask_store(backup, source, project, job, done)
        if job is not None and answer.progress is not None:
            job = replace(job, progress=answer.progress)
        verified = answer.record or answer.earlier
        return BackupSeen(
            source=source,
            job=job,
            record=answer.record,
            record_unknown=answer.unknown,
            store=answer.trouble,
            over_quota=self._over_quota(project),
            hindrance=unseen,
            queued=turn(backup, list(self._unfinished()), self._settings.max_concurrent_backups),
            done=done,
            done_record=answer.earlier,
            verified_at=verified.completed_at if verified is not None else None,
            is_needed=self._is_needed(backup),
            namespace_going=backup.metadata.is_deleting and await self._is_going(backup),
        )

    async def _attempt(
        self, backup: Backup, db: Database | None
    ) -> tuple[Attempt | None, Trouble | None]:
        """The latest one, a Job's where the Database has become one of those that need none
        meanwhile; or why nobody can say. A deletion waits for that, for a while: it ends by
        itself."""
        try:
            found = await self.runs(db).look(backup, db)
            return found or await self.jobs.look(backup, db), None
        except PostbaseError as error:
            asked = backup.metadata.deletion_timestamp
            if asked is not None and self._now() - asked < STOP_GRACE:
                raise
            return None, hindrance(error)

    async def _ask_store(
        self,
        backup: Backup,
        source: Source | None,
        project: Project | None,
        job: JobState | None,
        done: FinishedRun | None,
    ) -> Answer:
        """Nothing is asked of what has ended, nor of what goes."""
        if backup.is_done() or backup.metadata.is_deleting:
            return SILENT
        if source is not None and project is None:
            return Answer(unknown="The Project is not there, and may have a store of its own")
        where, place = self.store_of(backup, project), place_of(backup, source)
        if where is None or place is None:
            return NOWHERE if where is None else SILENT
        earlier = replace(place, backup_id=done.id) if done is not None and done.id else None
        runs = job is not None and job.state is RunState.RUNNING
        return await backup_bytes.ask(self._stores, where, place, earlier, runs=runs)

    def database(self, backup: Backup) -> Database | None:
        name = backup.spec.database_ref.name
        body = self._cache.get(DATABASE, backup.metadata.namespace, name)
        return None if body is None else Database.model_validate(body)

    def project(self, db: Database) -> Project | None:
        body = self._cache.get(PROJECT, db.metadata.namespace, db.spec.project_ref.name)
        return None if body is None else Project.model_validate(body)

    def source(
        self, db: Database | None, project: Project | None, attempt: Attempt | None = None
    ) -> Source | None:
        """The Database as it is now; `attempt` has been told how much there is to read of it."""
        if db is None:
            return None
        return Source(
            uid=db.metadata.uid,
            name=db.metadata.name,
            project_id=public_id("Project", project.metadata.uid) if project is not None else "",
            incarnation=incarnation(db),
            is_running=bool(db.status.system_id) and db.status.phase in ANSWERING,
            is_deleting=db.metadata.is_deleting,
            size_bytes=attempt.source_bytes if attempt is not None else _capacity(db),
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

    def _is_needed(self, backup: Backup) -> bool:
        uid = backup.status.database_uid
        siblings = [
            each
            for each in backups_of(self._cache, *_names(backup))
            if uid is None or is_of(each, uid)
        ]
        kept = pinned(self._cache, *_names(backup))
        return retention.is_needed(backup, siblings, self.policies(backup), self._now(), kept)

    def _unfinished(self) -> Iterator[Backup]:
        """In the whole cluster: looked through unread, for there may be tens of thousands."""
        bodies = (body for body in self._cache.all(BACKUP) if not _is_over(body))
        return map(Backup.model_validate, bodies)

    def _complete(self, namespace: str) -> Iterator[Body]:
        for body in self._cache.all(BACKUP):
            phase = (body.get("status") or {}).get("phase")
            if body["metadata"]["namespace"] == namespace and phase == RunPhase.COMPLETED:
                yield body

    def usage(self, project: Project) -> tuple[int, int]:
        """Complete backups of its Databases, and what they take in bytes; of those that are gone
        as well."""
        place = project.metadata.namespace, project.metadata.name
        databases = {
            body["metadata"]["uid"]: body["metadata"]["name"]
            for body in self._cache.all(DATABASE)
            if (body["metadata"]["namespace"], body["spec"]["projectRef"]["name"]) == place
        }
        sizes = [
            backup.status.size_bytes or 0
            for backup in map(Backup.model_validate, self._complete(project.metadata.namespace))
            if backup.status.object_key is not None
            and _counts_for(backup, public_id("Project", project.metadata.uid), databases)
        ]
        return len(sizes), sum(sizes)

    def _over_quota(self, project: Project | None) -> str:
        if project is None or project.spec.quota.backup_gib is None:
            return ""
        return retention.quota(self.usage(project)[1], project) or ""

    async def _is_going(self, backup: Backup) -> bool:
        live = await self._api.find(NAMESPACE, None, backup.metadata.namespace)
        return live is not None and "deletionTimestamp" in live["metadata"]


def _counts_for(backup: Backup, project_id: str, databases: Mapping[str, str]) -> bool:
    """`databases`: the Project's that are there, by UID. One that is gone is known by what the
    backup has noted, or the dump's key says."""
    told = backup.status
    if told.database_uid in databases or told.project_id == project_id:
        return True
    if told.project_id is not None:
        return False
    of_earlier = str(told.object_key).startswith(f"{project_id}/")
    return of_earlier or backup.spec.database_ref.name in databases.values()


def backups_of(cache: Cache, namespace: str, database: str) -> Iterator[Backup]:
    """Those that name it."""
    return map(Backup.model_validate, cache.children(BACKUP, namespace, database))


def pinned(cache: Cache, namespace: str, database: str) -> frozenset[str]:
    """Names of the Backups of Databases of this name that restores which have not ended read."""
    backups: dict[Whose, list[Backup]] = {}
    for backup in backups_of(cache, namespace, database):
        whose = Whose(namespace, database, backup.status.database_uid or "")
        backups.setdefault(whose, []).append(backup)
    kept = (pinned_backups(reading(cache, whose), of) for whose, of in backups.items())
    return frozenset().union(*kept)


def reading(cache: Cache, whose: Whose) -> list[Reader]:
    """Restores that have not ended, and Databases that have not begun yet, which read from it."""
    restores = cache.children(PITR_RESTORE, whose.namespace, whose.name)
    return readers(
        whose,
        (PitrRestore.model_validate(body) for body in restores if not _is_over(body)),
        (Database.model_validate(body) for body in cache.all(DATABASE) if _may_begin(body)),
    )


def _is_over(run: Body) -> bool:
    phase = (run.get("status") or {}).get("phase")
    return phase is not None and RunPhase(phase).is_final


def _may_begin(database: Body) -> bool:
    """Whether it has not yet, with something that is there before it."""
    has_begun = (database.get("status") or {}).get("systemId")
    return bool(database["spec"].get("bootstrap")) and not has_begun


def _names(backup: Backup) -> tuple[str, str]:
    """The Database that it is of, by namespace and name."""
    return backup.metadata.namespace, backup.spec.database_ref.name


def _capacity(db: Database) -> int | None:
    """What its volume holds at most, in bytes."""
    volume = db.status.volume
    return whole_bytes(volume.capacity) if volume is not None and volume.capacity else None
