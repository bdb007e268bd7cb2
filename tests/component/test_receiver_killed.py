"""A receiver killed at each of its steps, and one that goes on after it: no gap, nothing lost."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import pytest

from component.early import EarlyReceiver
from component.kill_points import Death, MortalReplication, MortalStore, kind
from component.receivers import (
    Running,
    archived,
    check_list,
    hot_store,
    index_of,
    local,
    owner_of,
    position,
    until,
)
from component.servers import Server, Servers, servers
from postbase_operator.archive.keys import WalFolder
from postbase_operator.archive.receiver import ArchiveOwner
from postbase_operator.archive.wal_index import WalIndex
from postbase_operator.objectstore.hot import HotS3Store
from postbase_operator.objectstore.settings import StoreConfig
from postbase_operator.wal.lsn import Lsn, segments
from postbase_operator.wal.receiver import Receiver
from postbase_operator.wal.streaming import Streaming

__all__ = ["servers"]
pytestmark = pytest.mark.timeout(300)
PREPARED = itertools.count(1)


def forget_slot(server: Server) -> None:
    """The server notices a moment later that a receiver has gone."""
    until(
        "the slot is free",
        lambda: not server.sql("SELECT 1 FROM pg_replication_slots WHERE active"),
    )
    for (name,) in server.sql("SELECT slot_name FROM pg_replication_slots"):
        server.sql("SELECT pg_drop_replication_slot(%s)", name)


def is_whole(index: WalIndex, timeline: int, end: Lsn) -> bool:
    """One run up to the end, and all but its last segment in one object each."""
    runs = index.runs(timeline)
    if len(runs) != 1 or runs[0].end < end:
        return False
    complete = segments(runs[-1].start, end - end % (16 << 20), timeline)
    return all(segment in index.segments for segment in complete)


class QuickStreaming(Streaming):
    """Nothing waits for company: a run takes its requests' time."""

    _window = 0.02


class QuickReceiver(Receiver):
    streaming = QuickStreaming


def check(server: Server, store: HotS3Store, owner: ArchiveOwner, timeline: int, end: Lsn) -> None:
    index = index_of(store, owner)
    (run,) = index.runs(timeline)
    assert run.end >= end
    for segment in segments(run.start, end, timeline):
        there = archived(store, owner, segment)
        assert there == local(server, segment)[: len(there)], segment.name
    assert len(there) >= end - segment.start


def live(
    server: Server, store: HotS3Store, owner: ArchiveOwner, timeline: int, death: Death
) -> Lsn:
    """Runs one until all is archived, merged and acknowledged, and nothing is under way, or until
    it is killed; what all was. One that could still take a step might be killed while its work is
    compared, and its steps be counted short."""
    end = position(server)
    with Running(
        server,
        MortalStore(store, death),
        owner,
        kind=QuickReceiver,
        connect=lambda: MortalReplication(server, death),
    ) as running:
        until(
            "archived, or killed",
            lambda: (
                running.failure
                or (
                    is_whole(index_of(store, owner), timeline, end)
                    and death.acknowledged >= end
                    and not death.under_way
                )
            ),
        )
        if not death.dead:
            try:
                check_list(running, store)
            except AssertionError:
                if not death.dead:  # the status of each second is a step, too
                    raise
        if death.dead:
            running.ended()
    return end


def around(*steps: str) -> set[str]:
    return {f"{when} {step}" for step in steps for when in ("before", "after")}


REQUESTS = around(
    "CONNECT",
    "IDENTIFY_SYSTEM",
    "CREATE_REPLICATION_SLOT",
    "READ_REPLICATION_SLOT",
    "START_REPLICATION 1",
    "LIST the log",
    "PUT the owner",
    "PUT a chunk",
    "PUT a segment",
    "an acknowledgement",
)


def killed_at(
    server: Server,
    store: HotS3Store,
    timeline: int,
    prepare: Callable[[ArchiveOwner], None],
    death: Death,
) -> None:
    """One that is killed there, unless it gets through before, and one that goes on after it."""
    owner = owner_of(server, next(PREPARED))
    forget_slot(server)
    prepare(owner)
    live(server, store, owner, timeline, death)
    if not death.dead:
        return
    last = death.steps[-1]
    index = index_of(store, owner)
    safe = max((run.end for each in index.timelines for run in index.runs(each)[:1]), default=0)
    assert safe >= death.acknowledged, f"acknowledged what is not there, killed {last}"
    end = live(server, store, owner, timeline, Death())
    check(server, store, owner, timeline, end)


def killed_everywhere(
    server: Server,
    store: HotS3Store,
    timeline: int,
    prepare: Callable[[ArchiveOwner], None],
    needed: set[str],
) -> None:
    """Each step in turn. How many there are, and which number one has, depends on how the log
    comes in: so each kind that is needed is killed by its name, too, where no number met it."""
    met: set[str] = set()
    for number in itertools.count(1):
        death = Death(at=number)
        killed_at(server, store, timeline, prepare, death)
        if not death.dead:
            break
        met.add(kind(death.steps[-1]))
    for step in sorted(needed - met):
        death = Death(at=step)
        killed_at(server, store, timeline, prepare, death)
        assert death.dead, f"none is {step}"


def test_killed_anywhere_from_an_empty_archive_on(servers: Servers, s3_config: StoreConfig) -> None:
    server, store = servers.new(15), hot_store(s3_config)
    server.sql("CHECKPOINT")
    server.load(1)
    server.sql("SELECT pg_switch_wal()")
    server.load(1)
    killed_everywhere(server, store, 1, lambda _: None, REQUESTS)


def test_killed_anywhere_over_a_timelines_end(servers: Servers, s3_config: StoreConfig) -> None:
    server, store = servers.new(17, wal_keep_size="'1GB'"), hot_store(s3_config)
    template = owner_of(server, 999)
    server.load(1)
    with Running(server, store, template) as running:
        running.caught_up()
    server.load(1)  # what the first timeline has beyond the archive
    server.stop()
    (server.data / "standby.signal").touch()
    server.take_over()
    server.start()
    server.promote()
    server.load(1)
    server.sql("SELECT pg_switch_wal()")
    server.load(1)
    folder = str(WalFolder(template.archive))
    objects = {info.key: store.get(info.key) for info in store.list(folder)}

    def prepare(owner: ArchiveOwner) -> None:
        for key, body in objects.items():
            store.put(key.replace(folder, str(WalFolder(owner.archive))), body)

    over_the_end = around("TIMELINE_HISTORY", "PUT a history", "GET a chunk", "START_REPLICATION 2")
    needed = REQUESTS | over_the_end | {"after EndOfTimeline"}
    killed_everywhere(server, store, 2, prepare, needed)


def test_the_harness_sees_an_early_acknowledgement(
    servers: Servers, s3_config: StoreConfig
) -> None:
    server, store = servers.new(15), hot_store(s3_config)
    server.load(1)
    owner = owner_of(server, next(PREPARED))
    forget_slot(server)
    death = Death(at="before PUT a chunk")
    with Running(
        server,
        MortalStore(store, death),
        owner,
        kind=EarlyReceiver,
        connect=lambda: MortalReplication(server, death),
    ) as running:
        until("killed", lambda: running.failure)
    index = index_of(store, owner)
    safe = max((run.end for run in index.runs(1)), default=Lsn(0))
    assert death.acknowledged > safe, "a receiver that acknowledges early goes unnoticed"
