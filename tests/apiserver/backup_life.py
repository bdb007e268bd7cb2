"""A Life with an object store: a real versitygw, and the Job controller and the Jobs played here.

What a played Job stores is as the product's own has it; tests/component have the product's own.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any, cast

import pytest
from kubernetes.aio import client, config
from kubernetes.client import CoreV1Api, V1Namespace, V1ObjectMeta, V1Secret

from apiserver import life as lives
from apiserver.access import Api
from apiserver.controllers import Controllers
from apiserver.interruptions import Clock, Operator, Wire
from apiserver.life import NAME, Life, default_account, offer_growing_volumes
from apiserver.loop import MANAGER, make, resource
from apiserver.postgres import Connection, Row
from component.store_server import StoreServer, store_of
from postbase_operator.api.backup import Backup
from postbase_operator.archive.keys import DumpKey, GlobalsKey, LogicalStem
from postbase_operator.archive.record import StoredObject
from postbase_operator.archive.run import VARIABLE, BackupRun, LastWord
from postbase_operator.handlers import reconcile
from postbase_operator.handlers.keys import Key
from postbase_operator.handlers.reconcile import Reconciler
from postbase_operator.jobs.logical import record_of
from postbase_operator.kube.backup_jobs import JOB_NAME
from postbase_operator.kube.budget import WriteBudget
from postbase_operator.kube.kinds import BACKUP, JOB, POD, PROJECT, Body, Kind
from postbase_operator.kube.session import Session
from postbase_operator.objectstore.s3 import S3Store
from postbase_operator.postgres import server as pg
from postbase_operator.settings import Settings

KEYS = "store-keys"
DUMP = b"a dump, as far as this layer looks"
Outcome = Callable[["Jobs", BackupRun], str]
"""What a Job does in the store; answers why it failed, "" where it did not."""


def complete(jobs: Jobs, run: BackupRun) -> str:
    """As the product's own: what is recorded is not made again, and the record comes last."""
    place = run.place
    assert isinstance(place, LogicalStem)
    if str(place.record) in jobs.stored():
        return ""
    stored = [
        jobs.store.put(str(GlobalsKey(place)), b"CREATE ROLE app;"),
        jobs.store.put(str(DumpKey(place)), DUMP),
    ]
    objects = tuple(
        StoredObject(key=each.key.removeprefix(str(place)), size=each.size, sha256=each.sha256)
        for each in stored
    )
    facts = {"source_bytes": len(DUMP), "sha256": objects[1].sha256}
    record = record_of(run, datetime.now(UTC), objects, **facts)  # type: ignore[arg-type]
    jobs.store.put(str(place.record), record.to_bytes())
    return ""


def half(reason: str) -> Outcome:
    """Stores something, and fails."""

    def play(jobs: Jobs, run: BackupRun) -> str:
        assert isinstance(run.place, LogicalStem)
        jobs.store.put(str(GlobalsKey(run.place)), b"CREATE ROLE app;")
        return reason

    return play


