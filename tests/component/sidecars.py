"""The sidecar's process, and all that it sees of its pod: mounted files, a socket, a store."""

from __future__ import annotations

import contextlib
import json
import os
import ssl
import subprocess
import sys
import urllib.error
import urllib.request
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from component.receivers import owner_of
from component.servers import Server
from node import ports
from postbase_operator.archive.receiver import ReceiverConfig, ReceiverReport
from postbase_operator.objectstore.settings import StoreConfig
from postbase_operator.postgres import certificates
from postbase_operator.wal.lsn import Lsn

TOKEN = "not-a-secret-token"


@dataclass
class Pod:
    """What the sidecar sees of its pod."""

    root: Path
    server: Server
    store: StoreConfig
    port: int = field(default_factory=ports.free)

    def __post_init__(self) -> None:
        for folder in ("postbase/config", "postbase/tls", "postbase/store", "var/run", "tmp"):
            (self.root / folder).mkdir(parents=True)
        (self.root / "var/run/postgresql").symlink_to(self.server.folder)
        self._certificate()
        store = {"bucket": self.store.bucket, "endpoint": self.store.endpoint, "pathStyle": True}
        secret = {
            "store.json": json.dumps(store),
            "AWS_ACCESS_KEY_ID": self.store.access_key_id,
            "AWS_SECRET_ACCESS_KEY": self.store.secret_access_key,
        }
        for name, content in secret.items():
            (self.root / "postbase/store" / name).write_text(content)

    def _certificate(self) -> None:
        now = datetime.now(UTC)
        authority = certificates.authority("test-ca", now)
        identity = certificates.server(authority, ["localhost"], now)
        tls = self.root / "postbase/tls"
        (tls / "tls.crt").write_bytes(identity.certificate)
        (tls / "tls.key").write_bytes(identity.key)
        (tls / "receiver-token").write_text(TOKEN)
        self.ca = authority.certificate.decode()

    def configure(self, config: ReceiverConfig) -> None:
        """As the kubelet does it: another file under the same name."""
        file = self.root / "postbase/config/receiver.json"
        file.with_suffix(".new").write_bytes(config.to_bytes())
        file.with_suffix(".new").rename(file)

    @property
    def on(self) -> ReceiverConfig:
        return ReceiverConfig(enabled=True, owner=owner_of(self.server))

    def ask(self, path: str, method: str = "GET", token: str = TOKEN) -> tuple[int, bytes]:
        request = urllib.request.Request(
            f"https://localhost:{self.port}{path}",
            method=method,
            headers={"Authorization": f"Bearer {token}"} if token else {},
        )
        trust = ssl.create_default_context(cadata=self.ca)
        try:
            with urllib.request.urlopen(request, timeout=60, context=trust) as answer:  # noqa: S310
                return answer.status, answer.read()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read()

    def report(self) -> ReceiverReport | None:
        """None while nobody listens."""
        with warnings.catch_warnings():
            # CPython 3.11 leaves the socket open of which the peer has gone between connect and
            # wrap_socket: getpeername fails, recv meets the reset, and nobody can close it.
            warnings.filterwarnings("ignore", "unclosed <ssl.SSLSocket", ResourceWarning)
            try:
                status, body = self.ask("/status")
            except OSError:
                return None
        assert status == 200
        return ReceiverReport.from_bytes(body)

    def durable(self) -> Lsn:
        report = self.report()
        return Lsn.parse(report.durable_lsn) if report and report.durable_lsn else Lsn(0)

    @contextlib.contextmanager
    def sidecar(self) -> Iterator[subprocess.Popen[bytes]]:
        environment = {
            "PATH": os.environ["PATH"],
            "PYTHONPATH": os.pathsep.join(sys.path),
            "POSTBASE_ROOT": str(self.root),
            "POSTBASE_RECEIVER_PORT": str(self.port),
        }
        running = subprocess.Popen(
            [sys.executable, "-m", "postbase_operator", "wal-receiver"], env=environment
        )
        try:
            yield running
        finally:
            running.kill()
            running.wait()


def memory(process: subprocess.Popen[bytes]) -> int:
    """Bytes in memory, mapped files too."""
    return status_of(process, "VmRSS")


def peak_memory(process: subprocess.Popen[bytes]) -> int:
    """What was in memory at most since the program began."""
    return status_of(process, "VmHWM")


def own_memory(process: subprocess.Popen[bytes]) -> int:
    """Bytes that are its own and of nobody else's use."""
    return status_of(process, "RssAnon")


def status_of(process: subprocess.Popen[bytes], name: str) -> int:
    status = Path(f"/proc/{process.pid}/status").read_text()
    return int(status.split(f"{name}:")[1].split()[0]) << 10
