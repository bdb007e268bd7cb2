"""Railway's own image of PostgreSQL, postgres-ssl: what its scripts do, with real programs (§3)."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from component import servers
from railway import certificates
from railway.images import Exits, Log, Program, Spec

NAME = "ghcr.io/railwayapp-templates/postgres-ssl"
MOUNT = "/var/lib/postgresql/data"
LATEST = 16
MAJORS = (13, 14, 15, 16, 17, 18)
SMALL = "shared_buffers = 32MB\nfsync = off\nmax_wal_size = 256MB\n"
"""For the machine of the tests; all else is as the official image leaves it."""


TLS_FILES = {
    "ssl_ca_file": "root.crt",
    "ssl_cert_file": "server.crt",
    "ssl_key_file": "server.key",
}
FOLDER_OF_A_VOLUME = re.compile(r"/[^\s']*/rw-[^/\s']+/v-[0-9a-f]{8}")
ADDRESSES = re.compile(r"(?m)^listen_addresses = .*$")
_COPYING = threading.Lock()


@dataclass
class PostgresSsl:
    """§3: hard checks of wrapper.sh, then the entrypoint of the official image."""

    passes_sigterm: bool = False

    def check(self, spec: Spec) -> None:
        if spec.start_command and not _options(spec):
            word = shlex.split(spec.start_command)[0]
            raise Exits(127, f"exec: {word}: not run by the double in postgres-ssl")
        # §3 Hard checks in wrapper.sh; they hold for 18 too. Without a volume Railway sets no
        # RAILWAY_VOLUME_MOUNT_PATH, which is §1 step 4: an image before its volume exits 1.
        mount = spec.variables.get("RAILWAY_VOLUME_MOUNT_PATH", "")
        if mount != MOUNT:
            raise Exits(
                1,
                f"Railway volume not mounted to the correct path, expected {MOUNT} but got {mount}",
            )
        if not pgdata(spec).startswith(MOUNT):
            raise Exits(
                1,
                f"PGDATA does not start with the expected volume mount path, expected {MOUNT}",
            )

    def prepare(self, spec: Spec, scratch: Path, log: Log) -> Program:
        assert spec.volume is not None
        with _COPYING:
            programs = servers.Servers(scratch).bare(_installed(spec)).programs
        database = _Cluster(spec, programs, Path(spec.on_host(pgdata(spec))), log)
        if not (database.data / "PG_VERSION").exists():
            database.initialize()
        database.secure()
        database.take_over()
        run = scratch / "run"
        run.mkdir(exist_ok=True)
        _own(run)
        own = {"listen_addresses": spec.address, "unix_socket_directories": str(run)}
        settings = [word for name, value in own.items() for word in ("-c", f"{name}={value}")]
        arguments = [str(programs / "bin/postgres"), "-D", str(database.data), *settings]
        return Program(
            [*arguments, *_options(spec)[1:]], database.environment, database.data, _uid()
        )


def pgdata(spec: Spec) -> str:
    """§3: 18's official image moved it out of the volume."""
    default = (
        f"/var/lib/postgresql/{major(spec.image)}/docker" if major(spec.image) >= 18 else MOUNT
    )
    return spec.variables.get("PGDATA", default)


def major(image: str) -> int:
    """§3: 13..18, `:latest` is 16, minor pins exist."""
    _, _, tag = image.partition("@")[0].rpartition(":")
    found = re.match(r"\d+", tag)
    return int(found.group()) if found else LATEST


def _installed(spec: Spec) -> int:
    wanted = major(spec.image)
    if wanted not in servers.RELEASES:
        raise Exits(1, f"the double has no PostgreSQL {wanted}")
    return wanted


def _options(spec: Spec) -> list[str]:
    """The words of a start command from `postgres` on (§4: it replaces ENTRYPOINT)."""
    words = shlex.split(spec.start_command or "wrapper.sh postgres")
    if Path(words[0]).name == "wrapper.sh" and words[1:2] == ["postgres"]:
        return words[1:]
    return []


def _uid() -> int | None:
    return servers.UNPRIVILEGED if os.getuid() == 0 else None


def _own(folder: Path) -> None:
    if (uid := _uid()) is not None:
        for path in (folder, *folder.rglob("*")):
            os.chown(path, uid, uid, follow_symlinks=False)