class Jobs(Controllers):
    """Beside the others: who makes Jobs' pods, and what runs in them. `outcomes` of one Backup's
    attempts, the last one for all further ones; held ones run on and on."""

    def __init__(self, session: Session, store: S3Store) -> None:
        super().__init__(session)
        self.store = store
        self.outcomes: list[Outcome] = [complete]
        self.held = False
        self.made: list[str] = []
        """Names of all Jobs that ever were."""

    def stored(self) -> set[str]:
        """All of backups; the catalogue stays whatever becomes of them."""
        keys = {each.key for each in self.store.list("")}
        return {key for key in keys if not key.startswith("v1/catalogue/")}

    def tell(self, body: Body) -> None:
        """Says of a Backup that is new that it is: by that the operator knows its own from an echo
        of what it has in its cache."""
        kind, name = body.get("kind"), body["metadata"].get("name", "")
        new = kind == "Backup" and (BACKUP, name) not in self.objects
        if kind == "Job" and name not in self.made:
            self.made.append(name)
        super().tell(body)
        if new and self.events[-1][1] == "MODIFIED":
            self.events[-1] = (BACKUP, "ADDED", body)

    def of(self, kind: Kind) -> Iterator[Body]:
        """The database's own pod is the one that the others act on."""
        for body in super().of(kind):
            if kind is not POD or not _is_job_s(body):
                yield body

    async def act(self) -> bool:
        return await super().act() or await self._jobs() or await self._orphans()

    async def _jobs(self) -> bool:
        for job in self.of(JOB):
            pod = self.objects.get((POD, f"{job['metadata']['name']}-x"))
            if await self._job(job, pod):
                return True
        return False

    async def _job(self, job: Body, pod: Body | None) -> bool:
        if "deletionTimestamp" in job["metadata"]:
            await (self._strip(JOB, job) if pod is None else self._end_pod(pod))
        elif any(c["status"] == "True" for c in job.get("status", {}).get("conditions", [])):
            return False
        elif pod is None:
            await self._make_its_pod(job)
        elif not pod.get("status", {}).get("containerStatuses"):
            await self._status(POD, pod, _container({"running": {"startedAt": _now()}}))
        elif "terminated" in pod["status"]["containerStatuses"][0]["state"]:
            await self._status(JOB, job, _ended(job, pod))
        elif self.held:
            return False
        else:
            await self._run(job, pod)
        return True

    async def _end_pod(self, pod: Body) -> None:
        meta = pod["metadata"]
        if "deletionTimestamp" not in meta:
            await self.session.delete(POD, meta["namespace"], meta["name"], meta["uid"], grace=0)
        if (POD, meta["name"]) in self.objects:
            await self._strip(POD, pod)

    async def _make_its_pod(self, job: Body) -> None:
        meta, template = job["metadata"], job["spec"]["template"]
        owner = {"apiVersion": "batch/v1", "kind": "Job", "controller": True}
        body = {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {
                "name": f"{meta['name']}-x",
                "labels": {**template["metadata"]["labels"], JOB_NAME: meta["name"]},
                "ownerReferences": [{**owner, "name": meta["name"], "uid": meta["uid"]}],
            },
            "spec": template["spec"],
        }
        await self.session.create(POD, meta["namespace"], body, "job-controller")

    async def _run(self, job: Body, pod: Body) -> None:
        attempt = int(job["metadata"]["name"].rpartition("-")[2])
        play = self.outcomes[min(attempt, len(self.outcomes)) - 1]
        env = {each["name"]: each["value"] for each in pod["spec"]["containers"][0]["env"]}
        run = BackupRun.from_bytes(env[VARIABLE].encode())
        reason = await asyncio.to_thread(play, self, run)
        word = LastWord(reason=reason, message="as it said").to_bytes().decode() if reason else ""
        ended = {"exitCode": 1 if reason else 0, "message": word, "finishedAt": _now()}
        await self._status(POD, pod, _container({"terminated": ended | {"startedAt": _now()}}))

    async def _orphans(self) -> bool:
        """The garbage collector's part: Jobs of Backups that are gone, and the leave that a Backup
        has to go once its Jobs have."""
        for body in self.of(BACKUP):
            if body["metadata"].get("finalizers") == ["foregroundDeletion"]:
                await self._strip(BACKUP, body)
                return True
        there = {body["metadata"]["uid"] for body in self.of(BACKUP)}
        for job in self.of(JOB):
            owners = job["metadata"].get("ownerReferences") or []
            going = "deletionTimestamp" in job["metadata"]
            if not going and all(owner["uid"] not in there for owner in owners):
                meta = job["metadata"]
                await self.session.delete(JOB, meta["namespace"], meta["name"], meta["uid"])
                return True
        return False


def _is_job_s(pod: Body) -> bool:
    return JOB_NAME in (pod["metadata"].get("labels") or {})


def _now() -> str:
    return f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}"


def _container(state: Body) -> Body:
    told = {
        "name": "backup",
        "image": "postbase:1",
        "imageID": "sha256:0",
        "ready": "running" in state,
        "restartCount": 0,
        "state": state,
    }
    return {"phase": "Running" if "running" in state else "Succeeded", "containerStatuses": [told]}


def _ended(job: Body, pod: Body) -> Body:
    """As the Job controller of 1.34 writes it: the verdict, and the word that led to it."""
    code = pod["status"]["containerStatuses"][0]["state"]["terminated"]["exitCode"]
    since = job["metadata"]["creationTimestamp"]
    words = ("FailureTarget", "Failed") if code else ("SuccessCriteriaMet", "Complete")
    reason = "BackoffLimitExceeded" if code else "CompletionsReached"
    said = {"status": "True", "reason": reason, "lastTransitionTime": _now()}
    conditions = [said | {"type": word} for word in words]
    counts = {"failed": 1} if code else {"succeeded": 1, "completionTime": _now()}
    empty: Body = {"uncountedTerminatedPods": {}}
    return {"startTime": since, "conditions": conditions, **counts, **empty}


class Described(Connection):
    """Answers also what a backup's record says of the server."""

    def _read(self, statement: str, parameters: Sequence[Any]) -> list[Row] | None:
        if statement == pg.DESCRIBED:
            built = "PostgreSQL 15.8 on x86_64-pc-linux-gnu, compiled by gcc"
            told = ("15.8", built, "8192", "16777216", "UTF8", 30_000_000)
            return [(self._server.disk.system_id, *told)]
        if "pg_catalog.pg_extension" in statement:
            return [("plpgsql", "1.0")]
        return super()._read(statement, parameters)


class CountsBackups:
    """A reconciler whose calls about Backups are those that are counted."""

    def __init__(self, reconciler: Reconciler, wire: Wire) -> None:
        self._reconciler = reconciler
        self._wire = wire

    async def run(self, key: Key) -> float | None:
        self._wire.counting = key.kind == BACKUP.kind
        return await self._reconciler.run(key)


class BackupOperator(Operator):
    def __post_init__(self) -> None:
        super().__post_init__()
        counting = CountsBackups(self._reconciler, self.wire)
        self._reconciler = cast(Reconciler, counting)


