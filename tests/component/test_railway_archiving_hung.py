"""A receiver, or a server, on Railway that hangs: its process is there, and does nothing."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager

import pytest

from component.railway_operator import Operator, Ring, changed, instances, said
from component.railway_receivers import (
    OFF,
    ON,
    Site,
    archiving,
    eventually,
    process,
    slots,
    streams,
)
from postbase_operator.api.database import Database
from postbase_operator.api.database_status import ReceiverState
from postbase_operator.archive.receiver import ReceiverReport
from postbase_operator.archive.receiver_environment import report_in
from railway.boxes import Process
from railway.double import RailwayDouble
from railway.state import Instance


@pytest.fixture(scope="module")
def railway() -> Iterator[RailwayDouble]:
    with RailwayDouble() as double:
        yield double


def hung(site: Site, instance: Instance) -> AbstractContextManager[None]:
    """Railway sees that it runs."""
    running = site.double.world.running(instance.service_id, instance.environment_id)
    assert running is not None
    box = site.double.world.boxes[running.id]
    assert isinstance(box, Process)
    assert box.process is not None
    return box.frozen()


def last_words(site: Site) -> ReceiverReport | None:
    found = (report_in(line) for line in reversed(site.log().splitlines()))
    return next((each for each in found if each is not None), None)


def end_connection(ours: Operator, db: Database) -> None:
    ours.sql(db, "SELECT pg_terminate_backend(active_pid) FROM pg_replication_slots")


async def test_one_that_hangs_is_down_though_its_last_words_are_that_it_runs(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It had an error, which it tells as its last for as long as it lives."""
    monkeypatch.setattr("postbase_operator.railway.wal.hearing.SAID_EVERY", 0.5)
    async with process(site) as ours:
        db = await archiving(ours)
        end_connection(ours, db)

        def streams_after_an_error() -> bool:
            told = last_words(site)
            return told is not None and (told.state, told.last_error is None) == (
                ReceiverState.RUNNING,
                False,
            )

        await eventually("it streams again", streams_after_an_error)
        db = await ours.until(db, streams)
        with hung(site, site.service()):
            end_connection(ours, db)  # as the server does after wal_sender_timeout
            db = await ours.until(db, lambda each: said(each, "Archiving")[0] == "False")
            assert said(db, "Archiving")[1] == "ReceiverDown"
            assert streams_after_an_error()
        await ours.until(db, streams)


async def test_a_receiver_that_commits_wait_for_outlives_an_operator_that_has_not_got_in(
    site: Site,
) -> None:
    """Zero is switched off, and who does it began while the server gave no answer."""
    ring = Ring()
    async with process(site, ring) as ours:
        db = await archiving(ours, pitr=ON | {"rpo": "Zero"})
        waits = "SELECT sync_state::text FROM pg_stat_replication"
        db = await ours.until(db, lambda _: ours.sql(db, waits) == [("sync",)])
    (server,) = (each for each in instances(site.double, site.place) if each != site.service())
    async with process(site, ring) as heir:
        db = changed(db, pitr=OFF)
        with hung(site, server):
            for _ in range(2):
                db, _ = await heir.look(db)
            assert len(site.services()) == 1
        db = await heir.until(db, lambda _: not site.services() and not slots(heir, db))
        heir.sql(db, "CREATE TABLE t AS SELECT 7 AS n", app=True)
