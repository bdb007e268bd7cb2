"""Volumes that are filled out of backups: their Jobs, started and read."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from kubernetes.client import V1Job

from postbase_operator.api.database import Database
from postbase_operator.archive.record import UnreadableRecord
from postbase_operator.archive.run import VARIABLE, FillRun, LastWord, Recovered, RecoveryTask
from postbase_operator.desired import config
from postbase_operator.desired.fill_job import (
    FILL,
    RECOVER,
    claim_of,
    fill_job,
    fills,
    job_name,
)
from postbase_operator.kube import backup_jobs
from postbase_operator.kube.apply import apply, body_of
from postbase_operator.kube.cache import Cache
from postbase_operator.kube.kinds import CONFIG_MAP, JOB, POD, Body
from postbase_operator.kube.restore_jobs import RestoreJobs
from postbase_operator.kube.session import Session
from postbase_operator.planning import plan as steps
from postbase_operator.planning.backup_observed import JobState, RunState
from postbase_operator.planning.filling import ATTEMPTS
from postbase_operator.planning.observed import Fill, Volume
from postbase_operator.settings import Settings

EXIT_REASONS = {65: "VersionMismatch", 75: "VolumeInUse"}


class Fills:
    """One for all Databases."""

    def __init__(self, api: Session, cache: Cache, settings: Settings, jobs: RestoreJobs) -> None:
        self._api = api
        self._cache = cache
        self._settings = settings
        self._jobs = jobs

    def look(self, db: Database, volume: Volume | None) -> Fill | None:
        """The latest attempt that is there."""
        if volume is None:
            return None
        for attempt in range(ATTEMPTS, 0, -1):
            name = job_name(volume.name, volume.restore, attempt)
            job = self._cache.get(JOB, db.metadata.namespace, name)
            if job is not None:
                pods = self._cache.children(POD, db.metadata.namespace, db.metadata.name)
                return fill_of(volume.name, job, backup_jobs.pod_of(job, pods))
        return None

    def strays(self, db: Database, volumes: Iterable[Volume]) -> tuple[str, ...]:
        """The Jobs that are left where the volume has gone between a look and their start."""
        there = {each.name for each in volumes if not each.deleting}
        jobs = self._cache.children(JOB, db.metadata.namespace, db.metadata.name)
        return tuple(
            each["metadata"]["name"]
            for each in jobs
            if fills(each["metadata"])
            and "deletionTimestamp" not in each["metadata"]
            and claim_of(each["metadata"]["name"]) not in there
        )

    async def start(self, db: Database, step: steps.FillVolume) -> None:
        """The Job, and before it what it mounts. Leaves: each by itself."""
        await self._jobs.bring_store(db)
        held = self._cache.get(CONFIG_MAP, db.metadata.namespace, f"{db.metadata.name}-config")
        if held is None:  # a new Database has none yet, and recover.sh is in it
            made = await apply(self._api, body_of(config.config_map(db, "")), None)
            self._cache.put(CONFIG_MAP, made)
        await self._jobs.start(db, self.job(db, step))

    def job(self, db: Database, step: steps.FillVolume) -> V1Job:
        run = FillRun(object_key=step.object_key, recovery=step.recovery)
        name = job_name(step.volume, step.restore, step.attempt)
        return fill_job(db, step.volume, name, run, self._jobs.image(db), self._settings)


def fill_of(volume: str, job: Body, pod: Body | None) -> Fill:
    """PURE. The attempt by its Job and pod, and what its containers have left as last words."""
    meta, status = job["metadata"], job.get("status") or {}
    attempt = int(meta["name"].rpartition("-")[2])
    since = datetime.fromisoformat(meta["creationTimestamp"])
    if "deletionTimestamp" in meta:
        return Fill(volume, JobState(attempt, RunState.STOPPING, since))
    ended = {c["type"]: c for c in status.get("conditions") or [] if c["status"] == "True"}
    if "Complete" in ended:
        return _whole(volume, JobState(attempt, RunState.SUCCEEDED, since), pod, _task(job))
    if "Failed" in ended:
        when = datetime.fromisoformat(ended["Failed"]["lastTransitionTime"])
        reason, message = _why(pod)
        return Fill(volume, JobState(attempt, RunState.FAILED, since, when, reason, message))
    state = JobState(attempt, RunState.RUNNING, since, message=_doing(pod))
    return Fill(volume, state, recovers="running" in _state(pod, "containerStatuses", RECOVER))


def _whole(volume: str, state: JobState, pod: Body | None, task: RecoveryTask | None) -> Fill:
    word = _recovered(pod)
    if word is None:
        return Fill(volume, state)
    return Fill(
        volume,
        state,
        word.system_id,
        word.last_commit,
        task,
        content_seconds=_took(_state(pod, "initContainerStatuses", FILL)),
        replay_seconds=_took(_state(pod, "containerStatuses", RECOVER)),
    )


def _task(job: Body) -> RecoveryTask | None:
    """What the attempt was told of the log: what it has come to is held against that, also where a
    new Database begins with an archive, which has gone on since."""
    containers = job["spec"]["template"]["spec"]["initContainers"]
    (fill,) = (each for each in containers if each["name"] == FILL)
    (told,) = (each["value"] for each in fill["env"] if each["name"] == VARIABLE)
    try:
        return FillRun.from_bytes(told.encode()).recovery
    except UnreadableRecord:  # of another release of ours
        return None


def _took(state: Body) -> int:
    """Whole seconds, as kubelets tell them."""
    ended = state.get("terminated") or {}
    begin, end = (ended.get(each) for each in ("startedAt", "finishedAt"))
    if not begin or not end:
        return 0
    return round((datetime.fromisoformat(end) - datetime.fromisoformat(begin)).total_seconds())


def _doing(pod: Body | None) -> str:
    if "running" in _state(pod, "containerStatuses", RECOVER):
        return "PostgreSQL recovers the copy"
    if "running" in _state(pod, "initContainerStatuses", FILL):
        return "The backup is being fetched"
    return ": ".join(filter(None, backup_jobs.waits_for(pod)))


def _recovered(pod: Body | None) -> Recovered | None:
    ended = _state(pod, "containerStatuses", RECOVER).get("terminated") or {}
    try:
        return Recovered.from_bytes(str(ended.get("message", "")).encode())
    except UnreadableRecord:
        return None


def _why(pod: Body | None) -> tuple[str, str]:
    if pod is None:
        return "RunLost", "its pod is gone"
    evicted = (pod.get("status") or {}).get("reason")
    if evicted:
        return str(evicted), str(pod["status"].get("message", ""))
    filled = _state(pod, "initContainerStatuses", FILL).get("terminated") or {}
    if filled.get("exitCode"):
        try:
            word = LastWord.from_bytes(str(filled.get("message", "")).encode())
        except UnreadableRecord:
            return str(filled.get("reason") or "RunFailed"), f"ended with {filled['exitCode']}"
        return word.reason, word.message
    ended = _state(pod, "containerStatuses", RECOVER).get("terminated") or {}
    try:  # the sidecar's, which recover.sh hands on
        word = LastWord.from_bytes(str(ended.get("message") or "").encode())
        return word.reason, word.message
    except UnreadableRecord:
        pass
    reason = EXIT_REASONS.get(int(ended.get("exitCode", 1)), "RecoveryFailed")
    lines = str(ended.get("message") or "").strip().splitlines()
    return reason, lines[-1] if lines else "PostgreSQL could not recover the copy"


def _state(pod: Body | None, field: str, name: str) -> Body:
    statuses = ((pod or {}).get("status") or {}).get(field) or []
    found: Body = next((each for each in statuses if each["name"] == name), {})
    return found.get("state") or {}
