"""A real S3 server for component tests: versitygw on a folder, on a free port of loopback."""

from __future__ import annotations

import http.client
import itertools
import ssl
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import boto3
import pytest
from types_boto3_s3.client import S3Client

from node import golang, ports
from postbase_operator.objectstore.retry import Limits
from postbase_operator.objectstore.s3 import S3Store
from postbase_operator.objectstore.settings import StoreConfig
from postbase_operator.postgres import certificates

ACCESS_KEY_ID, SECRET_ACCESS_KEY = "AKTESTROOT", "not-a-secret/but+long=enough"
IMPATIENT = Limits(
    attempts=4,
    first_pause=0.01,
    longest_pause=0.05,
    deadline=20.0,
    connect=1.0,
    request=5.0,
    idle=5.0,
)
CALM = replace(IMPATIENT, request=60.0, idle=60.0, deadline=120.0)
"""Where nothing hangs on purpose no attempt ends by itself, so they can be counted."""
HASTY = replace(IMPATIENT, request=0.5, idle=0.5)
STARTS_WITHIN = 30.0
NUMBERS = itertools.count(1)


@dataclass(frozen=True)
class StoreServer:
    """One that runs. `ca`: PEM of who signed its certificate, empty on plain HTTP."""

    port: int
    folder: Path
    ca: str = ""

    @property
    def endpoint(self) -> str:
        return f"https://localhost:{self.port}" if self.ca else f"http://127.0.0.1:{self.port}"

    @property
    def config(self) -> StoreConfig:
        """For a bucket of its own, which is made."""
        bucket = f"bucket-{next(NUMBERS)}"
        (self.folder / "objects" / bucket).mkdir(parents=True)
        return StoreConfig(
            bucket=bucket,
            endpoint=self.endpoint,
            path_style=True,
            access_key_id=ACCESS_KEY_ID,
            secret_access_key=SECRET_ACCESS_KEY,
            ca=self.ca,
        )


def store_of(config: StoreConfig, limits: Limits = IMPATIENT, **changes: Any) -> S3Store:
    """A store with little patience."""
    changed = replace(config, **changes)
    return S3Store(lambda: changed, limits)


def plain_client(config: StoreConfig) -> S3Client:
    """boto3 as it comes, to look at what our code has left."""
    return boto3.session.Session().client(
        "s3",
        endpoint_url=config.endpoint,
        aws_access_key_id=config.access_key_id,
        aws_secret_access_key=config.secret_access_key,
        region_name=config.region,
    )


@contextmanager
def store_server(
    folder: Path,
    *options: str,
    tls: bool = False,
    port: int = 0,
    secret: str = SECRET_ACCESS_KEY,
) -> Iterator[StoreServer]:
    """Runs one until the block ends, by kill -9; `options` are versitygw's own, for its posix part.

    `port`: 0 takes a free one.
    """
    program = golang.built("versitygw")
    if not program.exists():
        pytest.skip("versitygw is not built: run `make build`")
    for name in ("objects", "meta"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    ca, keys = _certificate(folder) if tls else ("", [])
    server = StoreServer(port or ports.free(), folder, ca)
    address = f"{'localhost' if tls else '127.0.0.1'}:{server.port}"
    with (folder / "log").open("w") as log:
        running = subprocess.Popen(
            [
                program,
                *("--quiet", "--health", "/health", "--port", address, *keys),
                "posix",
                "--sidecar",
                folder / "meta",
                *options,
                folder / "objects",
            ],
            env={"ROOT_ACCESS_KEY": ACCESS_KEY_ID, "ROOT_SECRET_KEY": secret},
            stdout=log,
            stderr=log,
        )
    try:
        _wait(server, running)
        yield server
    finally:
        running.kill()
        running.wait()


def _certificate(folder: Path) -> tuple[str, list[str]]:
    now = datetime.now(UTC)
    authority = certificates.authority("test-store-ca", now)
    identity = certificates.server(authority, ["localhost"], now)
    files = {"tls.crt": identity.certificate, "tls.key": identity.key}
    for name, content in files.items():
        (folder / name).write_bytes(content)
    options = ["--cert", str(folder / "tls.crt"), "--key", str(folder / "tls.key")]
    return authority.certificate.decode(), options


def _wait(server: StoreServer, running: subprocess.Popen[bytes]) -> None:
    ends = time.monotonic() + STARTS_WITHIN
    while time.monotonic() < ends and running.poll() is None:
        if _healthy(server):
            return
        time.sleep(0.02)
    raise AssertionError(f"versitygw does not run: {(server.folder / 'log').read_text()}")


def _healthy(server: StoreServer) -> bool:
    if server.ca:
        trust = ssl.create_default_context(cadata=server.ca)
        connection: http.client.HTTPConnection = http.client.HTTPSConnection(
            "localhost", server.port, timeout=2, context=trust
        )
    else:
        connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=2)
    try:
        connection.request("GET", "/health")
        return connection.getresponse().status == 200
    except OSError:
        return False
    finally:
        connection.close()
