"""The receiver against real servers of every major and a real store."""

from __future__ import annotations

import pytest

from component.receivers import (
    archived,
    hot_store,
    index_of,
    local,
    receiving,
    slot_position,
    until,
)
from component.servers import MAJORS, OTHERS, Servers, servers
from postbase_operator.objectstore.settings import StoreConfig
from postbase_operator.wal.lsn import Lsn, Segment

__all__ = ["servers"]
every = pytest.mark.parametrize("major", [*MAJORS, *OTHERS])


@every
def test_the_log_is_archived_acknowledged_and_merged(
    servers: Servers, s3_config: StoreConfig, major: int
) -> None:
    server, store = servers.new(major), hot_store(s3_config)
    server.sql("CREATE TABLE t (n int)")
    with receiving(server, store) as running:
        until("a slot", lambda: server.sql("SELECT 1 FROM pg_replication_slots"))
        server.sql("INSERT INTO t VALUES (1)")
        first = running.caught_up()
        server.load(40)
        end = running.caught_up()
        until("the segments are whole", lambda: len(index_of(store, running.owner).segments) >= 2)
    index = index_of(store, running.owner)
    (run,) = index.runs(1)
    assert run.start <= first
    assert run.end >= end
    assert slot_position(server) <= run.end
    for number in range(run.start // (16 << 20), end // (16 << 20)):
        segment = Segment(1, number)
        assert archived(store, running.owner, segment) == local(server, segment)
    report = running.report
    assert report.durable_lsn is not None
    assert Lsn.parse(report.durable_lsn) >= end
    assert report.bytes_received == run.end - run.start
    assert report.errors == 0, report.last_error
    assert report.last_commit_at is not None
    assert report.covered_until is not None
    assert report.covered_until >= report.last_commit_at
