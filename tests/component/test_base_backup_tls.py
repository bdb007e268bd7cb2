"""Over the network as a Job goes: TLS, a certificate, a server that must prove its name."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import pytest

from component.folder_sink import FOLDER, FolderSink
from component.servers import MAJORS, UNPRIVILEGED, Server, Servers, servers
from node import ports
from postbase_operator.errors import Unavailable
from postbase_operator.postgres import certificates
from postbase_operator.wal.base_backup import Options
from postbase_operator.wal.client import RECEIVER, Replication, over_tls
from postbase_operator.wal.physical import Plan, take

__all__ = ["servers"]
full = pytest.mark.parametrize("major", MAJORS)
HOST = "shop-main.team.svc"
HBA = (
    "local all all trust\n"
    f"hostssl replication {RECEIVER} all cert\n"
    f"hostssl all {RECEIVER} all reject\n"
)


@dataclass
class Tls:
    server: Server
    authority: certificates.Identity

    def folder(self, place: Path, role: str = RECEIVER) -> Path:
        """As a Job's mounted Secret."""
        client = certificates.client(self.authority, role, datetime.now(UTC))
        place.mkdir(parents=True)
        (place / "ca.crt").write_bytes(self.authority.certificate)
        (place / "tls.crt").write_bytes(client.certificate)
        (place / "tls.key").touch(mode=0o600)
        (place / "tls.key").write_bytes(client.key)
        return place

    def connect(self, folder: Path, host: str = HOST) -> Replication:
        conninfo = over_tls(host, "127.0.0.1", folder, "backup", port=self.server.port)
        return Replication.connect(conninfo, timeout=60)


@contextmanager
def serving(servers: Servers, major: int) -> Iterator[Tls]:
    now = datetime.now(UTC)
    authority = certificates.authority("team/shop-main", now)
    identity = certificates.server(authority, [HOST], now)
    server = servers.new(major)
    server.sql(f"CREATE ROLE {RECEIVER} LOGIN REPLICATION")
    server.stop()
    for name, content in (
        ("server.crt", identity.certificate),
        ("server.key", identity.key),
        ("ca.crt", authority.certificate),
    ):
        path = server.data / name
        path.touch(mode=0o600)
        path.write_bytes(content)
        if os.getuid() == 0:
            os.chown(path, UNPRIVILEGED, UNPRIVILEGED)
    (server.data / "pg_hba.conf").write_text(HBA)
    server.port = ports.free()
    server.configure(listen_addresses="'127.0.0.1'", ssl="on", ssl_ca_file="'ca.crt'")
    server.start()
    yield Tls(server, authority)
    server.stop()


@full
def test_a_backup_over_tls(servers: Servers, major: int, tmp_path: Path) -> None:
    with serving(servers, major) as tls:
        tls.server.load(24)
        connect = partial(tls.connect, tls.folder(tmp_path / "tls"))
        plan = Plan(FOLDER, Options("tls"))
        backup = take(connect, FolderSink(tmp_path / "store"), plan, lambda *_: None)
    assert backup.source_bytes > 24 << 20
    assert backup.checksums_verified is True


@full
def test_who_is_let_in_and_whom_we_believe(servers: Servers, major: int, tmp_path: Path) -> None:
    with serving(servers, major) as tls:
        ours = tls.folder(tmp_path / "ours")
        with tls.connect(ours) as replication:
            assert replication.identify().timeline == 1
        with pytest.raises(Unavailable, match="does not match host name"):
            tls.connect(ours, host="other.team.svc")
        with pytest.raises(Unavailable, match="certificate authentication failed"):
            tls.connect(tls.folder(tmp_path / "other", role="app"))
        other = Tls(tls.server, certificates.authority("x", datetime.now(UTC)))
        with pytest.raises(Unavailable, match="certificate verify failed"):
            other.connect(other.folder(tmp_path / "stranger"))
        (ours / "tls.key").unlink()
        with pytest.raises(Unavailable) as refused:
            tls.connect(ours)
        assert "BEGIN" not in str(refused.value)


def test_a_server_that_does_not_answer_is_given_up_in_time(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        conninfo = over_tls(HOST, "127.0.0.1", tmp_path, "x", port=silent.getsockname()[1])
        with pytest.raises(Unavailable, match="no connection in time"):
            Replication.connect(conninfo, timeout=0.3)
