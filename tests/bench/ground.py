"""What the benches of archiving stand on: a server, an object store, and what a process has spent.

`BENCH_TMP` says where the server's and the store's files lie.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from bench.runs import TICKS
from component.receivers import hot_store
from component.servers import Server, making
from component.store_server import StoreServer, store_server
from postbase_operator.objectstore.hot import HotS3Store
from postbase_operator.objectstore.settings import StoreConfig
from postbase_operator.wal.client import RECEIVER

GIGABYTE = 10**9
MIB = 2**20
LOOKS_EVERY = 0.01
PATIENCE = 600.0
ROWS = 200_000


@dataclass(frozen=True)
class Spent:
    """`cpu` in seconds, of the process alone; `peak` in bytes, shared pages too."""

    seconds: float
    cpu: float
    peak: int


@dataclass
class Ground:
    server: Server
    store: StoreServer
    folder: Path

    @classmethod
    @contextmanager
    def made(cls, store_on: Path | None = None, **settings: str) -> Iterator[Ground]:
        """A server that writes to its disk as one in use does; the store may lie elsewhere."""
        beside = os.environ.get("BENCH_TMP")
        with (
            tempfile.TemporaryDirectory(prefix="bench-", dir=beside) as root,
            tempfile.TemporaryDirectory(prefix="bench-", dir=store_on or beside) as objects,
            store_server(Path(objects)) as store,
            making() as servers,
        ):
            given = {"shared_buffers": "'128MB'", "fsync": "on"} | settings
            server = servers.new(15, **given)
            server.sql(f"CREATE ROLE {RECEIVER} LOGIN REPLICATION")
            yield cls(server, store, Path(root))

    def fresh(self, name: str) -> Path:
        """An empty folder: below the server's own, as a socket's path may not be long."""
        path = (self.server.folder if name == "pod" else self.folder) / name
        shutil.rmtree(path, ignore_errors=True)
        path.mkdir()
        return path

    def pgbench(self, *options: str) -> str:
        """What it said."""
        command = ["pgbench", "-h", str(self.server.folder), "-U", "postgres", *options, "postgres"]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise RuntimeError(f"{' '.join(command)}: {done.stderr[-1000:]}")
        return done.stdout

    def hot(self, config: StoreConfig) -> HotS3Store:
        return hot_store(config)

    def stored(self, config: StoreConfig) -> int:
        """Bytes in a bucket."""
        folder = self.store.folder / "objects" / config.bucket
        return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())

    def spent(self, process: subprocess.Popen[bytes], slot: str, done: Callable[[], bool]) -> Spent:
        """From the moment on at which the process streams."""
        query = "SELECT active FROM pg_replication_slots WHERE slot_name = %s"
        ends = time.monotonic() + PATIENCE
        while not (rows := self.server.sql(query, slot)) or not rows[0][0]:
            if time.monotonic() > ends or process.poll() is not None:
                raise RuntimeError(f"{process.args!r} does not stream")
            time.sleep(LOOKS_EVERY)
        began, first = time.monotonic(), cpu_of(process.pid)
        last, peak = first, 0
        while not done():
            last = cpu_of(process.pid) or last
            peak = peak_of(process.pid) or peak
            if time.monotonic() > ends:
                raise RuntimeError(f"{process.args!r} does not end")
            time.sleep(LOOKS_EVERY)
        return Spent(time.monotonic() - began, last - first, peak)


def cpu_of(pid: int) -> float:
    """Seconds so far; 0 of a process that has ended."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def peak_of(pid: int) -> int:
    """Bytes that were resident at most; 0 of a process that has ended."""
    status = Path(f"/proc/{pid}/status").read_text()
    _, found, rest = status.partition("VmHWM:")
    return int(rest.split()[0]) << 10 if found else 0


def fill(server: Server, bytes: int) -> None:
    """So much of the log, in rows that compress some 4:1."""
    server.sql("CREATE TABLE backlog (n bigint, b text)")
    body = "encode(sha256(n::text::bytea), 'hex') || repeat(' the same', 20)"
    query = "SELECT pg_current_wal_insert_lsn() - '0/0'"
    begin, start = int(server.sql(query)[0][0]), 0
    while int(server.sql(query)[0][0]) - begin < bytes:
        server.sql(
            f"INSERT INTO backlog SELECT n, {body}"  # noqa: S608 - texts of our own
            f" FROM generate_series({start + 1}, {start + ROWS}) n"
        )
        server.sql("TRUNCATE backlog")
        start += ROWS
