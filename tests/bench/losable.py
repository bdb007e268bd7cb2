"""How long an acknowledged row is in no archive, under load; what Zero costs; what requests cost.

The store lies in memory behind a proxy that takes 30 ms for each write. `BENCH_SECONDS` says how
long each load lasts (default 60).
"""

from __future__ import annotations

import json
import os
import re
import statistics
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from bench.ground import Ground
from bench.pressure import Look, Machine
from bench.shelf import Shelf
from component.far import Far, far
from component.receivers import owner_of, until
from postbase_operator.objectstore.settings import StoreConfig
from postbase_operator.wal.lsn import Lsn

DELAY = 0.03
BUSY = 0.7
"""Of the processors' time, where clients are limited."""
MEMORY = Path("/dev/shm")
"""A file system in memory."""
CLIENTS = 8
CAUGHT_UP = "SELECT 1 FROM pg_stat_replication WHERE flush_lsn >= pg_current_wal_flush_lsn()"
SCRIPTS = {
    "pgbench (TPC-B)": None,
    "bulk load": "INSERT INTO bulk SELECT n, repeat(md5(n::text || random()), 8) "
    "FROM generate_series(1, 500) n;\n",
}


def seconds() -> int:
    return int(os.environ.get("BENCH_SECONDS", "60"))


@dataclass
class Site:
    """A server whose log goes through the proxy into the store."""

    ground: Ground
    proxy: Far
    config: StoreConfig

    @classmethod
    @contextmanager
    def made(cls) -> Iterator[Site]:
        with (
            Ground.made(MEMORY if MEMORY.is_dir() else None, max_wal_size="'4GB'") as ground,
            far(ground.store.port, DELAY, ground.folder) as proxy,
        ):
            config = replace(ground.store.config, endpoint=proxy.endpoint)
            ground.server.sql("CREATE TABLE ledger (n bigint)")
            ground.server.sql("CREATE TABLE bulk (n bigint, b text)")
            ground.pgbench("-i", "-s", "10", "-q")
            yield cls(ground, proxy, config)

    @contextmanager
    def receiving(self, rpo: str = "Async", beat: float = 600.0) -> Iterator[Path]:
        """The file has the ages by send times once the receiver has ended."""
        server, file = self.ground.server, self.ground.folder / "ages"
        command = [sys.executable, "-m", "bench.our_receiver", server.conninfo, str(file), rpo]
        given = {
            "BENCH_STORE": json.dumps(asdict(self.config)),
            "BENCH_OWNER": owner_of(server).model_dump_json(),
        }
        with _ended([*command, str(beat)], given):
            until("caught up", lambda: server.sql(CAUGHT_UP), 120.0)
            yield file

    @contextmanager
    def acknowledged(self) -> Iterator[list[tuple[float, Lsn]]]:
        """Rows of a client of its own: filled when the block ends."""
        file, rows = self.ground.folder / "ledger", list[tuple[float, Lsn]]()
        with _ended([sys.executable, "-m", "bench.probe", self.ground.server.conninfo, str(file)]):
            yield rows
        lines = (line.split() for line in file.read_text().splitlines())
        rows.extend((float(at), Lsn.parse(position)) for at, position in lines)

    @property
    def bucket(self) -> Path:
        return self.ground.store.folder / "objects" / self.config.bucket


@contextmanager
def _ended(command: list[str], more: dict[str, str] | None = None) -> Iterator[None]:
    """A process of ours that is asked to end, and does."""
    with subprocess.Popen(command, env=os.environ | (more or {})) as running:
        try:
            yield
        finally:
            running.terminate()
            if running.wait(60) != 0:
                raise RuntimeError(f"{command[2]} ended with {running.returncode}")


@dataclass(frozen=True)
class Row:
    load: str
    tps: float
    outside: list[float]
    inside: list[float]
    machine: Machine

    def __str__(self) -> str:
        cells = (_marks(self.outside), _marks(self.inside))
        return f"| {self.load} | {self.tps:.0f} | {' | '.join(cells)} | {self.machine} |"


