"""Backup and restore beside pgBackRest, barman-cloud and `pg_dump -Fc`: `python -m bench.backups`.

Contenders take turns on one server, one object store (versitygw, TLS, as pgBackRest needs it) and
one machine. pgBackRest has our codec and level (zstd 1); this barman has no zstd and takes snappy.
`BENCH_GB` says how much data there is of each kind (default 3), `BENCH_ROUNDS` how often (3).
The processor time of a backup has the server's in it: some read there, others by themselves.
"""

from __future__ import annotations

import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path

from bench.runs import MIB, Failed, Run, measured
from component.job_runs import pod, run_of
from component.servers import UNPRIVILEGED, Server, making
from component.store_server import StoreServer, store_server
from postbase_operator.api.ids import public_id
from postbase_operator.archive.run import FillRun
from postbase_operator.objectstore.settings import StoreConfig

PEERS = ("pgbackrest", "barman-cli-cloud", "python3-pip", "postgresql-client-15")
SNAPPY = "python-snappy==0.7.3"
"""For barman: Debian's own does not work with its Python (PY_SSIZE_T_CLEAN)."""
ROOT = Path(__file__).resolve().parents[2]
CLIENT = Path("/usr/lib/postgresql/15/bin")
GIGABYTE = 10**9
ZSTD = ("compress-type=zst", "compress-level=1", "process-max=2")
UPLOAD = """
import boto3, os, sys
from boto3.s3.transfer import TransferConfig
s3 = boto3.client("s3", endpoint_url=os.environ["ENDPOINT"], verify=os.environ["AWS_CA_BUNDLE"])
s3.upload_fileobj(sys.stdin.buffer, os.environ["BUCKET"], sys.argv[1],
                  Config=TransferConfig(multipart_chunksize=16 << 20, max_concurrency=4))
"""


@dataclass
class Place:
    """What all contenders share."""

    server: Server
    store: StoreServer
    config: StoreConfig
    folder: Path
    bytes: int = 0

    @property
    def postmaster(self) -> int:
        assert self.server.process is not None
        return self.server.process.pid

    @property
    def system_id(self) -> str:
        query = "SELECT system_identifier::text FROM pg_control_system()"
        return str(self.server.sql(query)[0][0])

    @property
    def environment(self) -> dict[str, str]:
        aws = self.folder / "aws"
        aws.write_text("[default]\ns3 =\n  addressing_style = path\nregion = us-east-1\n")
        return {
            "PATH": os.environ["PATH"],
            "LANG": "C.UTF-8",
            "HOME": str(self.folder),
            "AWS_CONFIG_FILE": str(aws),
            "AWS_ACCESS_KEY_ID": self.config.access_key_id,
            "AWS_SECRET_ACCESS_KEY": self.config.secret_access_key,
            "AWS_CA_BUNDLE": str(self.folder / "ca.crt"),
            "ENDPOINT": self.config.endpoint,
            "BUCKET": self.config.bucket,
            "PGHOST": str(self.server.folder),
            "PGUSER": "postgres",
            "PYTHONPATH": f"{ROOT / 'operator'}:{ROOT / 'tests'}",
        }

    def run(self, *command: str | Path, server: bool = True, own: bool = False, **more: str) -> Run:
        """As the server's user, whose the files are; `own`: as ourselves, whose environment of
        Python others cannot read."""
        who = {} if own else self.server.unprivileged()
        who.pop("env", None)
        env = {**self.environment, **more}
        log = self.folder / "log"
        return measured(command, log, self.postmaster if server else None, env, **who)

    def fresh(self, name: str) -> Path:
        path = self.folder / name
        shutil.rmtree(path, ignore_errors=True)
        path.mkdir(mode=0o700)
        if os.getuid() == 0:
            os.chown(path, UNPRIVILEGED, UNPRIVILEGED)
        return path


@dataclass
class Contender:
    """`back_up` answers a run, `restore` one into this folder; `settings` make it recover."""

    name: str
    back_up: Callable[[Place], Run]
    restore: Callable[[Place, Path], Run] | None = None
    settings: Callable[[Place], dict[str, str]] = lambda _: {}
    backups: list[Run] = field(default_factory=list)
    restores: list[Run] = field(default_factory=list)


# -- ours ----------------------------------------------------------------------------------------