class BackupLife(Life):
    """A Life whose Backups go to `server`; time can be moved on by hand."""

    server: StoreServer
    controls: type[Jobs] = Jobs
    operates: type[Operator] = BackupOperator
    stored = True
    later = timedelta()
    controllers: Jobs

    async def begin(self, namespace: str) -> None:
        if self.namespace:
            await self.operator.stop()
        core = CoreV1Api(self._api.client)
        core.create_namespace(V1Namespace(metadata=V1ObjectMeta(name=namespace)))
        core.create_namespaced_service_account(namespace, default_account())
        self.namespace, self.config = namespace, self.server.config
        keys = {
            "AWS_ACCESS_KEY_ID": self.config.access_key_id,
            "AWS_SECRET_ACCESS_KEY": self.config.secret_access_key,
        }
        secret = V1Secret(metadata=V1ObjectMeta(name=KEYS), string_data=keys)
        core.create_namespaced_secret(namespace, secret)
        self.controllers = self.controls(self.session, store_of(self.config))
        await make(self.session, namespace)
        self.operator = self._new_operator()
        await self.operator.start()

    def _new_operator(self) -> Operator:
        wanted = {
            "bucket": self.config.bucket,
            "endpoint": self.config.endpoint,
            "pathStyle": True,
            "credentialsSecretRef": {"name": KEYS},
        }
        chosen = Settings(
            sidecar_image="postbase:1",
            watch_namespaces=(self.namespace,),
            workers=1,
            operator_namespace=self.namespace,
            object_store=json.dumps(wanted) if self.stored else "",
        )
        session = Session(self._client, WriteBudget(1000))
        return self.operates(session, self.namespace, chosen, wire=self.wire)

    def another_operator(self) -> Operator:
        """Hears of nothing but what it lists at its start."""
        return self._new_operator()

    async def connect(self, conninfo: str, *, autocommit: bool) -> Connection:
        made = await super().connect(conninfo, autocommit=autocommit)
        return Described(made._server, made._wire)

    def now(self) -> datetime:
        return datetime.now(UTC) + self.later + timedelta(seconds=self._clock.time() - 1000.0)

    # -- what a user does --------------------------------------------------------------------

    async def back_up(self, name: str, **spec: Any) -> None:
        """Applies a Backup; what becomes of it is waited for elsewhere."""
        body = resource("Backup", name, {"databaseRef": {"name": NAME}, **spec})
        await self.session.create(BACKUP, self.namespace, body, MANAGER)

    async def ends(self, name: str) -> Backup:
        await self.until(lambda: self.backup(name).is_done())
        return self.backup(name)

    def forsake(self, name: str) -> None:
        """Deletes a Backup."""
        gone = self._api.delete(BACKUP.plural, self.namespace, name)
        self.controllers.tell(gone)

    async def drop(self, name: str) -> None:
        self.forsake(name)
        await self.until(lambda: (BACKUP, name) not in self.controllers.objects)

    async def of_project(self, **spec: Any) -> None:
        await self.session.merge(PROJECT, self.namespace, "shop", {"spec": spec}, MANAGER)

    # -- what is there -----------------------------------------------------------------------

    def backup(self, name: str) -> Backup:
        return Backup.model_validate(self.controllers.objects[BACKUP, name])

    def _told(self) -> str:
        told = {
            body["metadata"]["name"]: body.get("status") for body in self.controllers.of(BACKUP)
        }
        return f"{super()._told()}, and the Backups {told}"

    def reason(self, name: str) -> str:
        found = (c for c in self.backup(name).status.conditions if c.type == "Ready")
        return next((condition.reason for condition in found), "")

    def jobs_of(self, name: str) -> list[str]:
        """All that were ever made for it."""
        return [job for job in self.controllers.made if job.startswith(f"{name}-")]


@asynccontextmanager
async def living(
    api: Api,
    server: StoreServer,
    *,
    stored: bool = True,
    kind: Callable[..., BackupLife] = BackupLife,
) -> AsyncIterator[BackupLife]:
    offer_growing_volumes(api)
    settings = client.Configuration()
    await config.load_kube_config(str(api.kubeconfig), client_configuration=settings)
    settings.client_session_kwargs = {"trust_env": False}
    clock = asyncio.get_running_loop()
    assert isinstance(clock, Clock)
    life = kind(api, clock, settings)
    life.server, life.stored = server, stored
    lives.LIFE.set(life)
    clock.join()
    try:
        yield life
    finally:
        clock.leave()
        await life.close()


def moving() -> datetime:
    """In the place of reconcile's: a Life's own time."""
    life = lives.LIFE.get()
    assert isinstance(life, BackupLife)
    return life.now()


@pytest.fixture
def its_own_time(monkeypatch: pytest.MonkeyPatch, worlds_apart: None) -> None:
    """Between two attempts minutes go by: none of them is waited for."""
    monkeypatch.setattr(reconcile, "now", moving)
    monkeypatch.setattr(lives, "PATIENCE", 3600.0)
