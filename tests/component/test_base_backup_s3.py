"""From a server through a real store into a server that starts: nothing between but the parts."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest

from component.folder_sink import FOLDER
from component.servers import MAJORS, Servers, servers
from postbase_operator.archive.keys import BackupSegmentKey, ManifestKey
from postbase_operator.errors import Conflict
from postbase_operator.objectstore.s3 import S3Store
from postbase_operator.wal.base_backup import Options
from postbase_operator.wal.client import Replication
from postbase_operator.wal.manifest import Manifest
from postbase_operator.wal.physical import Plan, take
from postbase_operator.wal.pieces import MIB, Sizes
from postbase_operator.wal.unpack import place_segment, unpack

__all__ = ["servers"]


@pytest.mark.parametrize("major", MAJORS)
def test_into_a_store_and_back(servers: Servers, major: int, s3_store: S3Store) -> None:
    server = servers.new(major)
    server.load(24)
    plan = Plan(FOLDER, Options("s3"), Sizes(full=8 * MIB, most=16 * MIB))
    connect = partial(Replication.connect, server.conninfo)
    backup = take(connect, s3_store.put_stream, plan, lambda *_: None)
    listed = {item.key: item.size for item in s3_store.list(str(FOLDER))}
    assert listed == {f"{FOLDER}{item.key}": item.size for item in backup.objects}

    target = servers.bare(major)
    restore(s3_store, backup.segment_size, target.data, sorted(listed))
    target.configure()
    target.take_over()
    target.start()
    query = "SELECT count(*), sum(hashtext(body::text)) FROM load"
    assert target.sql(query) == server.sql(query)

    with pytest.raises(Conflict):
        take(connect, s3_store.put_stream, plan, lambda *_: None)
    assert {item.key: item.size for item in s3_store.list(str(FOLDER))} == listed


def restore(store: S3Store, segment_size: int, data: Path, keys: list[str]) -> None:
    data.mkdir(mode=0o700)
    manifest = Manifest.parse(store.get(str(ManifestKey(FOLDER))))
    for segment in manifest.segments(segment_size):
        key = BackupSegmentKey(FOLDER, segment.name)
        place_segment(store.get_stream(str(key)), segment, data)
    pieces = [partial(store.get_stream, key) for key in keys if "/pieces/" in key]
    unpack(pieces, manifest, data)
