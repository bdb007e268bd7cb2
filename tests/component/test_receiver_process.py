"""The sidecar's process as it runs in a pod: idle, on, off again; its port; its memory."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from component.receivers import hot_store, index_of, owner_of, position, until
from component.servers import Servers, servers
from component.sidecars import TOKEN, Pod, memory, own_memory, peak_memory
from postbase_operator.archive.receiver import STOPPING_MARK, ArchiveOwner, ReceiverConfig
from postbase_operator.objectstore.hot import HotS3Store
from postbase_operator.objectstore.settings import StoreConfig
from postbase_operator.wal.client import RECEIVER
from postbase_operator.wal.lsn import Lsn

__all__ = ["servers"]
MIB = 1 << 20
IDLE_LIMIT = 15 * MIB
OWN_LIMIT = 48 * MIB
"""Of the process that archives, beside some 28 MiB of mapped files."""
PEAK_LIMIT = 192 * MIB
"""Three quarters of what its container may have, mapped files too, under a load that does not
compress. How much of the log is held has a limit of its own: see test_receiver_faults.py."""


@pytest.fixture
def pod(servers: Servers, s3_config: StoreConfig) -> Pod:
    server = servers.new(15)
    server.sql(f"CREATE ROLE {RECEIVER} LOGIN REPLICATION")
    server.sql("CREATE TABLE t (n int)")
    # Below the server's own folder: a socket's path has 107 characters at most.
    return Pod(server.folder / "pod", server, s3_config)


def archiving(process: subprocess.Popen[bytes]) -> bool:
    return b"jobs.archiving" in Path(f"/proc/{process.pid}/cmdline").read_bytes()


def test_on_and_off_without_a_new_process(pod: Pod) -> None:
    pod.configure(ReceiverConfig())
    with pod.sidecar() as process:
        until("it waits", lambda: waits_for_a_signal(process))
        idle = memory(process)
        assert not archiving(process)
        assert pod.report() is None, "nobody listens while archiving is off"

        pod.configure(pod.on)
        until("archiving", lambda: pod.durable() >= position(pod.server))
        pod.server.load(80)
        end = position(pod.server)
        until("caught up", lambda: pod.durable() >= end)
        report = pod.report()
        assert report is not None
        assert report.state == "Running"
        until("memory goes back", lambda: own_memory(process) <= OWN_LIMIT)
        on, peak = memory(process), peak_memory(process)

        pod.configure(ReceiverConfig())
        until("idle again", lambda: not archiving(process) and pod.report() is None)
        assert memory(process) <= IDLE_LIMIT
        process.terminate()
        assert process.wait(30) == 0
    assert idle <= IDLE_LIMIT, f"{idle / MIB:.1f} MiB while off"
    assert peak <= PEAK_LIMIT, f"{peak / MIB:.1f} MiB under load"
    print(f"memory: {idle / MIB:.1f} MiB off, {on / MIB:.1f} on, {peak / MIB:.1f} at most")


def test_the_port_wants_a_token(pod: Pod) -> None:
    pod.configure(pod.on)
    with pod.sidecar():
        until("it listens", pod.report)
        for token in ("", "wrong", TOKEN + "x"):
            assert pod.ask("/status", token=token)[0] == 401
        assert pod.ask("/nothing")[0] == 404
        assert pod.ask("/status", "POST")[0] == 405
        status, metrics = pod.ask("/metrics")
        assert status == 200
        assert b"\npostbase_wal_lag_seconds " in metrics
        (pod.root / "postbase/tls/receiver-token").write_text("another")
        assert pod.ask("/status")[0] == 401, "a rotated token counts at once"
        assert pod.ask("/status", token="another")[0] == 200


def test_a_restart_on_request_and_a_kill_lose_nothing(pod: Pod) -> None:
    pod.configure(pod.on)
    store, owner = hot_store(pod.store), owner_of(pod.server)
    with pod.sidecar() as process:
        until("archiving", lambda: pod.durable() >= position(pod.server))
        before = pod.report()
        assert before is not None
        pod.server.load(5)
        assert pod.ask("/restart", "POST")[0] == 202
        until("started anew", lambda: (now := pod.report()) and now.started_at > before.started_at)
        until("caught up", lambda: pod.durable() >= position(pod.server))
        pod.server.load(5)
        process.kill()
        process.wait()
    with pod.sidecar() as process:
        end = position(pod.server)
        until("caught up after a kill", lambda: pod.durable() >= end)
        # The server writes some bytes of its own accord: told and stored need not be of one moment.
        until("counted over both", lambda: told(pod) == stored(store, owner))
        pod.server.sql("INSERT INTO t VALUES (1)")
        process.terminate()
        assert process.wait(30) == 0
    assert index_of(store, owner).runs(1)[0].end >= end


def test_a_planned_stop_is_told_by_the_mark(pod: Pod) -> None:
    pod.configure(pod.on)
    with pod.sidecar() as process:
        until("archiving", lambda: pod.durable() >= position(pod.server))
        Path(f"{pod.root}{STOPPING_MARK}").touch()
        until("it knows", lambda: (report := pod.report()) and report.stopping)
        pod.server.stop()
        process.terminate()
        assert process.wait(30) == 0
    store = hot_store(pod.store)
    pod.server.start()
    end = index_of(store, owner_of(pod.server)).runs(1)[0].end
    redo = pod.server.sql("SELECT redo_lsn::text FROM pg_control_checkpoint()")[0][0]
    assert end > Lsn.parse(redo), "the shutdown checkpoint is in the archive"


def told(pod: Pod) -> int:
    report = pod.report()
    return report.bytes_received if report is not None else -1


def stored(store: HotS3Store, owner: ArchiveOwner) -> int:
    (run,) = index_of(store, owner).runs(1)
    return run.end - run.start


def waits_for_a_signal(process: subprocess.Popen[bytes]) -> bool:
    """By the number of the system call that it is in: rt_sigtimedwait of x86-64, as our servers."""
    return Path(f"/proc/{process.pid}/syscall").read_text().split()[0] == "128"
