"""Replay of the log beside pgBackRest's `archive-get` and a plain `cp`: `python -m bench.recovery`.

All begin with the same base backup and replay the same log, in turns, into the same server's
settings: what differs is the restore_command. `BENCH_WAL_GB` says how much log (default 2),
`BENCH_ROUNDS` how often (3). What a base restore takes stands in the table of bench.backups.
"""

from __future__ import annotations

import json
import os
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path

from bench import backups
from bench.backups import GIGABYTE, Place, archive, pgbackrest
from bench.runs import Failed
from component.job_runs import UID
from component.log_archive import archive_log
from component.recoveries import SCRIPTS
from component.servers import Server
from component.store_server import store_of
from postbase_operator.archive.keys import Archive
from postbase_operator.archive.lsn import Lsn
from postbase_operator.archive.run import FillRun, RecoveryTask
from postbase_operator.desired import names
from postbase_operator.jobs.prefetch import FOLDERS

WORKERS = 4
"""Files that ours fetches at a time, and pgBackRest's processes."""
ARCHIVED_SECONDS = 900.0
CHANGES = (
    "INSERT INTO log_made SELECT n, 0, repeat(md5(n::text), 6) FROM generate_series(1, 100000) n",
    "UPDATE log_made SET a = a + 1 WHERE n % 3 = 0",
    "DELETE FROM log_made WHERE a > 3",
)
"""Small rows, in place and out of place, in a table with an index: what replay has to do."""
SETTINGS = {
    "archive_mode": "off",
    "fsync": "on",
    "hot_standby": "on",
    "shared_buffers": "'128MB'",
    "max_wal_size": "'4GB'",
    "wal_keep_size": "0",
    "recovery_target_timeline": "'1'",
    "recovery_target_action": "'promote'",
}


@dataclass
class Log:
    """What is replayed: from `start`, where the base backup began, to `end`."""

    place: Place
    key: str
    start: Lsn
    end: Lsn
    segments: Path

    @property
    def bytes(self) -> int:
        return self.end - self.start


@dataclass
class Contender:
    """`fetching` is whatever runs beside the server; it gives the restore_command."""

    name: str
    fetching: Callable[[Log, Path], Iterator[str]]
    seconds: list[float] = field(default_factory=list)


# -- contenders ----------------------------------------------------------------------------------


def ours(log: Log, into: Path) -> Iterator[str]:
    """The sidecar as a process of its own, and the product's own restore.sh."""
    shared = log.place.fresh("shared")
    shared.chmod(0o777)
    script = log.place.folder / "restore.sh"
    text = (SCRIPTS / "restore.sh").read_text()
    script.write_text(text.replace(names.RUN_MOUNT, str(shared)))
    task = RecoveryTask(restore=UID, timeline=1, end=str(log.end))
    run = FillRun(object_key=log.key, recovery=task)
    process = subprocess.Popen(
        [sys.executable, "-m", "bench.our_job", "prefetch", str(shared)],
        env={
            **log.place.environment,
            "BENCH_TASK": run.to_bytes().decode(),
            "BENCH_STORE": json.dumps(asdict(log.place.config)),
        },
        umask=0,  # the server's user writes into its folders
    )
    while not (shared / FOLDERS[-1]).exists():  # as recover.sh waits for it, before it starts
        if process.poll() is not None:
            raise Failed("the sidecar ended")
        time.sleep(0.02)
    try:
        yield f"/bin/sh {script} %f %p"
    finally:
        (shared / "failed").touch()  # by which it ends
        process.wait(60)


def pgbackrest_async(log: Log, into: Path) -> Iterator[str]:
    spool = log.place.fresh("spool")
    words = ("--archive-async", f"--spool-path={spool}", f"--process-max={WORKERS}")
    yield " ".join(pgbackrest(log.place, *words, f"--pg1-path={into}", "archive-get", "%f", "%p"))


def copied(log: Log, into: Path) -> Iterator[str]:
    yield f"cp {log.segments}/%f %p"


def contenders() -> list[Contender]:
    return [
        Contender("ours, by the prefetching sidecar", ours),
        Contender("pgBackRest 2.45, archive-get async", pgbackrest_async),
        Contender("cp from the local disk", copied),
    ]


# -- the log ------------------------------------------------------------------------------------


