"""The promise itself: what was acknowledged is in the bucket, which alone brings it back.

A client of its own writes numbered rows and notes each acknowledgement. Receiver and server are
killed, the data folder is thrown away, and a new server is made from the bucket. The same is done
with a receiver that acknowledges early: then rows are missing, so this test can fail.
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import pytest

from component.early import EarlyReceiver
from component.fault_proxy import FaultProxy, Slow
from component.folder_sink import FOLDER
from component.kill_points import Death, MortalReplication, MortalStore
from component.receivers import Running, archived, hot_store, index_of, owner_of, until
from component.servers import Server, Servers, servers
from component.store_server import store_of
from postbase_operator.api.policies import RecoveryPoint
from postbase_operator.archive.receiver import ArchiveOwner
from postbase_operator.objectstore.hot import HotS3Store
from postbase_operator.objectstore.s3 import S3Store
from postbase_operator.objectstore.settings import StoreConfig
from postbase_operator.objectstore.store import Stored
from postbase_operator.wal.base_backup import Options
from postbase_operator.wal.client import Replication
from postbase_operator.wal.lsn import history_name, segments
from postbase_operator.wal.manifest import Manifest
from postbase_operator.wal.physical import PhysicalBackup, Plan, take
from postbase_operator.wal.receiver import Receiver
from postbase_operator.wal.unpack import place_segment, unpack

__all__ = ["servers"]
CONNECTIONS = 24
ACKNOWLEDGED = 200
"""At least so many before a kill."""
ASYNC_SECONDS = 2.0
"""Older acknowledgements than these are never lost; the bench judges a finer figure."""


@dataclass
class Client:
    """The other process, and what it has noted."""

    path: Path
    process: subprocess.Popen[bytes]

    def noted(self) -> dict[int, float]:
        lines = self.path.read_text().splitlines() if self.path.exists() else []
        return {int(n): float(at) for n, at in (line.split() for line in lines)}


@pytest.fixture
def slow_store(s3_config: StoreConfig, s3_proxy: FaultProxy) -> HotS3Store:
    """Each write takes its time, as over a network."""
    s3_proxy.next("PUT", Slow(0.03), times=1 << 30)
    return hot_store(replace(s3_config, endpoint=s3_proxy.endpoint))


def bucket_sink(store: S3Store, key: str, chunks: Iterator[bytes]) -> Stored:
    return store.put_stream(key, chunks)


def back_up(server: Server, store: S3Store) -> PhysicalBackup:
    connect = partial(Replication.connect, server.conninfo)
    return take(
        connect, partial(bucket_sink, store), Plan(FOLDER, Options("ledger")), lambda *_: None
    )


def restored(
    target: Server, backup: PhysicalBackup, store: S3Store, log: HotS3Store, owner: ArchiveOwner
) -> Server:
    """From the bucket alone: the backup, and each segment of the log as far as it goes."""
    target.data.mkdir(mode=0o700)
    manifest = Manifest.parse(b"".join(store.get_stream(f"{FOLDER}backup_manifest")))
    for segment in manifest.segments(backup.segment_size):
        place_segment(store.get_stream(f"{FOLDER}wal/{segment.name}.zst"), segment, target.data)
    pieces = [item.key for item in backup.objects if item.key.startswith("pieces/")]
    unpack([partial(store.get_stream, f"{FOLDER}{key}") for key in pieces], manifest, target.data)
    folder = target.subfolder("log-of-the-bucket")
    index = index_of(log, owner)
    for timeline in index.timelines:
        for run in index.runs(timeline):
            for segment in segments(run.start, run.end, timeline):
                data = archived(log, owner, segment)
                (folder / segment.name).write_bytes(data.ljust(segment.size, b"\0"))
    for timeline, key in index.histories.items():
        (folder / history_name(timeline)).write_bytes(log.get(str(key)))
    (target.data / "recovery.signal").touch()
    target.configure(
        restore_command=f"'cp {folder}/%f \"%p\"'", recovery_target_timeline="'latest'"
    )
    target.take_over()
    for file in folder.iterdir():
        file.chmod(0o644)
    target.start()
    until("recovered", lambda: target.sql("SELECT pg_is_in_recovery()") == [(False,)])
    return target


def story(
    servers: Servers,
    config: StoreConfig,
    log: HotS3Store,
    kind: type[Receiver],
    rpo: RecoveryPoint,
    first: str,
    folder: Path,
) -> tuple[dict[int, float], set[int], float]:
    """What was acknowledged, what came back, and when all was killed."""
    server, store = servers.new(15), store_of(config)
    server.configure(max_connections="60")
    server.stop()
    server.start()
    server.sql("CREATE TABLE ledger (n bigint PRIMARY KEY)")
    owner, death = owner_of(server), Death()
    with Running(
        server,
        MortalStore(log, death),
        owner,
        rpo=rpo,
        kind=kind,
        connect=lambda: MortalReplication(server, death),
    ) as running:
        running.caught_up()
        backup = back_up(server, store)
        if rpo is RecoveryPoint.ZERO:
            server.sql("ALTER SYSTEM SET synchronous_standby_names = 'postbase_walrx'")
            server.sql("SELECT pg_reload_conf()")
            until("synchronous", lambda: server.sql("SHOW synchronous_standby_names")[0][0])
        client = begin(server, folder / "ledger")
        until("acknowledgements", lambda: len(client.noted()) >= 3 * ACKNOWLEDGED, 60.0)
        assert client.process.poll() is None
        steps = {"receiver": lambda: setattr(death, "dead", True), "server": server.kill}
        killed = time.time()
        steps.pop(first)()
        for step in steps.values():
            step()
        client.process.wait(30)
        assert running.ended() is not None or death.dead
    noted = client.noted()
    assert len(noted) >= ACKNOWLEDGED
    (server.data).rename(server.folder / "thrown-away")
    target = restored(servers.bare(15), backup, store, log, owner)
    there = {n for (n,) in target.sql("SELECT n FROM ledger")}
    target.kill()
    return noted, there, killed


def begin(server: Server, path: Path) -> Client:
    command = [sys.executable, "-m", "component.ledger_client", server.conninfo, str(path)]
    environment = {"PYTHONPATH": ":".join(sys.path)}
    return Client(path, subprocess.Popen([*command, str(CONNECTIONS)], env=environment))


@pytest.mark.parametrize("first", ["receiver", "server"])
def test_with_zero_nothing_acknowledged_is_lost(
    servers: Servers, s3_config: StoreConfig, slow_store: HotS3Store, tmp_path: Path, first: str
) -> None:
    noted, there, _ = story(
        servers, s3_config, slow_store, Receiver, RecoveryPoint.ZERO, first, tmp_path
    )
    assert noted.keys() <= there, f"{len(noted.keys() - there)} of {len(noted)} are lost"


@pytest.mark.parametrize("first", ["receiver", "server"])
def test_with_async_what_is_lost_is_young(
    servers: Servers, s3_config: StoreConfig, slow_store: HotS3Store, tmp_path: Path, first: str
) -> None:
    noted, there, killed = story(
        servers, s3_config, slow_store, Receiver, RecoveryPoint.ASYNC, first, tmp_path
    )
    lost = [killed - at for n, at in noted.items() if n not in there]
    assert max(lost, default=0.0) < ASYNC_SECONDS


def test_a_receiver_that_acknowledges_early_is_found_out(
    servers: Servers, s3_config: StoreConfig, slow_store: HotS3Store, tmp_path: Path
) -> None:
    noted, there, _ = story(
        servers, s3_config, slow_store, EarlyReceiver, RecoveryPoint.ZERO, "receiver", tmp_path
    )
    assert noted.keys() - there, "nothing was lost: this harness cannot fail"
