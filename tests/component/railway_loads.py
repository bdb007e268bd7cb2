"""Jobs that restore dumps into Databases on Railway: made by the operator's own code, and their
containers run as processes as the kubelet would run them, against the double's proxy."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import uuid
from asyncio.subprocess import Process
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from component import load_process
from component.job_runs import programs
from component.railway_archives import Secrets
from postbase_operator.desired import names
from postbase_operator.kube.cache import Cache
from postbase_operator.kube.kinds import JOB, POD, Body, Kind
from postbase_operator.kube.refusals import AlreadyExists
from postbase_operator.kube.secret_data import decode
from postbase_operator.objectstore.settings import StoreConfig

LATER = timedelta(minutes=5)
"""As the planner of Databases is told the time in these tests (railway_operator.LATER)."""


@dataclass
class Run:
    """A Job's pod: its containers, the folder that they share, and how it ended."""

    job: Body
    folder: Path
    password: Callable[[str], str]
    """By the name of the Secret that has it."""
    told: Callable[[str, str], str]
    processes: list[Process] = field(default_factory=list)
    code: int | None = None
    argv: list[str] = field(default_factory=list)

    @property
    def spec(self) -> Body:
        found: Body = self.job["spec"]["template"]["spec"]
        return found

    def container(self, name: str) -> Body:
        every = [*self.spec["containers"], *self.spec["initContainers"]]
        return next(each for each in every if each["name"] == name)

    async def make(self, store: Mapping[str, bytes]) -> int:
        """To the end of the pod."""
        for each in ("run", "store"):
            (self.folder / each).mkdir(parents=True)
        for name, data in store.items():
            (self.folder / "store" / name).write_bytes(data)
        prepare, program = self.container("prepare"), self.container("backup")
        assert await (await self._ours(prepare)).wait() == 0
        beside = self.container("load")
        command = [self._here(each.replace("$$", "$")) for each in beside["command"]]
        path = {"PATH": f"{programs()}:{os.environ['PATH']}"}
        await self._begin(command, path | self._told(beside))
        self.code = await (await self._ours(program)).wait()
        self.kill()
        for process in self.processes:  # before the loop that watches them ends
            await process.wait()
        return self.code

    def kill(self) -> None:
        """All of it at once, as a pod ends that is deleted."""
        for each in self.processes:
            if each.returncode is None:
                with suppress(ProcessLookupError):  # it has ended by itself a moment ago
                    os.killpg(each.pid, signal.SIGKILL)

    async def _ours(self, container: Body) -> Process:
        command = [sys.executable, "-m", load_process.__name__, str(self.folder)]
        paths = {"PYTHONPATH": os.pathsep.join(sys.path), "PATH": os.environ["PATH"]}
        return await self._begin([*command, *container["args"]], paths | self._told(container))

    async def _begin(self, command: list[str], environment: dict[str, str]) -> Process:
        self.argv += command
        with (self.folder / "log").open("ab") as log:
            process = await asyncio.create_subprocess_exec(
                *command, env=environment, stdout=log, stderr=log, start_new_session=True
            )
        self.processes.append(process)
        return process

    def _told(self, container: Body) -> dict[str, str]:
        return {
            each["name"]: self.told(each["name"], self._value(each)) for each in container["env"]
        }

    def _value(self, variable: Body) -> str:
        if "value" in variable:
            return self._here(str(variable["value"]))
        key = variable["valueFrom"]["secretKeyRef"]
        assert key["key"] == "password"
        return self.password(key["name"])

    def _here(self, text: str) -> str:
        return text.replace(names.RUN_MOUNT, str(self.folder / "run"))

    @property
    def log(self) -> str:
        return (self.folder / "log").read_text(errors="replace")

    @property
    def word(self) -> str:
        path = self.folder / load_process.WORD
        return path.read_text() if path.exists() else ""


class Died(BaseException):
    """The operator's end at a request to the API server."""


