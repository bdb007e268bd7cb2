"""A restore that is undone: the volume of before is back, and writes nothing."""

from __future__ import annotations

import shutil

from component.receivers import Running, archived, hot_store, index_of, position, receiving, until
from component.servers import Servers, servers
from component.test_receiver_segments import switch_timeline
from postbase_operator.archive.commits import records
from postbase_operator.archive.lsn import Lsn, Segment
from postbase_operator.objectstore.archive_log import StoredLog, load
from postbase_operator.objectstore.hot import HotS3Store
from postbase_operator.objectstore.settings import StoreConfig
from postbase_operator.objectstore.store import NotFound
from postbase_operator.planning.recovery_branch import path_to

__all__ = ["servers"]


def test_its_timeline_is_the_live_one_again_though_nothing_is_written(
    servers: Servers, s3_config: StoreConfig
) -> None:
    """Else all that there is would be the branch that the undo has left."""
    server, store = servers.new(15), hot_store(s3_config)
    server.sql("CREATE TABLE t (n int)")
    with receiving(server, store) as running:
        server.load(1)
        server.sql("VACUUM FREEZE")  # no look at its rows writes anything from now on
        running.caught_up()
        server.stop()  # its last word is archived, as the receiver outlives it
        until("its end", lambda: _has_its_end(running, store))
    kept = server.folder / "kept"
    shutil.copytree(server.data, kept)
    switch_timeline(server)
    with receiving(server, store) as running:
        server.load(1)
        running.caught_up()
        until("the branch is live", lambda: _live(running, store) == 2)
    server.stop()
    shutil.rmtree(server.data)
    kept.rename(server.data)
    server.take_over()
    server.start()
    begun = position(server)
    with receiving(server, store) as running:
        before = index_of(store, running.owner).chunks(1)
        until("it is live", lambda: _live(running, store) == 1)
        same = index_of(store, running.owner).chunks(1) == before
        assert same or position(server) > begun, "nothing was written"


def _live(running: Running, store: HotS3Store) -> int:
    there = load(store, running.owner.archive)
    try:
        return path_to(there, StoredLog(store), None).timeline
    except NotFound:
        return 0  # chunks became a segment between the listing and the look


def _has_its_end(running: Running, store: HotS3Store) -> bool:
    owner = running.owner
    end = index_of(store, owner).runs(1)[-1].end
    segment = Segment.containing(Lsn(end - 1), 1)
    *_, last = records(archived(store, owner, segment), segment.start)
    return last.is_shutdown
