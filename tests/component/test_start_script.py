"""start.sh beside a PostgreSQL that begins its recovery anew and never ends: it is ended, and its
last words tell why; and one that only takes long is left alone.

The script runs as in the pod but for the folder that all lies under; the volume is a file system of
its own, so that it can be full.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psycopg
import pytest

from component.job_runs import REAL
from component.receivers import until
from component.servers import MAJORS, Server, Servers
from component.servers import servers as servers
from postbase_operator.kube.last_words import last_words

pytestmark = pytest.mark.timeout(300)
SCRIPT = Path(__file__).parents[2] / "operator/postbase_operator/desired/scripts/start.sh"
LOGS = {"log_min_messages": "log", "log_line_prefix": "'%m [%p] %q%u@%d '"}


@dataclass
class Pod:
    """A server that start.sh is to start: `root` holds what the pod has under /postbase."""

    root: Path
    server: Server
    process: subprocess.Popen[bytes] | None = None

    @property
    def word(self) -> Path:
        """What the kubelet tells of a container's end, whatever it exits with."""
        return self.root / "word"

    @property
    def looks(self) -> int:
        """How often the script has looked at the server, which it does between two naps."""
        return self.server.log.count("nap\n")

    def start(self) -> None:
        server = self.server
        script = self.root / "config/start.sh"
        text = SCRIPT.read_text().replace("/postbase/", f"{self.root}/")
        script.write_text(text.replace("/dev/termination-log", str(self.word)))
        programs = f"{self.root / 'bin'}:{server.programs / 'bin'}:{os.environ['PATH']}"
        how = server.unprivileged()
        how["env"] = how.get("env", dict(os.environ)) | {
            "PATH": programs,
            "PGHOST": str(server.folder),
            "PGUSER": "postgres",
        }
        with (server.folder / "log").open("ab") as log:
            command = ["/bin/sh", str(script)]
            self.process = subprocess.Popen(command, stdout=log, stderr=log, **how)
        server.process = self.process

    def answers(self) -> bool:
        with suppress(psycopg.OperationalError):
            return bool(self.server.sql("SELECT 1"))
        return False

    def wait_answers(self) -> None:
        until("it answers", self.answers)


@pytest.fixture(params=MAJORS)
def pod(request: pytest.FixtureRequest, servers: Servers, tmp_path: Path) -> Iterator[Pod]:
    """Its volume has 140 MiB."""
    if os.geteuid() != 0:
        pytest.skip("a file system of its own is mounted by root alone")
    server = servers.new(request.param, max_wal_size="80MB", **LOGS)
    server.stop()
    root, volume = server.subfolder("postbase"), server.folder / "postbase/data"
    for name in ("data", "config", "bin"):
        (root / name).mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=140m", "none", str(volume)], check=True)
    subprocess.run(["mv", server.data, volume / "pgdata"], check=True)
    (server.folder / "data").symlink_to(volume / "pgdata")
    (root / "config/expected-system-id").write_text("new\n")
    (root / "config/revision").write_text("1\n")
    subprocess.run(["cp", volume / "pgdata/postgresql.conf", root / "config"], check=True)
    _program(root / "bin/pg_controldata", "echo 'Database system identifier: 1'")
    _program(root / "bin/pg_isready", f'exec {REAL / "pg_isready"} "$@"')
    _program(root / "bin/sleep", "echo nap >&2; exec /bin/sleep 1")  # of 5 seconds
    subprocess.run(["chown", "-R", str(server.data.stat().st_uid), root], check=True)
    made = Pod(root, server)
    yield made
    server.kill()
    subprocess.run(["umount", "--lazy", str(volume)], check=True)


def _program(path: Path, text: str) -> None:
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)


def fill(volume: Path) -> None:
    """Until there is no room for a byte: not after a crash either, at which a server takes away the
    caches of its catalogues."""
    for cache in volume.rglob("pg_internal.init"):
        cache.unlink(missing_ok=True)
    ballast = os.open(volume / "ballast", os.O_CREAT | os.O_WRONLY)
    for size in (1 << 20, 512):
        with suppress(OSError):
            while True:
                os.write(ballast, bytes(size))
    os.close(ballast)


def test_a_recovery_begun_anew_for_ever_is_ended_with_its_last_words(pod: Pod) -> None:
    pod.start()
    pod.wait_answers()
    server = pod.server
    with psycopg.connect(server.conninfo, dbname="postgres", autocommit=True) as connection:
        connection.execute("CREATE TABLE notes AS SELECT 'acknowledged' AS text")
        fill(pod.root / "data")
        with pytest.raises(psycopg.OperationalError):
            connection.execute("CHECKPOINT")
    assert pod.process is not None
    pod.process.wait(200)
    assert server.log.count("PANIC:") >= 4  # it had begun anew by itself, and had not ended
    said = last_words(pod.word.read_text())
    assert said.startswith("PANIC: a recovery began anew")
    assert "No space left on device" in said

    (pod.root / "data/ballast").unlink()
    pod.start()
    pod.wait_answers()
    assert server.sql("SELECT text FROM notes") == [("acknowledged",)]


def test_a_recovery_that_takes_long_is_left_alone(pod: Pod) -> None:
    pod.start()
    pod.wait_answers()
    pod.server.sql("CREATE TABLE notes AS SELECT 'acknowledged' AS text")
    pod.server.stop()
    ends, server = pod.root / "data/ends", pod.server
    waits = f"until [ -e {ends} ]; do /bin/sleep 0.1; done; false"
    with (pod.root / "config/postgresql.conf").open("a") as settings:
        settings.write(f"restore_command = '{waits}'\n")
    (server.data / "recovery.signal").touch()
    server.own(server.data / "recovery.signal")
    pod.start()
    looks = pod.looks
    until("it was looked at", lambda: pod.looks > looks + 7, 120)
    assert not pod.answers()
    assert pod.process is not None
    assert pod.process.poll() is None
    ends.touch()
    pod.wait_answers()
    assert server.sql("SELECT text FROM notes") == [("acknowledged",)]