def ours(place: Place, method: str, source: str) -> Run:
    LAST[method] = public_id("Backup", str(uuid.uuid4()))
    told = {"system_id": place.system_id, "id": LAST[method], "source_bytes": place.bytes}
    return place.run(
        *(sys.executable, "-m", "bench.our_job", method, source),
        own=True,
        BENCH_TASK=json.dumps(told),
        BENCH_STORE=json.dumps(asdict(place.config)),
    )


LAST: dict[str, str] = {}


def our_backup(place: Place) -> Run:
    return ours(place, "Physical", place.server.conninfo)


def our_key(place: Place) -> str:
    """Of the last physical one."""
    made = run_of("Physical", place.system_id).model_copy(update={"id": LAST["Physical"]})
    return str(made.place)


def our_restore(place: Place, into: Path) -> Run:
    run = place.run(
        *(sys.executable, "-m", "bench.our_job", "fill", str(into)),
        server=False,
        own=True,
        BENCH_TASK=FillRun(object_key=our_key(place)).to_bytes().decode(),
        BENCH_STORE=json.dumps(asdict(place.config)),
    )
    for each in (into / "pgdata").iterdir():
        each.rename(into / each.name)
    (into / "pgdata").rmdir()
    if os.getuid() == 0:
        for path in into.rglob("*"):
            os.chown(path, UNPRIVILEGED, UNPRIVILEGED, follow_symlinks=False)
    return run


def our_dump(place: Place) -> Run:
    folder = place.fresh("pod") / uuid.uuid4().hex
    its = pod(folder, server=place.server)
    its.programs = CLIENT
    with its.dumping():
        return ours(place, "Logical", str(its.run))


# -- pgBackRest ----------------------------------------------------------------------------------


def pgbackrest(place: Place, *words: str) -> tuple[str, ...]:
    return ("pgbackrest", f"--config={place.folder}/pgbackrest.conf", "--stanza=b", *words)