@dataclass
class Cluster(Secrets):
    """As much of an API server and its nodes as a load takes; what survives an operator. The cache
    is what its watches show."""

    store: StoreConfig | None
    passwords: Mapping[str, str]
    """Of superusers, by the Database's UID."""
    folder: Path
    cache: Cache = field(default_factory=Cache)
    held: dict[tuple[str, str], Body] = field(default_factory=dict)
    runs: list[Run] = field(default_factory=list)
    tasks: list[asyncio.Task[None]] = field(default_factory=list)
    shown: list[Body] = field(default_factory=list)
    """With `dryRun`."""
    told: Callable[[str, str], str] = lambda _, value: value
    """What a variable of this name becomes in a container."""
    refusal: Exception | None = None
    """What the next of these is answered with."""
    changes: int = 0
    dies_after: int = 0
    """Its so-manieth change has been made, and the operator never hears of it."""

    async def find(self, kind: Kind, namespace: str, name: str) -> Body | None:  # type: ignore[override]
        return self.held.get((kind.kind, name)) or await super().find(kind, namespace, name)

    async def create(
        self, kind: Kind, namespace: str, body: Body, _: str, *, dry_run: bool = False
    ) -> Body:
        if dry_run:
            self.shown.append(body)
            if self.refusal is not None:
                raise self.refusal
            return body
        place = kind.kind, body["metadata"]["name"]
        if place in self.held:
            raise AlreadyExists("kubernetes", f"{place} is there")
        meta = {"uid": str(uuid.uuid4()), "namespace": namespace, "creationTimestamp": _now()}
        made = self.held[place] = {**body, "metadata": body["metadata"] | meta}
        if kind is JOB:
            self._run(made)
        self._count()
        return made

    async def replace(self, kind: Kind, _: str, body: Body, __: str) -> Body:
        self.held[kind.kind, body["metadata"]["name"]] = body
        self._count()
        return body

    async def delete(self, kind: Kind, _: str, name: str, uid: str) -> None:
        gone = self.held.pop((kind.kind, name))
        assert gone["metadata"]["uid"] == uid
        for run in self.runs:
            if run.job["metadata"]["uid"] == uid:
                run.kill()
        self.cache.drop(kind, gone)
        self._count()

    def _count(self) -> None:
        self.changes += 1
        if self.changes == self.dies_after:
            raise Died

    def _run(self, job: Body) -> None:
        run = Run(job, self.folder / job["metadata"]["uid"], self._password, self.told)
        self.runs.append(run)
        self.cache.put(JOB, job)
        self.tasks.append(asyncio.get_running_loop().create_task(self._to_its_end(run)))

    def _password(self, secret: str) -> str:
        (found,) = [held for uid, held in self.passwords.items() if secret.endswith(uid[:8])]
        return found

    async def _to_its_end(self, run: Run) -> None:
        name = f"{run.job['metadata']['labels'][names.LABEL_DATABASE]}-store"
        code = await run.make(decode(self.held["Secret", name]))
        if self.held.get(("Job", run.job["metadata"]["name"])) is not run.job:
            return
        ended = {"type": "Failed" if code else "Complete", "status": "True"}
        ended["lastTransitionTime"] = _now()
        self.cache.put(POD, _pod(run, code))
        self.cache.put(JOB, {**run.job, "status": {"conditions": [ended]}})

    async def close(self) -> None:
        for run in self.runs:
            run.kill()
        await asyncio.gather(*self.tasks)


def _now() -> str:
    return (datetime.now(UTC) + LATER).isoformat()


def _pod(run: Run, code: int) -> Body:
    meta: dict[str, Any] = run.job["metadata"]
    labels = meta["labels"] | {"batch.kubernetes.io/job-name": meta["name"]}
    ended = {"exitCode": code, "message": run.word}
    program = {"name": "backup", "state": {"terminated": ended}}
    return {
        "metadata": {"name": f"{meta['name']}-x", "namespace": meta["namespace"], "labels": labels},
        "status": {"containerStatuses": [program]},
    }
