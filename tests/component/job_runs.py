"""Runs of backup Jobs in this process or in one that is killed, and the container beside them."""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from component.fault_proxy import FaultProxy, Request, relay, reset
from component.servers import Server
from component.store_server import StoreServer, plain_client, store_of
from postbase_operator.api.ids import public_id
from postbase_operator.api.policies import BackupMethod
from postbase_operator.archive.record import BackupRecord
from postbase_operator.archive.run import BackupRun, ServerFacts
from postbase_operator.desired import names
from postbase_operator.jobs import physical
from postbase_operator.jobs.logical import PIPES, LogicalBackup
from postbase_operator.objectstore.s3 import S3Store
from postbase_operator.objectstore.settings import StoreConfig
from postbase_operator.wal.client import Replication

UID = "4b1e4f5c-0000-4000-8000-000000000001"
ID, PROJECT = public_id("Backup", UID), public_id("Project", UID)
DUMP_SH = Path(physical.__file__).parents[1] / "desired/scripts/dump.sh"
REAL = Path("/usr/lib/postgresql/15/bin")
"""Debian's; pg_dump takes servers up to its own major."""
SPAWN = multiprocessing.get_context("forkserver")
SPAWN.set_forkserver_preload(["component.job_runs"])


def run_of(method: str, system_id: str = "7312345678901234567") -> BackupRun:
    facts = ServerFacts(
        system_id=system_id,
        postgres_version="15.18",
        major=15,
        arch="x86_64",
        libc="gnu",
        block_size=8192,
        wal_segment_size=2**24,
        encoding="UTF8",
        source_bytes=30_000_000,
    )
    return BackupRun(
        id=ID,
        method=BackupMethod(method),
        backup_name="before-migration",
        spec_hash="0" * 64,
        project=PROJECT,
        namespace="team",
        name="shop-main",
        database_uid=UID,
        incarnation=f"{system_id}-1",
        image_digest="stock@sha256:1",
        host="nowhere",
        port=5432,
        dbname="app",
        server=facts,
    )


def keys(store: S3Store) -> set[str]:
    return {each.key for each in store.list("")}


def uploads(config: StoreConfig) -> list[str]:
    answer = plain_client(config).list_multipart_uploads(Bucket=config.bucket)
    return [upload["Key"] for upload in answer.get("Uploads", [])]


def record_in(store: S3Store, run: BackupRun) -> BackupRecord:
    return BackupRecord.from_bytes(store.get(str(run.place.record)))


def assert_whole(store: S3Store, run: BackupRun) -> BackupRecord:
    """The record, what it names as it names it, and not an object more."""
    record = record_in(store, run)
    folder = str(run.place)
    named = {f"{folder}{each.key}": each for each in record.objects}
    assert keys(store) == {*named, str(run.place.record)}
    for key, each in named.items():
        assert store.stat(key).size == each.size
    assert record.size_bytes == sum(each.size for each in record.objects)
    return record


def flip(server: StoreServer, config: StoreConfig, key: str, at: int) -> None:
    """One bit of an object, behind the store's back."""
    path = server.folder / "objects" / config.bucket / key
    with path.open("r+b") as file:
        file.seek(at)
        byte = file.read(1)
        file.seek(at)
        file.write(bytes([byte[0] ^ 1]))


# -- the container `dump` ----------------------------------------------------------------------


@dataclass
class Pod:
    """What the two containers share, and what the database's image has for programs."""

    folder: Path
    programs: Path
    environment: dict[str, str]

    @property
    def run(self) -> Path:
        return self.folder / "run"

    def program(self, name: str, text: str) -> None:
        path = self.programs / name
        path.write_text(f"#!/bin/sh\n{text}\n")
        path.chmod(0o755)

    @contextmanager
    def dumping(self, text: Path = DUMP_SH) -> Iterator[subprocess.Popen[bytes]]:
        """The product's own script, with this pod's folder in the place of the volume."""
        script = self.folder / text.name
        script.write_text(text.read_text().replace(names.RUN_MOUNT, str(self.run)))
        path = f"{self.programs}:{os.environ['PATH']}"
        process = subprocess.Popen(
            ["/bin/sh", str(script)],
            env={"PATH": path} | self.environment,
            start_new_session=True,
        )
        try:
            yield process
        finally:
            end(process)


def end(process: subprocess.Popen[bytes]) -> None:
    """As a container ends that is killed: all of it at once."""
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait(60)


def pod(folder: Path, dump: bytes = b"", server: Server | None = None) -> Pod:
    """With a server the real programs; else stand-ins that write `dump`."""
    made = Pod(folder, folder / "bin", {})
    for each in (made.run, made.programs):
        each.mkdir(parents=True)
    for name in PIPES:
        os.mkfifo(made.run / name)
    if server is not None:
        made.programs = programs()
        made.environment = {"PGHOST": str(server.folder), "PGUSER": "postgres"}
        made.environment["PGDATABASE"] = "postgres"
        return made
    (folder / "dump").write_bytes(dump)
    made.program("pg_dumpall", "echo 'CREATE ROLE app;'")
    made.program("pg_dump", f"exec cat {folder / 'dump'}")
    made.program("pg_restore", 'test "$(head -c 5)" = PGDMP && cat >/dev/null')
    return made


def programs() -> Path:
    """Real pg_dump, pg_dumpall and pg_restore."""
    if not (REAL / "pg_dump").exists():
        pytest.skip(f"there is no pg_dump in {REAL}: tests/e2e have the images' own")
    return REAL


# -- a run that is killed ------------------------------------------------------------------------


@dataclass(frozen=True)
class Kills:
    """At this request the run's process is no more; `after`: the store has done it all the same."""

    pid: int
    after: bool

    def __call__(self, request: Request) -> None:
        if self.after:
            with request.passed_on() as server:
                while server.recv(1 << 18):
                    pass
        os.kill(self.pid, signal.SIGKILL)
        reset(request.client)


def take_physical(run: BackupRun, store: S3Store, conninfo: str) -> None:
    physical.make(run, store, partial(Replication.connect, conninfo))


def take_logical(run: BackupRun, store: S3Store, folder: str) -> None:
    LogicalBackup(run, store, Path(folder)).make()


TAKE = {BackupMethod.PHYSICAL: take_physical, BackupMethod.LOGICAL: take_logical}


def _child(run: bytes, config: StoreConfig, source: str, go: Any) -> None:
    go.recv()
    task = BackupRun.from_bytes(run)
    TAKE[task.method](task, store_of(config), source)


def killed_at(
    proxy: FaultProxy, run: BackupRun, config: StoreConfig, source: str, number: int, *, after: bool
) -> bool:
    """A run that is killed at its so-manieth request; False where it came to its end before.

    `source` is the server's conninfo, or the pod's folder.
    """
    ours, theirs = SPAWN.Pipe()
    process = SPAWN.Process(target=_child, args=(run.to_bytes(), config, source, theirs))
    process.start()
    assert process.pid is not None
    begun = len(proxy.seen)
    proxy.next(".*", relay, times=number - 1)
    proxy.next(".*", Kills(process.pid, after))
    ours.send(None)
    process.join(60)
    for rule in proxy._rules:
        rule.times = 0
    proxy.settle()
    assert process.exitcode in (0, -signal.SIGKILL), proxy.seen[begun:]
    return process.exitcode != 0
