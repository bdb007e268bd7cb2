"""A client notes what is acknowledged, all is killed, the volume thrown away, the bucket restored.

One server is made and backed up into the bucket; each run is of a copy of its data, with an archive
of its own. What a run kills, in which order and after how many acknowledgements, is its plan.
"""

from __future__ import annotations

import math
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
from component.ledger_client import ROWS
from component.ledger_restore import restore
from component.receivers import Running, hot_store, owner_of, position, until
from component.servers import Server, Servers
from component.sidecars import Pod
from component.store_server import StoreServer, store_of, store_server
from postbase_operator.api.policies import RecoveryPoint
from postbase_operator.archive.receiver import ArchiveOwner, ReceiverConfig
from postbase_operator.objectstore.s3 import S3Store
from postbase_operator.objectstore.settings import StoreConfig
from postbase_operator.objectstore.store import Stored
from postbase_operator.wal.base_backup import Options
from postbase_operator.wal.client import RECEIVER, Replication
from postbase_operator.wal.lsn import Lsn
from postbase_operator.wal.physical import PhysicalBackup, Plan, take
from postbase_operator.wal.receiver import Receiver

CONNECTIONS = 64
DELAY = 0.03
"""What each request to the store takes, as over a network."""
RATE = 200
"""Acknowledgements in the second before the first kill, at least."""
YOUNG = 2.0
"""Seconds, with Async: the first kill comes when all that is older was told to be durable."""
VICTIMS = ("receiver", "server")
BEFORE = ((), ("store",), ("network",), ("clock",))
"""What may be killed before them; the clock is the store's, and goes wrong."""

Kill = Callable[[], object]
Durable = Callable[[], Lsn]


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
    safe: float
    """What was acknowledged before this must be there, however young: with Zero all."""

    @property
    def rate(self) -> int:
        return len(last_second(self.noted, self.killed))

    @property
    def broken(self) -> set[int]:
        """Rows that may not be missing, and are."""
        return {n for n in self.lost if self.noted[n] < self.safe}

    @property
    def lost(self) -> dict[int, float]:
        """Seconds between a row's acknowledgement and the first kill."""
        return {n: self.killed - at for n, at in self.noted.items() if n not in self.there}


def last_second(noted: dict[int, float], now: float) -> list[int]:
    return [n for n, at in noted.items() if now - 1.0 <= at <= now]


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

    def writes(self, course: Course, now: float) -> bool:
        """Whether enough is noted, and of the last second so much and of so many connections that
        acknowledgements are under way at any moment."""
        noted = self.noted()
        last = last_second(noted, now)
        connections = {n // ROWS for n in last}
        busy = len(last) >= RATE and len(connections) >= CONNECTIONS / 2
        return busy and len(noted) >= course.acknowledged


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
                kills, durable = self._scene(stack, course, server, owner, kind)
                client = _writing(stack, course, server, folder)
                outcome = _until_killed(client, course, server, kills, durable)
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
    ) -> tuple[dict[str, Kill], Durable]:
        """All that can be killed, and how; up to where the receiver says that all is durable."""
        storing = stack.enter_context(ExitStack())
        storing.enter_context(store_server(self.store.folder, port=self.store.port))
        network = stack.enter_context(far(self.store.port, DELAY, server.folder))
        config = replace(self.config, endpoint=network.endpoint)
        receiver = (
            _sidecar(server, owner, config, course.rpo)
            if kind is None
            else _thread(server, owner, config, course.rpo, kind)
        )
        kill, durable = stack.enter_context(receiver)
        kills = {
            "receiver": kill,
            "server": server.kill,
            "store": storing.close,
            "network": network.cut,
            "clock": network.skew,
        }
        return kills, durable

    def _copy(self) -> Server:
        server = self.servers.bare(self.template.major)
        subprocess.run(["cp", "-a", self.template.data, server.data], check=True)
        server.configure(**self.template.settings)
        server.start()
        return server

    def _restored(self, owner: ArchiveOwner) -> set[int]:
        target = self.servers.bare(self.template.major)
        try:
            restore(target, self.backup, self.config, owner)
            target.configure(**self.template.settings, **target.settings)
            target.start()
            until("recovered", lambda: target.sql("SELECT pg_is_in_recovery()") == [(False,)])
            return {n for (n,) in target.sql("SELECT n FROM ledger")}
        finally:
            target.kill()
            shutil.rmtree(target.folder)
            self.servers.made.remove(target)


def _writing(stack: ExitStack, course: Course, server: Server, folder: Path) -> Client:
    if course.rpo is RecoveryPoint.ZERO:
        server.sql("ALTER SYSTEM SET synchronous_standby_names = 'postbase_walrx'")
        server.sql("SELECT pg_reload_conf()")
        until("synchronous", lambda: server.sql("SHOW synchronous_standby_names")[0][0])
    return stack.enter_context(_client(server, folder / "ledger"))


def _until_killed(
    client: Client, course: Course, server: Server, kills: dict[str, Kill], durable: Durable
) -> Outcome:
    safe = killed = math.inf

    def is_due() -> bool:
        nonlocal safe, killed
        if course.rpo is not RecoveryPoint.ZERO:
            safe = _told_durable(server, durable)
        killed = time.time()
        return killed - safe < YOUNG and client.writes(course, killed)

    until("acknowledgements", is_due, 120.0, every=0.5)  # a look takes as long as the lag is
    for victim in course.order:
        kills[victim]()
    client.process.wait(30)
    return Outcome(dict(client.noted()), set(), killed, safe)


def _told_durable(server: Server, durable: Durable) -> float:
    """A moment before which all that was acknowledged is durable, by the receiver's word."""
    moment = time.time()
    end = position(server)
    until("durable", lambda: durable() >= end)
    return moment


@contextmanager
def _sidecar(
    server: Server, owner: ArchiveOwner, config: StoreConfig, rpo: RecoveryPoint
) -> Iterator[tuple[Kill, Durable]]:
    """As a pod has it; killed with -9."""
    pod = Pod(server.folder / "pod", server, config)
    pod.configure(ReceiverConfig(enabled=True, rpo=rpo, owner=owner))
    with pod.sidecar() as process:
        until("it archives", lambda: pod.durable() >= position(server))
        yield process.kill, pod.durable


@contextmanager
def _thread(
    server: Server,
    owner: ArchiveOwner,
    config: StoreConfig,
    rpo: RecoveryPoint,
    kind: type[Receiver],
) -> Iterator[tuple[Kill, Durable]]:
    death = Death()
    store = MortalStore(hot_store(config), death)
    connect = partial(MortalReplication, server, death)
    with Running(server, store, owner, rpo=rpo, kind=kind, connect=connect) as running:
        running.caught_up()
        standing = running.standing
        yield lambda: setattr(death, "dead", True), lambda: standing.durable or Lsn(0)


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