def prepare_barman(place: Place) -> None:
    target = place.folder / "snappy"
    words = ("-m", "pip", "install", "--quiet", f"--target={target}", SNAPPY)
    done = subprocess.run([sys.executable, *words], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise Failed(f"{SNAPPY}: {done.stderr[-1000:]}")


def prepare_pgbackrest(place: Place) -> None:
    config, work = place.config, place.fresh("pgbackrest")
    port = config.endpoint.rpartition(":")[2]
    lines = [
        "[global]",
        *ZSTD,
        "repo1-type=s3",
        "repo1-path=/pgbackrest",
        f"repo1-s3-bucket={config.bucket}",
        "repo1-s3-endpoint=localhost",
        f"repo1-storage-port={port}",
        "repo1-s3-uri-style=path",
        "repo1-s3-region=us-east-1",
        f"repo1-s3-key={config.access_key_id}",
        f"repo1-s3-key-secret={config.secret_access_key}",
        f"repo1-storage-ca-file={place.folder}/ca.crt",
        f"lock-path={work}",
        f"log-path={work}",
        f"spool-path={work}",
        "start-fast=y",
        "log-level-console=warn",
        "[b]",
        f"pg1-path={place.server.data}",
        f"pg1-socket-path={place.server.folder}",
        "pg1-user=postgres",
    ]
    (place.folder / "pgbackrest.conf").write_text("\n".join(lines) + "\n")
    place.run(*pgbackrest(place, "stanza-create"))
    archive(place, " ".join(pgbackrest(place, "archive-push", "%p")))


def back_up_pgbackrest(place: Place) -> Run:
    archive(place, " ".join(pgbackrest(place, "archive-push", "%p")))
    return place.run(*pgbackrest(place, "backup", "--type=full"))


def restore_pgbackrest(place: Place, into: Path) -> Run:
    words = pgbackrest(place, f"--pg1-path={into}", "--type=immediate", "restore")
    return place.run(*words, "--target-action=promote", server=False)


# -- barman-cloud --------------------------------------------------------------------------------


def barman(place: Place, part: str, *words: str) -> tuple[str, ...]:
    where = f"s3://{place.config.bucket}/barman"
    return (part, f"--endpoint-url={place.config.endpoint}", *words, where, "b")


def back_up_barman(place: Place) -> Run:
    environment = " ".join(f"{k}={v}" for k, v in place.environment.items() if k.startswith("AWS"))
    archive(place, f"env {environment} {' '.join(barman(place, 'barman-cloud-wal-archive'))} %p")
    words = ("--snappy", "--jobs=2", "--immediate-checkpoint", f"--host={place.server.folder}")
    snappy = str(place.folder / "snappy")
    command = barman(place, "barman-cloud-backup", *words, "--user=postgres")
    return place.run(*command, PYTHONPATH=snappy)


def restore_barman(place: Place, into: Path) -> Run:
    listed = subprocess.run(
        [*barman(place, "barman-cloud-backup-list", "--format=json")],
        env=place.environment, capture_output=True, text=True, check=True,
    )  # fmt: skip
    latest = json.loads(listed.stdout)["backups_list"][-1]["backup_id"]
    into.rmdir()
    command = (*barman(place, "barman-cloud-restore"), latest, str(into))
    return place.run(*command, server=False, PYTHONPATH=str(place.folder / "snappy"))


def recovery_barman(place: Place) -> dict[str, str]:
    environment = " ".join(f"{k}={v}" for k, v in place.environment.items() if k.startswith("AWS"))
    command = f"env {environment} {' '.join(barman(place, 'barman-cloud-wal-restore'))} %f %p"
    return {"restore_command": f"'{command}'"}


# -- pg_dump -------------------------------------------------------------------------------------


def dump_and_upload(place: Place) -> Run:
    script = place.folder / "upload.py"
    script.write_text(UPLOAD)
    key = f"dump-{uuid.uuid4().hex}"
    line = f"{CLIENT}/pg_dump -Fc -Z1 postgres | {sys.executable} {script} {key}"
    return place.run("bash", "-o", "pipefail", "-c", line, own=True)


# -- all of them ---------------------------------------------------------------------------------


def archive(place: Place, command: str) -> None:
    place.server.sql(f"ALTER SYSTEM SET archive_command = '{command}'")
    place.server.sql("SELECT pg_reload_conf()")


def fill(server: Server, gigabytes: float, *, random: bool) -> None:
    """Rows that compress about 4:1, or pages as pgbench makes them (some 23:1)."""
    table = "quarter" if random else "pages"
    text = "encode(sha256(n::text::bytea), 'hex') || repeat(' the same', 20)"
    body = text if random else "repeat(' ', 84)"
    size = f"SELECT pg_table_size('{table}')"
    server.sql(f"CREATE TABLE {table} (n bigint, a int, b text)")
    start = 0
    while server.sql(size)[0][0] < gigabytes * GIGABYTE:
        server.sql(
            f"INSERT INTO {table} SELECT n, 0, {body}"  # noqa: S608 - texts of our own
            f" FROM generate_series({start + 1}, {start + 400000}) n"
        )
        start += 400000
    server.sql(f"VACUUM (FREEZE, ANALYZE) {table}")
    server.sql("CHECKPOINT")


@contextmanager
def places(gigabytes: float, *, random: bool, **settings: str) -> Iterator[Place]:
    with tempfile.TemporaryDirectory(prefix="bench-", dir=os.environ.get("BENCH_TMP")) as root:
        folder = Path(root)
        folder.chmod(0o777)
        with store_server(folder / "s3", tls=True) as store, making() as servers:
            (folder / "ca.crt").write_text(store.ca)
            archiving = {"archive_mode": "on", "archive_command": "'true'", "fsync": "on"}
            own = {"max_wal_size": "'4GB'", "shared_buffers": "'128MB'"} | archiving | settings
            server = servers.new(15, **own)
            place = Place(server, store, store.config, folder)
            fill(server, gigabytes, random=random)
            query = "SELECT sum(pg_database_size(oid)) FROM pg_database"
            place.bytes = int(server.sql(query)[0][0])
            yield place


def accepts(place: Place, into: Path, settings: dict[str, str]) -> float:
    """Seconds until a server on this folder, once recovered, takes writes."""
    began = time.monotonic()
    programs = place.server.programs
    server = Server(15, programs, into.parent / f"{into.name}-run", port=5433)
    server.folder.mkdir(exist_ok=True)
    if os.getuid() == 0:
        os.chown(server.folder, UNPRIVILEGED, UNPRIVILEGED)
    (server.folder / "data").unlink(missing_ok=True)
    (server.folder / "data").symlink_to(into)
    (into / "recovery.signal").touch()
    if os.getuid() == 0:
        os.chown(into / "recovery.signal", UNPRIVILEGED, UNPRIVILEGED)
    given = {"recovery_target": "'immediate'", "recovery_target_action": "'promote'"}
    if not _has_command(into):
        given |= {"restore_command": "'exit 1'"} | settings
    server.configure(archive_mode="off", **given)
    server.start()
    while server.sql("SELECT pg_is_in_recovery()")[0][0]:
        time.sleep(0.02)
    seconds = time.monotonic() - began
    server.stop()
    return seconds


def _has_command(into: Path) -> bool:
    auto = into / "postgresql.auto.conf"
    return "restore_command" in (auto.read_text() if auto.exists() else "")


def contenders() -> list[Contender]:
    return [
        Contender("ours", our_backup, our_restore),
        Contender("pgBackRest 2.45, zst 1", back_up_pgbackrest, restore_pgbackrest),
        Contender("barman-cloud 3.4, snappy", back_up_barman, restore_barman, recovery_barman),
        Contender("ours, Logical", our_dump),
        Contender("pg_dump -Fc -Z1, uploaded", dump_and_upload),
    ]


def compare(place: Place, rounds: int) -> list[Contender]:
    found = contenders()
    prepare_pgbackrest(place)
    prepare_barman(place)
    for number in range(rounds):
        for each in found:
            each.backups.append(each.back_up(place))
            told = f"round {number + 1}: {each.name}: backup {each.backups[-1].seconds:.1f} s"
            if each.restore is not None:
                into = place.fresh("restored")
                run = each.restore(place, into)
                ready = accepts(place, into, each.settings(place))
                each.restores.append(Run(run.seconds + ready, run.cpu, run.peak))
                told += f", restore {each.restores[-1].seconds:.1f} s"
                shutil.rmtree(into)
            print(told, flush=True)
    return found


HEAD = """
### {kind}: {size:.2f} GB

| | backup MB/s | CPU-s/GB | peak MiB | restore MB/s | CPU-s/GB | peak MiB |
|---|---|---|---|---|---|---|"""


def table(kind: str, bytes: int, found: list[Contender]) -> str:
    lines = [HEAD.format(kind=kind, size=bytes / GIGABYTE)]
    for each in found:
        cells = [_cells(runs, bytes) for runs in (each.backups, each.restores)]
        lines.append(f"| {each.name} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _cells(runs: list[Run], bytes: int) -> str:
    """Medians; throughput and processor time are of the source's bytes."""
    if not runs:
        return "| | "
    seconds = statistics.median(run.seconds for run in runs)
    cpu = statistics.median(run.cpu for run in runs) / (bytes / GIGABYTE)
    peak = max(run.peak for run in runs) / MIB
    return f"{bytes / seconds / 1e6:.0f} | {cpu:.2f} | {peak:.0f}"


INTRO = """
## Backup and restore

On one server and one object store (versitygw, TLS), in turns; medians of {rounds} rounds. Figures
are of the source's bytes; restore is until the server takes writes; the processor time of a backup
has the server's in it. zstd 1 for ours and pgBackRest (two processes); this barman has snappy.
Wanted: backup 1.1 times the best of the peers, restore as pgBackRest, Logical as `pg_dump -Fc` with
an upload, no more processor time than theirs, 256 MiB."""


def measure() -> str:
    """The tables. Raises Failed where a contender does, or cannot be had."""
    gigabytes = float(os.environ.get("BENCH_GB", "3"))
    rounds = int(os.environ.get("BENCH_ROUNDS", "3"))
    provide()
    tables = [INTRO.format(rounds=rounds)]
    for kind, random in (("compresses some 4:1", True), ("pages of pgbench's kind", False)):
        with places(gigabytes, random=random) as place:
            tables.append(table(kind, place.bytes, compare(place, rounds)))
    return "\n".join(tables)


def provide() -> None:
    """The peers, of Debian's packages."""
    there = shutil.which("pgbackrest") and shutil.which("barman-cloud-backup")
    if not (there and (CLIENT / "pg_dump").exists()):
        command = ["apt-get", "install", "--yes", "--no-install-recommends", *PEERS]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise Failed(f"{' '.join(command)}: {done.stderr[-1000:]}")


if __name__ == "__main__":
    print(measure())
