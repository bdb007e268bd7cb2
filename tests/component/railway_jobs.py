"""Backup Jobs of Databases on Railway: made by the operator's own code, and their containers run as
the kubelet would, against the double's proxy."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, cast

import pytest

from component.job_runs import end, programs, take_logical
from component.railway_operator import PROJECT, Operator
from postbase_operator import cli
from postbase_operator.api.backup import Backup
from postbase_operator.api.database import Database
from postbase_operator.archive.run import VARIABLE, BackupRun
from postbase_operator.desired import names
from postbase_operator.desired.backup_job import job_name
from postbase_operator.jobs import logical
from postbase_operator.kube.backups import Backups
from postbase_operator.kube.cache import Cache
from postbase_operator.kube.kinds import DATABASE, Body, Kind
from postbase_operator.kube.kinds import PROJECT as PROJECTS
from postbase_operator.kube.session import Session
from postbase_operator.objectstore.s3 import S3Store
from postbase_operator.planning.backup_steps import BackupPlan, StartRun
from postbase_operator.settings import Settings

SETTINGS = Settings(sidecar_image="postbase:1", object_store='{"bucket": "default"}')


@dataclass
class Api:
    """As much of the API server as the start of a run takes."""

    held: dict[tuple[str, str], Body] = field(default_factory=dict)

    async def find(self, kind: Kind, _: str, name: str) -> Body | None:
        return self.held.get((kind.kind, name))

    async def create(self, kind: Kind, _: str, body: Body, __: str) -> Body:
        self.held[kind.kind, body["metadata"]["name"]] = body
        return body


@dataclass
class Pod:
    """A Job's pod: its spec, the folder that its containers share, and the Secrets behind it."""

    spec: Body
    folder: Path
    password: str
    changes: dict[str, str] = field(default_factory=dict)
    """Of the environment of pg_dump's container."""

    def container(self, name: str) -> Body:
        every = [*self.spec["containers"], *self.spec.get("initContainers", ())]
        return next(each for each in every if each["name"] == name)

    def prepare(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder.mkdir()
        monkeypatch.setattr(logical, "FOLDER", self.folder)
        assert cli.main(self.container("prepare")["args"]) == 0

    @property
    def run(self) -> BackupRun:
        every = self.container("backup")["env"]
        told = {each["name"]: each["value"] for each in every if "value" in each}
        return BackupRun.from_bytes(told[VARIABLE].encode())

    def back_up(self, store: S3Store) -> None:
        """Both containers to the end of the pod. Raises Failed."""
        with self._dumping():
            take_logical(self.run, store, str(self.folder))

    @contextmanager
    def _dumping(self) -> Iterator[None]:
        """The kubelet's part: `$$` is a `$`, and a Secret's key is a variable's value."""
        container = self.container("dump")
        command = [
            each.replace("$$", "$").replace(names.RUN_MOUNT, str(self.folder))
            for each in container["command"]
        ]
        told = {each["name"]: self._value(each) for each in container["env"]}
        path = {"PATH": f"{programs()}:{os.environ['PATH']}"}
        process = subprocess.Popen(command, env=path | told | self.changes, start_new_session=True)
        try:
            yield
        finally:
            end(process)

    def _value(self, variable: Body) -> str:
        if "value" in variable:
            return str(variable["value"])
        assert variable["valueFrom"]["secretKeyRef"]["key"] == "password"
        return self.password


def backup_of(db: Database, method: str = "Logical") -> Backup:
    meta = {"name": "before-migration", "namespace": "team", "uid": db.metadata.uid}
    spec = {"databaseRef": {"name": db.metadata.name}, "method": method}
    return Backup.model_validate({"metadata": meta, "spec": spec})


async def started(
    ours: Operator, db: Database, folder: Path, method: str = "Logical"
) -> tuple[Pod, Api]:
    """The first attempt at a Backup, as the operator starts it; nothing of it has run yet."""
    api, cache, backup = Api(), Cache(), backup_of(db, method)
    cache.put(DATABASE, db.to_wire())
    cache.put(PROJECTS, PROJECT.to_wire())
    session = cast(Session, cast(Any, api))
    backups = Backups(session, cache, SETTINGS, ours.platform.backing_up, lambda: datetime.now(UTC))
    until = datetime.now(UTC) + timedelta(hours=1)
    await backups.execute(backup, BackupPlan(backup.status, (StartRun(1, until),)))
    spec = api.held["Job", job_name(backup, 1)]["spec"]["template"]["spec"]
    return Pod(spec, folder, ours.ring.passwords[db.metadata.uid]), api