@dataclass
class _Cluster:
    spec: Spec
    programs: Path
    data: Path
    log: Log

    @property
    def environment(self) -> dict[str, str]:
        given = {name: self.spec.on_host(text) for name, text in self.spec.variables.items()}
        # §3: the template's PGHOST is the private name. PGPORT is where the server listens.
        kept = {
            name: text
            for name, text in given.items()
            if not name.startswith("PG") or name == "PGPORT"
        }
        return {"PATH": os.environ["PATH"], "LANG": "C.UTF-8"} | kept

    def initialize(self) -> None:
        """docker-entrypoint.sh on an empty volume; later values of POSTGRES_* change nothing."""
        variables = self.spec.variables
        method = variables.get("POSTGRES_HOST_AUTH_METHOD", "")
        password = variables.get("POSTGRES_PASSWORD", "")
        if not password and method != "trust":
            raise Exits(
                1, "Error: Database is uninitialized and superuser password is not specified."
            )
        self.data.mkdir(parents=True, exist_ok=True)
        self.data.chmod(0o700)
        _own(self.data)
        user = variables.get("POSTGRES_USER", "postgres")
        secret = self.data.parent / f".password-{user}"
        secret.write_text(f"{password}\n")
        _own(secret)
        options = shlex.split(variables.get("POSTGRES_INITDB_ARGS", ""))
        try:
            self._run("initdb", "-D", str(self.data), f"--username={user}", f"--pwfile={secret}",
                      "-N", *options)  # fmt: skip
        finally:
            secret.unlink()
        self._configure(method or "scram-sha-256")
        database = variables.get("POSTGRES_DB", user)
        if database != "postgres":
            self._single(f'CREATE DATABASE "{database}" ;\n')

    def _configure(self, method: str) -> None:
        """§4: `printf 'host all all all %s'`, so that a value of two lines makes two; `all` does
        not match replication."""
        with (self.data / "pg_hba.conf").open("a") as hba:
            hba.write(f"\nhost all all all {method}\n")
        with (self.data / "postgresql.conf").open("a") as conf:
            conf.write(f"{SMALL}shared_preload_libraries = '{self._preloaded()}'\n")
        self.secure()

    def secure(self) -> None:
        """§3: TLS of its own. [U] that it is turned on for data that came from elsewhere."""
        assert self.spec.volume is not None
        certs = self.spec.volume / "certs"
        if not certs.exists():
            with (self.data / "postgresql.conf").open("a") as conf:
                conf.write("ssl = on\n")
                for name, file in TLS_FILES.items():
                    conf.write(f"{name} = '{MOUNT}/certs/{file}'\n")
        certificates.renew(certs, int(self.spec.variables.get("SSL_CERT_DAYS", "820")))
        _own(certs)
        for name in ("postgresql.conf", "postgresql.auto.conf"):
            self._localize(self.data / name)

    def _localize(self, file: Path) -> None:
        """The mount's path is the folder's here; also where a backup has that of another volume.
        And all addresses are this container's: another value than the one on the command line
        would wait for a restart, for ever."""
        if file.exists():
            text = file.read_text().replace(MOUNT, str(self.spec.volume))
            text = ADDRESSES.sub(f"listen_addresses = '{self.spec.address}'", text)
            file.write_text(FOLDER_OF_A_VOLUME.sub(str(self.spec.volume), text))

    def take_over(self) -> None:
        """docker-entrypoint.sh, as root: all below PGDATA belongs to postgres, whoever wrote it."""
        self.data.chmod(0o700)
        _own(self.data)

    def _preloaded(self) -> str:
        library = self.programs / "lib/postgresql/pg_stat_statements.so"
        return "pg_stat_statements" if library.exists() else ""

    def _single(self, statement: str) -> None:
        self._run("postgres", "--single", "-D", str(self.data), "postgres", text=statement)

    def _run(self, program: str, *options: str, text: str = "") -> None:
        who: dict[str, Any] = {}
        if (uid := _uid()) is not None:
            who = {"user": uid, "group": uid, "extra_groups": []}
        done = subprocess.run(
            [str(self.programs / "bin" / program), *options],
            input=text,
            capture_output=True,
            text=True,
            check=False,
            cwd=self.data,
            env={"PATH": os.environ["PATH"], "LANG": "C.UTF-8"},
            **who,
        )
        for line in (done.stdout + done.stderr).splitlines():
            self.log(line)
        if done.returncode != 0:
            raise Exits(done.returncode, f"{program} ended with {done.returncode}")


def new_volume(folder: Path) -> None:
    """§3: the mount's root has lost+found, so that initdb refuses it."""
    folder.mkdir(parents=True)
    (folder / "lost+found").mkdir()
    _own(folder)


def remove_volume(folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
