"""A client notes what is acknowledged, all is killed, the volume thrown away, the bucket restored.

One server is made and backed up into the bucket; each run is of a copy of its data, with an archive
of its own. What a run kills, in which order and after how many acknowledgements, is its plan.
"""

from __future__ import annotations

import random
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import count
from pathlib import Path

from component.far import far
from component.folder_sink import FOLDER
from component.kill_points import Death, MortalReplication, MortalStore
from component.receivers import Running, archived, hot_store, index_of, owner_of, position, until
from component.servers import Server, Servers
from component.sidecars import Pod
from component.store_server import StoreServer, store_of, store_server
from postbase_operator.api.policies import RecoveryPoint
from postbase_operator.archive.receiver import ArchiveOwner, ReceiverConfig
from postbase_operator.objectstore.hot import HotS3Store
from postbase_operator.objectstore.s3 import S3Store
from postbase_operator.objectstore.settings import StoreConfig
from postbase_operator.objectstore.store import Stored
from postbase_operator.wal.base_backup import Options
from postbase_operator.wal.client import RECEIVER, Replication
from postbase_operator.wal.lsn import history_name, segments
from postbase_operator.wal.manifest import Manifest
from postbase_operator.wal.physical import PhysicalBackup, Plan, take
from postbase_operator.wal.receiver import Receiver
from postbase_operator.wal.unpack import place_segment, unpack

CONNECTIONS = 64
DELAY = 0.03
"""What each request to the store takes, as over a network."""
RATE = 200
"""Acknowledgements in the second before the first kill, at least."""
MARGIN = 1.25
VICTIMS = ("receiver", "server")
BEFORE = ((), ("store",), ("network",), ("clock",))
"""What may be killed before them; the clock is the store's, and goes wrong."""

Kill = Callable[[], object]


@dataclass(frozen=True)
class Course:
    """What one run does. `acknowledged`: so many before the first kill, at least."""

    rpo: RecoveryPoint
    order: tuple[str, ...]
    acknowledged: int = 3 * RATE

    @classmethod
    def drawn(cls, seed: int, rpo: RecoveryPoint) -> Course:
        draw = random.Random(seed)  # noqa: S311 - a test that can be repeated
        order = (*draw.choice(BEFORE), *draw.sample(VICTIMS, len(VICTIMS)))
        return cls(rpo, order, draw.randint(2 * RATE, 8 * RATE))


@dataclass(frozen=True)
class Outcome:
    """By row: when it was acknowledged. `rate`: in the second before the first kill."""

    noted: dict[int, float]
    there: set[int]
    killed: float

    @property
    def rate(self) -> int:
        return sum(self.killed - 1.0 <= at <= self.killed for at in self.noted.values())

    @property
    def lost(self) -> dict[int, float]:
        """Seconds between a row's acknowledgement and the first kill."""
        return {n: self.killed - at for n, at in self.noted.items() if n not in self.there}


@dataclass
class Client:
    """A process of its own, and what it has noted."""

    path: Path
    process: subprocess.Popen[bytes]
    _read: int = 0
    _noted: dict[int, float] = field(default_factory=dict)

    def noted(self) -> dict[int, float]:
        with self.path.open("rb") as file:
            file.seek(self._read)
            lines = file.read()
        whole = lines[: lines.rfind(b"\n") + 1]
        self._read += len(whole)
        for n, at in (line.split() for line in whole.splitlines()):
            self._noted[int(n)] = float(at)
        return self._noted

    def writes(self, wanted: int) -> bool:
        """Whether so many are noted, and many in the last second."""
        ago = time.time() - 1.0
        noted = self.noted()
        return len(noted) >= wanted and sum(at >= ago for at in noted.values()) > MARGIN * RATE