def write_log(place: Place, gigabytes: float) -> Log:
    """A backup of ours, then so much log, which lies in both archives and in a folder."""
    server = place.server
    backups.prepare_pgbackrest(place)
    server.sql("CREATE TABLE log_made (n bigint, a int, b text)")
    server.sql("CREATE INDEX ON log_made (n)")
    backups.our_backup(place)
    key = backups.our_key(place)
    start = Lsn.parse(server.sql("SELECT pg_current_wal_lsn()::text")[0][0])
    while Lsn.parse(server.sql("SELECT pg_current_wal_lsn()::text")[0][0]) - start < (
        gigabytes * GIGABYTE
    ):
        for each in CHANGES:
            server.sql(each)
    last = server.sql("SELECT pg_walfile_name(pg_switch_wal())")[0][0]
    deadline = time.monotonic() + ARCHIVED_SECONDS
    while str(server.sql("SELECT last_archived_wal FROM pg_stat_archiver")[0][0] or "") < last:
        if time.monotonic() > deadline:
            raise Failed("pgBackRest does not keep up with the log")
        time.sleep(0.2)
    end = archive_log(store_of(place.config), Archive(UID, f"{place.system_id}-1"), server)
    segments = place.fresh("segments")
    for path in (server.data / "pg_wal").glob("0000000100*"):
        if len(path.name) == len(last):
            shutil.copy(path, segments / path.name)
    for path in (segments, *segments.iterdir()):
        path.chmod(0o755)
    return Log(place, key, start, end, segments)


# -- one run -------------------------------------------------------------------------------------


@contextmanager
def volume(log: Log) -> Iterator[Path]:
    """With the base backup on it."""
    into = log.place.fresh("replayed")
    backups.our_restore(log.place, into)
    yield into
    shutil.rmtree(into)


def replay(log: Log, into: Path, command: str) -> float:
    """Seconds from the server's start until it has all of the log, and takes writes."""
    server = Server(15, log.place.server.programs, log.place.fresh("replayed-run"), port=5433)
    (server.folder / "data").symlink_to(into)
    (into / "recovery.signal").touch()
    server.take_over()
    began = time.monotonic()
    server.configure(restore_command=f"'{command}'", **SETTINGS)
    server.start()
    while server.sql("SELECT pg_is_in_recovery()")[0][0]:
        time.sleep(0.02)
    seconds = time.monotonic() - began
    reached = Lsn.parse(server.sql("SELECT pg_current_wal_lsn()::text")[0][0])
    server.stop()
    if reached < log.end:
        raise Failed(f"{command} ended at {reached}, and the log at {log.end}")
    return seconds


def compare(log: Log, rounds: int) -> list[Contender]:
    found = contenders()
    for number in range(rounds):
        for each in found:
            with volume(log) as into, contextmanager(each.fetching)(log, into) as command:
                each.seconds.append(replay(log, into, command))
            told = f"{each.seconds[-1]:.1f} s, {log.bytes / each.seconds[-1] / 1e6:.0f} MB/s"
            print(f"round {number + 1}: {each.name}: {told}", flush=True)
    return found


INTRO = """
## Recovery

{size:.2f} GB of log, replayed from one base backup to the log's end on one server's settings, in
turns; medians of {rounds} rounds, from the server's start until it takes writes. {workers} files
at a time for ours and for pgBackRest. Wanted: as pgBackRest at least.

| | seconds | MB/s | of pgBackRest |
|---|---|---|---|"""


def table(log: Log, found: list[Contender], rounds: int) -> str:
    medians = {each.name: statistics.median(each.seconds) for each in found}
    peer = medians[found[1].name]
    lines = [INTRO.format(size=log.bytes / GIGABYTE, rounds=rounds, workers=WORKERS)]
    for name, seconds in medians.items():
        speed = log.bytes / seconds / 1e6
        lines.append(f"| {name} | {seconds:.1f} | {speed:.0f} | {peer / seconds:.2f} |")
    return "\n".join(lines)


def measure() -> str:
    """The table. Raises Failed where a contender does, or cannot be had."""
    gigabytes = float(os.environ.get("BENCH_WAL_GB", "2"))
    rounds = int(os.environ.get("BENCH_ROUNDS", "3"))
    backups.provide()
    keep = {"wal_keep_size": f"'{int(gigabytes * 1100) + 512}MB'"}
    with backups.places(0.05, random=True, **keep) as place:
        log = write_log(place, gigabytes)
        archive(place, "true")
        return table(log, compare(log, rounds), rounds)


if __name__ == "__main__":
    print(measure())
