"""How fast a backlog of the log is received, beside pg_receivewal, which writes to a local disk.

Both take the same log from the same position on, in turns: a slot keeps it on the server. Measured
is from the stream's begin to its end, so that neither program's start counts.
"""

from __future__ import annotations

import os
import statistics
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import psycopg

from bench.ground import GIGABYTE, MIB, Ground, Spent, fill
from component.receivers import index_of, owner_of
from component.sidecars import Pod
from postbase_operator.archive.receiver import SLOT
from postbase_operator.wal.lsn import Lsn

KEPT, PEER = "kept", "peer"
PATIENCE = 600.0

INTRO = """
### A backlog of {size:.1f} GB

Received, packed (zstd 1) and written to the store (versitygw, which takes its share of the same
processors), beside pg_receivewal to the same disk; medians of {rounds} rounds in turns, from the
stream's begin to its end; the server's and the store's own processor time is not counted. Wanted:
1.0 times pg_receivewal, 3 CPU-s/GB, 150 MiB.

| | MB/s | / pg_receivewal | CPU-s/GB | peak MiB | bytes kept |
|---|---|---|---|---|---|"""


@dataclass
class Contender:
    """`run` receives it all once; `kept` says how many bytes there are then."""

    name: str
    run: Callable[[Backlog], tuple[Spent, int]]
    runs: list[Spent] = field(default_factory=list)
    kept: int = 0


@dataclass
class Backlog:
    ground: Ground
    start: Lsn
    end: Lsn

    @property
    def bytes(self) -> int:
        return self.end - self.start

    def renew(self, slot: str) -> None:
        """One that begins where the backlog does."""
        sql = self.ground.server.sql
        if sql("SELECT 1 FROM pg_replication_slots WHERE slot_name = %s", slot):
            sql("SELECT pg_drop_replication_slot(%s)", slot)
        sql("SELECT pg_copy_physical_replication_slot(%s, %s)", KEPT, slot)


@contextmanager
def backlog(gigabytes: float) -> Iterator[Backlog]:
    large = f"'{int(gigabytes * 4 + 4)}GB'"
    with Ground.made(max_wal_size=large, autovacuum="off", checkpoint_timeout="'1d'") as ground:
        sql = ground.server.sql
        sql("CHECKPOINT")
        sql("SELECT pg_switch_wal()")
        sql("CHECKPOINT")  # what follows begins in a segment of its own
        sql("SELECT pg_create_physical_replication_slot(%s, true)", KEPT)
        kept = sql("SELECT restart_lsn::text FROM pg_replication_slots")[0][0]
        start = Lsn.parse(kept)
        fill(ground.server, int(gigabytes * GIGABYTE))
        sql("SELECT pg_switch_wal()")
        end = Lsn.parse(sql("SELECT pg_current_wal_lsn()::text")[0][0])
        sql("CHECKPOINT")  # nothing is left to be written meanwhile; and pg_receivewal ends behind
        yield Backlog(ground, Lsn(start - start % (16 << 20)), Lsn(end - end % (16 << 20)))


def ours(log: Backlog) -> tuple[Spent, int]:
    """The sidecar's process as a pod has it."""
    ground, server = log.ground, log.ground.server
    log.renew(SLOT)
    pod = Pod(ground.fresh("pod"), server, ground.store.config)
    pod.configure(pod.on)
    with (
        pod.sidecar() as process,
        psycopg.connect(server.conninfo, autocommit=True) as asking,
    ):
        query = "SELECT restart_lsn >= %s::pg_lsn FROM pg_replication_slots WHERE slot_name = %s"

        def done() -> bool:
            row = asking.execute(query, (str(log.end), SLOT)).fetchone()
            return process.poll() is not None or bool(row and row[0])

        spent = ground.spent(process, SLOT, done)
        process.terminate()
        process.wait(30)
    index = index_of(ground.hot(pod.store), owner_of(server))
    (run,) = index.runs(1)
    if run.start > log.start or run.end < log.end:
        raise RuntimeError(f"the archive holds {run}, not {log.start} to {log.end}")
    return spent, ground.stored(pod.store)


def receivewal(*options: str) -> Callable[[Backlog], tuple[Spent, int]]:
    def run(log: Backlog) -> tuple[Spent, int]:
        folder = log.ground.fresh("received")
        log.renew(PEER)
        command = ["pg_receivewal", "-h", str(log.ground.server.folder), "-U", "postgres"]
        command += ["-S", PEER, "-D", str(folder), "--no-loop", f"--endpos={log.end}", *options]
        with subprocess.Popen(command, stdout=subprocess.DEVNULL) as process:
            spent = log.ground.spent(process, PEER, lambda: process.poll() is not None)
        if process.returncode != 0:
            raise RuntimeError(f"{' '.join(command)} ended with {process.returncode}")
        return spent, sum(path.stat().st_size for path in folder.iterdir())

    return run


def contenders() -> list[Contender]:
    return [
        Contender("pg_receivewal", receivewal()),
        Contender("ours", ours),
        Contender("pg_receivewal -Z lz4", receivewal("--compress=lz4")),
    ]


def table(log: Backlog, found: list[Contender], rounds: int) -> str:
    speeds = [statistics.median(log.bytes / run.seconds for run in each.runs) for each in found]
    lines = [INTRO.format(size=log.bytes / GIGABYTE, rounds=rounds)]
    for each, speed in zip(found, speeds, strict=True):
        cpu = statistics.median(run.cpu for run in each.runs) / (log.bytes / GIGABYTE)
        peak = max(run.peak for run in each.runs) / MIB
        lines.append(
            f"| {each.name} | {speed / 1e6:.0f} | **{speed / speeds[0]:.2f}** | {cpu:.2f} "
            f"| {peak:.0f} | {each.kept / log.bytes:.0%} |"
        )
    return "\n".join(lines)


def measure() -> str:
    rounds = int(os.environ.get("BENCH_ROUNDS", "3"))
    with backlog(float(os.environ.get("BENCH_WAL_GB", "2"))) as log:
        found = contenders()
        for number in range(rounds):
            for each in found:
                spent, each.kept = each.run(log)
                each.runs.append(spent)
                speed = log.bytes / spent.seconds / 1e6
                told = f"{speed:.0f} MB/s, {spent.cpu:.1f} CPU-s, {spent.peak / MIB:.0f} MiB"
                print(f"round {number + 1}: {each.name}: {told}", flush=True)
        return table(log, found, rounds)


if __name__ == "__main__":
    print(measure())