@dataclass
class Ledger:
    """What all runs share: servers, a store, the template and its backup."""

    servers: Servers
    folder: Path
    store: StoreServer
    config: StoreConfig
    template: Server
    backup: PhysicalBackup
    _numbers: Iterator[int] = field(default_factory=lambda: count(1))

    @classmethod
    def made(cls, servers: Servers, folder: Path) -> Ledger:
        template = servers.new(15, max_connections=str(CONNECTIONS + 20), wal_keep_size="'1GB'")
        template.sql("CREATE TABLE ledger (n bigint PRIMARY KEY)")
        template.sql(f"CREATE ROLE {RECEIVER} LOGIN REPLICATION")
        with store_server(folder / "s3") as store:
            config = store.config
            backup = _backed_up(template, store_of(config))
        template.stop()
        return cls(servers, folder, store, config, template, backup)

    def run(self, course: Course, kind: type[Receiver] | None = None) -> Outcome:
        """`kind`: a receiver in a thread of ours, in place of the sidecar's process."""
        number = next(self._numbers)
        server, folder = self._copy(), self.folder / str(number)
        folder.mkdir()
        try:
            owner = owner_of(server, number)
            with ExitStack() as stack:
                kills = self._scene(stack, course, server, owner, kind)
                outcome = self._until_killed(stack, course, server, folder, kills)
            with store_server(self.store.folder, port=self.store.port):
                outcome.there.update(self._restored(owner))
            return outcome
        finally:
            server.kill()
            shutil.rmtree(server.folder)
            self.servers.made.remove(server)

    def _scene(
        self,
        stack: ExitStack,
        course: Course,
        server: Server,
        owner: ArchiveOwner,
        kind: type[Receiver] | None,
    ) -> dict[str, Kill]:
        """All that can be killed, and how."""
        storing = stack.enter_context(ExitStack())
        storing.enter_context(store_server(self.store.folder, port=self.store.port))
        network = stack.enter_context(far(self.store.port, DELAY, server.folder))
        config = replace(self.config, endpoint=network.endpoint)
        receiver = (
            _sidecar(server, owner, config, course.rpo)
            if kind is None
            else _thread(server, owner, config, course.rpo, kind)
        )
        return {
            "receiver": stack.enter_context(receiver),
            "server": server.kill,
            "store": storing.close,
            "network": network.cut,
            "clock": network.skew,
        }

    def _until_killed(
        self, stack: ExitStack, course: Course, server: Server, folder: Path, kills: dict[str, Kill]
    ) -> Outcome:
        if course.rpo is RecoveryPoint.ZERO:
            server.sql("ALTER SYSTEM SET synchronous_standby_names = 'postbase_walrx'")
            server.sql("SELECT pg_reload_conf()")
            until("synchronous", lambda: server.sql("SHOW synchronous_standby_names")[0][0])
        client = stack.enter_context(_client(server, folder / "ledger"))
        until("acknowledgements", lambda: client.writes(course.acknowledged), 60.0)
        killed = time.time()
        for victim in course.order:
            kills[victim]()
        client.process.wait(30)
        return Outcome(dict(client.noted()), set(), killed)

    def _copy(self) -> Server:
        server = self.servers.bare(self.template.major)
        subprocess.run(["cp", "-a", self.template.data, server.data], check=True)
        server.configure(**self.template.settings)
        server.start()
        return server

    def _restored(self, owner: ArchiveOwner) -> set[int]:
        target = self.servers.bare(self.template.major)
        try:
            _restore(target, self.backup, self.config, owner)
            target.configure(**self.template.settings, **target.settings)
            target.start()
            until("recovered", lambda: target.sql("SELECT pg_is_in_recovery()") == [(False,)])
            return {n for (n,) in target.sql("SELECT n FROM ledger")}
        finally:
            target.kill()
            shutil.rmtree(target.folder)
            self.servers.made.remove(target)


@contextmanager
def _sidecar(
    server: Server, owner: ArchiveOwner, config: StoreConfig, rpo: RecoveryPoint
) -> Iterator[Kill]:
    """As a pod has it; killed with -9."""
    pod = Pod(server.folder / "pod", server, config)
    pod.configure(ReceiverConfig(enabled=True, rpo=rpo, owner=owner))
    with pod.sidecar() as process:
        until("it archives", lambda: pod.durable() >= position(server))
        yield process.kill


@contextmanager
def _thread(
    server: Server,
    owner: ArchiveOwner,
    config: StoreConfig,
    rpo: RecoveryPoint,
    kind: type[Receiver],
) -> Iterator[Kill]:
    death = Death()
    store = MortalStore(hot_store(config), death)
    connect = partial(MortalReplication, server, death)
    with Running(server, store, owner, rpo=rpo, kind=kind, connect=connect) as running:
        running.caught_up()
        yield lambda: setattr(death, "dead", True)


@contextmanager
def _client(server: Server, path: Path) -> Iterator[Client]:
    path.touch()
    command = [sys.executable, "-m", "component.ledger_client", server.conninfo, str(path)]
    environment = {"PYTHONPATH": ":".join(sys.path)}
    with subprocess.Popen([*command, str(CONNECTIONS)], env=environment) as process:
        try:
            yield Client(path, process)
        finally:
            process.kill()


def _backed_up(server: Server, store: S3Store) -> PhysicalBackup:
    def sink(key: str, chunks: Iterator[bytes]) -> Stored:
        return store.put_stream(key, chunks)

    connect = partial(Replication.connect, server.conninfo)
    return take(connect, sink, Plan(FOLDER, Options("ledger")), lambda *_: None)


def _restore(
    target: Server, backup: PhysicalBackup, config: StoreConfig, owner: ArchiveOwner
) -> None:
    """From the bucket alone: the backup, and each segment of the log as far as it goes."""
    store, log = store_of(config), hot_store(config)
    target.data.mkdir(mode=0o700)
    manifest = Manifest.parse(b"".join(store.get_stream(f"{FOLDER}backup_manifest")))
    for segment in manifest.segments(backup.segment_size):
        place_segment(store.get_stream(f"{FOLDER}wal/{segment.name}.zst"), segment, target.data)
    pieces = [item.key for item in backup.objects if item.key.startswith("pieces/")]
    unpack([partial(store.get_stream, f"{FOLDER}{key}") for key in pieces], manifest, target.data)
    folder = target.subfolder("log-of-the-bucket")
    _take_out(log, owner, folder)
    (target.data / "recovery.signal").touch()
    target.settings |= {
        "restore_command": f"'cp {folder}/%f \"%p\"'",
        "recovery_target_timeline": "'latest'",
    }
    target.take_over()


def _take_out(log: HotS3Store, owner: ArchiveOwner, folder: Path) -> None:
    index = index_of(log, owner)
    for timeline in index.timelines:
        for run in index.runs(timeline):
            for segment in segments(run.start, run.end, timeline):
                data = archived(log, owner, segment)
                (folder / segment.name).write_bytes(data.ljust(segment.size, b"\0"))
    for timeline, key in index.histories.items():
        (folder / history_name(timeline)).write_bytes(log.get(str(key)))
    for file in folder.iterdir():
        file.chmod(0o644)
