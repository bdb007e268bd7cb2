"""BASE_BACKUP from real servers: what comes, what is refused, damage that is told."""

from __future__ import annotations

import io
import json
import tarfile
import time
from collections.abc import Iterable

import pytest

from component.servers import MAJORS, OTHERS, Server, Servers, servers
from postbase_operator.errors import InvalidSpec
from postbase_operator.wal.base_backup import (
    ArchiveData,
    Ended,
    Event,
    ManifestData,
    Options,
    Started,
    base_backup,
)
from postbase_operator.wal.client import Replication

__all__ = ["servers"]
every = pytest.mark.parametrize("major", [*MAJORS, *OTHERS])


def take(server: Server, options: Options | None = None) -> list[Event]:
    with Replication.connect(server.conninfo) as replication:
        events = list(base_backup(replication, options or Options("a 'label'")))
        assert replication.identify().timeline == 1, "the connection takes the next command"
    return events


def archive(events: Iterable[Event]) -> tarfile.TarFile:
    raw = b"".join(event.data for event in events if isinstance(event, ArchiveData))
    return tarfile.open(fileobj=io.BytesIO(raw))


@every
def test_a_backup_begins_with_a_position_and_ends_with_one(servers: Servers, major: int) -> None:
    server = servers.new(major)
    server.load(4)
    first, *middle, last = take(server)
    assert isinstance(first, Started)
    assert isinstance(last, Ended)
    assert first.start < last.stop
    assert (first.timeline, last.timeline, last.damage) == (1, 1, ())
    members = archive(middle)
    names = members.getnames()
    assert names[-1] == "global/pg_control"
    assert b"LABEL: a 'label'" in members.extractfile("backup_label").read()  # type: ignore[union-attr]
    held = sum(member.size for member in members)
    assert 0.5 * held < first.estimate < 2 * held
    manifest = json.loads(b"".join(e.data for e in middle if isinstance(e, ManifestData)))
    assert manifest["Files"][0]["Checksum-Algorithm"] == "CRC32C"
    (wal,) = manifest["WAL-Ranges"]
    assert (wal["Start-LSN"], wal["End-LSN"]) == (str(first.start), str(last.stop))


@every
def test_a_damaged_page_is_told_after_all_has_come(servers: Servers, major: int) -> None:
    server = servers.new(major)
    server.load(2)
    path = damage(server)
    *events, last = take(server)
    assert isinstance(last, Ended)
    assert "checksum verification failure" in last.damage[-1]
    assert any(path in told for told in last.damage), last.damage
    assert archive(events).getnames()[-1] == "global/pg_control", "the copy is whole"
    assert any(isinstance(event, ManifestData) for event in events)
    *_, unverified = take(server, Options("again", verify_checksums=False))
    assert isinstance(unverified, Ended)
    assert unverified.damage == ()


def damage(server: Server) -> str:
    """Turns over a byte in the second page of the loaded table, while the server is down."""
    server.sql("CHECKPOINT")
    path = str(server.sql("SELECT pg_relation_filepath('load')")[0][0])
    server.stop()
    with (server.data / path).open("r+b") as file:
        file.seek(8192 + 4000)
        byte = file.read(1)
        file.seek(8192 + 4000)
        file.write(bytes([byte[0] ^ 0xFF]))
    server.start()
    return path


@every
def test_tablespaces_are_refused_by_name(servers: Servers, major: int) -> None:
    server = servers.new(major)
    place = server.subfolder("elsewhere")
    server.sql(f"CREATE TABLESPACE elsewhere LOCATION '{place}'")
    with pytest.raises(InvalidSpec, match=str(place)) as refused:
        take(server)
    assert refused.value.reason == "UnsupportedTablespaces"
    server.sql("DROP TABLESPACE elsewhere")
    assert isinstance(take(server)[-1], Ended), "the refused one has left nothing"


@pytest.mark.parametrize("major", MAJORS)
def test_the_server_holds_to_a_rate(servers: Servers, major: int) -> None:
    server = servers.new(major)
    started = time.monotonic()
    events = take(server, Options("slow", max_rate_kib=16384, fast_checkpoint=True))
    seconds = time.monotonic() - started
    size = sum(len(event.data) for event in events if isinstance(event, ArchiveData))
    assert size / seconds < 1.2 * (16 << 20)
