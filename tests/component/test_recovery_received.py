"""From the real receiver's archive back: what the store has acknowledged is in the new server."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from component.receivers import hot_store, receiving
from component.recoveries import recovered, task
from component.servers import MAJORS, Servers, servers
from component.store_server import StoreServer, store_of
from component.test_recovery import TRACKED, backed_up, journal, told, write
from postbase_operator.objectstore.archive_log import StoredLog, load
from postbase_operator.planning.recovery import Target, plan_recovery

__all__ = ["servers"]
pytestmark = pytest.mark.timeout(300)


@pytest.mark.parametrize("major", MAJORS)
def test_what_the_receiver_holds_is_recovered_over_two_lives_of_the_server(
    servers: Servers, s3_server: StoreServer, major: int
) -> None:
    """Server and receiver are killed; then again on the timeline that the first recovery began."""
    config = s3_server.config
    store = store_of(config)
    server = servers.new(major, **TRACKED)
    server.sql("CREATE TABLE journal (n bigint PRIMARY KEY, body text)")
    key = ""
    for life in (1, 2):
        with receiving(server, hot_store(config)) as running:
            running.caught_up()
            if life == 1:
                archive, key = backed_up(server, store)
            write(server, 80, start=life * 1000)
            running.caught_up()
            ledger = told(server)
            server.kill()
        archived = load(store, archive)
        mine = sorted(time for n, time in ledger.rows.items() if n >= life * 1000)
        moment = mine[40] + (mine[41] - mine[40]) / 2
        reader = StoredLog(store)
        plan = plan_recovery(archived, reader, Target(time=moment), datetime.now(UTC))
        assert plan.timelines == tuple(range(1, life + 1))
        assert plan.last_commit == mine[40]
        back, _ = recovered(servers, major, store, key, task(plan), **TRACKED)
        assert journal(back) == ledger.at(moment)
        back.kill()
        plan = plan_recovery(archived, reader, Target(), datetime.now(UTC))
        wanted = task(plan, keeps_archive=True)
        server, word = recovered(servers, major, store, key, wanted, **TRACKED)
        assert journal(server) == set(ledger.rows)
        assert word.timeline == life + 1
