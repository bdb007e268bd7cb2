"""Runs of the Job that restores a dump, beside the product's own script and a real server."""

from __future__ import annotations

import os
import uuid
from dataclasses import dataclass, field
from pathlib import Path

from component.job_runs import DUMP_SH, PROJECT, UID, Pod, pod, programs, run_of, take_logical
from component.servers import Server
from postbase_operator.api.ids import public_id
from postbase_operator.archive import copies
from postbase_operator.archive.keys import LogicalStem
from postbase_operator.archive.load_run import LoadRun, WantedExtension
from postbase_operator.archive.run import BackupRun
from postbase_operator.jobs.load import PIPES, Load
from postbase_operator.objectstore.s3 import S3Store
from postbase_operator.postgres.loading import RESTORER, Loading, door

LOAD_SH = DUMP_SH.parent / "load.sh"
PRODUCT = """
CREATE ROLE postbase_admin LOGIN SUPERUSER;
CREATE ROLE app NOLOGIN;
GRANT pg_read_all_stats, pg_signal_backend TO app;
CREATE ROLE app_a LOGIN;
GRANT app TO app_a;
ALTER ROLE app_a SET role = 'app';
"""


def settle(server: Server) -> None:
    """Roles as the operator makes them."""
    for statement in PRODUCT.strip().splitlines():
        server.sql(statement)


def dump(server: Server, store: S3Store, folder: Path) -> BackupRun:
    """A backup of the database `app`."""
    uid = str(uuid.uuid4())
    run = run_of("Logical").model_copy(update={"id": public_id("Backup", uid)})
    its = pod(folder, server=server)
    its.environment["PGDATABASE"] = copies.DATABASE
    with its.dumping():
        take_logical(run, store, str(its.run))
    return run


@dataclass
class Restore:
    """One restore into a server; `uid` is the PitrRestore's."""

    server: Server
    store: S3Store
    run: BackupRun
    folder: Path
    uid: str = field(default_factory=lambda: str(uuid.uuid4()))
    extensions: tuple[str, ...] = ()
    limit: int | None = None
    whole: str = ""
    attempt: int = 0
    programs: Path | None = None

    @property
    def task(self) -> LoadRun:
        return LoadRun(
            object_key=LogicalStem(PROJECT, self.run.name, self.run.id).object_key,
            host="nowhere",
            port=self.server.port,
            scratch=copies.restoring(self.uid),
            whole=self.whole or copies.restored(self.uid),
            owner="app",
            extensions=tuple(WantedExtension(name=each) for each in self.extensions),
            limit_bytes=self.limit,
        )

    def pod(self) -> Pod:
        self.attempt += 1
        folder = self.folder / f"attempt-{self.attempt}"
        run = folder / "run"
        run.mkdir(parents=True)
        for name in PIPES:
            os.mkfifo(run / name)
        its = Pod(folder, self.programs or programs(), {})
        its.environment = {"PGHOST": str(self.server.folder), "PGPORT": str(self.server.port)}
        its.environment |= {"PGUSER": RESTORER, "PGDATABASE": self.task.scratch}
        return its

    def load(self, store: S3Store | None = None) -> None:
        """One attempt, in this process. Raises what it raises."""
        its = self.pod()
        with its.dumping(LOAD_SH):
            self.job(its, store or self.store).make()

    def job(self, its: Pod, store: S3Store) -> Load:
        base = {"host": str(self.server.folder), "port": str(self.server.port)}
        loading = Loading(self.task, door(user="postgres", **base), door(user=RESTORER, **base))
        return Load(self.task, store, its.run, loading, "a password")

    def sql(self, query: str) -> list[tuple[object, ...]]:
        """In the restored database."""
        return self.server.sql(query, dbname=self.task.whole)


def databases(server: Server) -> set[str]:
    query = "SELECT datname::text FROM pg_database WHERE datname LIKE 'app%'"
    return {row[0] for row in server.sql(query)}


def temporary_roles(server: Server) -> int:
    query = "SELECT count(*) FROM pg_roles WHERE rolname LIKE 'postbase_restore%'"
    return int(server.sql(query)[0][0])


__all__ = ["UID", "Restore", "databases", "dump", "settle", "temporary_roles"]