def _marks(ages: list[float]) -> str:
    ranked = sorted(ages)
    marks = [ranked[min(len(ranked) - 1, int(len(ranked) * q))] for q in (0.5, 0.99, 0.999, 1.0)]
    return " / ".join(f"{1000 * mark:.0f}" for mark in marks)


def loaded(site: Site, load: str, script: Path | None, rate: float | None) -> Row:
    told = f"{load}, {'no limit' if rate is None else f'{rate:.0f} a second'}"
    shelf = Shelf(site.bucket)
    with shelf.watched():
        with site.receiving() as ages, site.acknowledged() as rows:
            before = Look.now()
            tps = run(site, script, rate, seconds())
            machine = Look.now().since(before)
        inside = [float(line) for line in ages.read_text().splitlines()]
    row = Row(told, tps, shelf.ages(rows), inside, machine)
    print(row, flush=True)
    return row


def run(site: Site, script: Path | None, rate: float | None, lasts: int) -> float:
    """Transactions a second."""
    options = ["-n", "-c", str(CLIENTS), "-j", "2", "-T", str(lasts), "-M", "prepared"]
    options += ["-f", str(script)] if script else []
    options += ["-R", f"{rate:.1f}"] if rate else []
    said = site.ground.pgbench(*options)
    found = re.search(r"tps = ([\d.]+)", said)
    if found is None:
        raise RuntimeError(said)
    return float(found[1])


def limited(site: Site, script: Path | None, most: float) -> float:
    """The rate at which so much of the machine is busy as is wanted; the receiver runs too."""
    rate = 0.5 * most
    with site.receiving():
        for _ in range(3):
            before = Look.now()
            run(site, script, rate, 5)
            busy = 1.0 - Look.now().since(before).free
            rate = min(0.9 * most, rate * min(2.0, max(0.5, BUSY / max(busy, 0.05))))
    return rate


def losses(site: Site) -> list[Row]:
    found = []
    for load, text in SCRIPTS.items():
        script = None
        if text is not None:
            script = site.ground.folder / "script.sql"
            script.write_text(text)
        free = loaded(site, load, script, None)
        site.ground.server.sql("TRUNCATE bulk")
        found += [loaded(site, load, script, limited(site, script, free.tps)), free]
        site.ground.server.sql("TRUNCATE bulk")
    return found


def commits(site: Site, rpo: str) -> str:
    """Of single rows, by clients that wait for each."""
    script, server = site.ground.folder / "commit.sql", site.ground.server
    script.write_text("INSERT INTO ledger VALUES (1);\n")
    log = site.ground.fresh("pgbench-log")
    with ExitStack() as stack:
        stack.enter_context(site.receiving(rpo))
        names = "postbase_walrx" if rpo == "Zero" else ""
        server.sql(f"ALTER SYSTEM SET synchronous_standby_names = '{names}'")
        server.sql("SELECT pg_reload_conf()")
        until("set", lambda: server.sql("SHOW synchronous_standby_names")[0][0] == names)
        before = Look.now()
        options = ("-n", "-c", str(CLIENTS), "-T", str(max(5, seconds() // 3)), "-f", str(script))
        site.ground.pgbench(*options, "-l", f"--log-prefix={log}/log")
        machine = Look.now().since(before)
        server.sql("ALTER SYSTEM RESET synchronous_standby_names")
        server.sql("SELECT pg_reload_conf()")
    taken = [int(line.split()[2]) / 1000 for file in log.iterdir() for line in file.open()]
    ranked = sorted(taken)
    name = "Zero" if rpo == "Zero" else "`synchronous_commit=on` alone"
    return (
        f"| {name} | {statistics.median(ranked):.1f} | {ranked[int(len(ranked) * 0.99)]:.1f} "
        f"| {ranked[-1]:.1f} | {machine} |"
    )
