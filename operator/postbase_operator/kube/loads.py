"""Dumps that are restored beside a Database's own: their Jobs, started and read.

Implements platforms.Loads: the Jobs run in this cluster, wherever the server does.
"""

from __future__ import annotations

from kubernetes.client import V1Job

from postbase_operator.api.database import Database
from postbase_operator.archive import copies
from postbase_operator.archive.load_run import LoadRun, WantedExtension
from postbase_operator.desired import meta, names
from postbase_operator.desired.load_job import COMPONENT, job_name, load_job, restore_of
from postbase_operator.kube import backup_jobs
from postbase_operator.kube.cache import Cache
from postbase_operator.kube.dry_runs import DryRuns, run_of
from postbase_operator.kube.kinds import JOB, POD, Body
from postbase_operator.kube.restore_jobs import RestoreJobs, wire_of
from postbase_operator.kube.session import Session
from postbase_operator.planning import plan as steps
from postbase_operator.planning.observed import Load
from postbase_operator.planning.restore_seen import Rehearsed
from postbase_operator.platforms import JobServer
from postbase_operator.settings import Settings


class Loads:
    """One for all Databases of a platform."""

    def __init__(self, api: Session, cache: Cache, settings: Settings, jobs: RestoreJobs) -> None:
        self._api = api
        self._cache = cache
        self._settings = settings
        self._jobs = jobs
        self._dry_runs = DryRuns(api, settings)

    def here(self, db: Database) -> JobServer:
        """The server of one that runs in this cluster."""
        host, image = meta.names_of(db).host, self._jobs.image(db)
        return JobServer(host=host, port=names.PORT, image=image)

    def look(self, db: Database) -> tuple[Load, ...]:
        """Every attempt that is there."""
        place = db.metadata.namespace, db.metadata.name
        pods = self._cache.children(POD, *place)
        return tuple(
            load_of(job, backup_jobs.pod_of(job, pods))
            for job in self._cache.children(JOB, *place)
            if (job["metadata"].get("labels") or {}).get(names.LABEL_COMPONENT) == COMPONENT
        )

    async def rehearse(self, db: Database, step: steps.LoadBackup, server: JobServer) -> Rehearsed:
        bodies = run_of(wire_of(self.job(db, step, server)))
        return await self._dry_runs.ask(db.metadata.namespace, bodies)

    async def start(self, db: Database, step: steps.LoadBackup, server: JobServer) -> None:
        """The Job, and before it what it mounts. Leaves: each by itself."""
        await self._jobs.bring_store(db)
        await self._jobs.start(db, self.job(db, step, server))

    def job(self, db: Database, step: steps.LoadBackup, server: JobServer) -> V1Job:
        run = LoadRun(
            object_key=step.object_key,
            host=server.host,
            port=server.port,
            scratch=copies.restoring(step.restore),
            whole=step.whole,
            owner=names.OWNER,
            extensions=tuple(
                WantedExtension(name=each.name, version=each.version) for each in db.spec.extensions
            ),
            limit_bytes=step.limit,
        )
        name = job_name(db, step.restore, step.attempt)
        opened_by = server.password_secret
        return load_job(db, name, run, server.image, self._settings, opened_by)

    async def stop(self, db: Database, databases: tuple[str, ...]) -> None:
        """Runs that fill what is to go; else they would make it anew."""
        going = {each.restore for each in map(copies.parse, databases) if each is not None}
        for job in self._cache.children(JOB, db.metadata.namespace, db.metadata.name):
            metadata = job["metadata"]
            mine = (metadata.get("labels") or {}).get(names.LABEL_COMPONENT) == COMPONENT
            if mine and restore_of(metadata["name"]) in going and not _has_ended(job):
                place = db.metadata.namespace, metadata["name"]
                await self._api.delete(JOB, *place, metadata["uid"])


def load_of(job: Body, pod: Body | None) -> Load:
    """PURE. The attempt by its Job and pod; they are made as those of a backup."""
    metadata = job["metadata"]
    told = (metadata.get("annotations") or {}).get(names.ANNOTATION_GENERATION, "0")
    return Load(restore_of(metadata["name"]), backup_jobs.state_of(job, pod), int(told))


def _has_ended(job: Body) -> bool:
    conditions = (job.get("status") or {}).get("conditions") or []
    return any(
        c["status"] == "True" and c["type"] in ("Complete", "Failed") for c in conditions
    ) or ("deletionTimestamp" in job["metadata"])
