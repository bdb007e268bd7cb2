"""Databases change names on a real server, while clients come and go."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

import psycopg
import pytest

from component.servers import Server, Servers, servers
from postbase_operator.archive import copies as named
from postbase_operator.errors import Unavailable
from postbase_operator.postgres import copies

__all__ = ["servers"]
FIRST, SECOND = "aaaaaaaa-1", "bbbbbbbb-2"
UNTIL = datetime(2030, 1, 1, tzinfo=UTC)


@pytest.fixture
def server(servers: Servers) -> Server:
    made = servers.new(15)
    for name, says in (("app", "before"), (named.restored(FIRST), "after")):
        made.sql(f"CREATE DATABASE {name}")
        made.sql(f"CREATE TABLE t AS SELECT '{says}'::text AS v", dbname=name)
    return made


def run(server: Server, work: Any, *words: Any) -> None:
    async def told() -> None:
        async with await psycopg.AsyncConnection.connect(
            server.conninfo, dbname="postgres", autocommit=True
        ) as connection:
            await work(connection, *words)

    asyncio.run(told())


def says(server: Server, dbname: str = "app") -> str:
    return str(server.sql("SELECT v FROM t", dbname=dbname)[0][0])


def state(server: Server) -> dict[str, bool]:
    query = "SELECT datname::text, datallowconn FROM pg_database WHERE datname LIKE 'app%'"
    return dict(server.sql(query))


@contextmanager
def clients(server: Server) -> Iterator[list[str]]:
    """Ten that connect, ask, hold on and come again; answers what they were told."""
    told: list[str] = []
    over = threading.Event()

    def come_and_go() -> None:
        while not over.is_set():
            try:
                with psycopg.connect(server.conninfo, dbname="app") as connection:
                    while not over.wait(0.005):
                        row = connection.execute("SELECT v FROM t").fetchone()
                        told.append(str(row and row[0]))
            except psycopg.OperationalError as error:
                # Whoever is just coming in may hear that it has been renamed; nobody else does.
                if "does not exist" in str(error) and "renamed" not in str(error):
                    told.append("nothing")

    threads = [threading.Thread(target=come_and_go) for _ in range(10)]
    for thread in threads:
        thread.start()
    try:
        yield told
    finally:
        over.set()
        for thread in threads:
            thread.join(60)


def test_there_and_back_under_clients_there_is_never_no_database(server: Server) -> None:
    first, second = named.before(FIRST, UNTIL), named.before(SECOND, UNTIL)
    with clients(server) as told:
        while len(told) < 20:
            pass
        run(server, copies.swap, named.restored(FIRST), first)
        assert says(server) == "after"
        assert state(server) == {"app": True, first: False}
        run(server, copies.swap, named.restored(FIRST), first)  # once more: done already
        run(server, copies.swap, first, second)
    assert (says(server), state(server)) == ("before", {"app": True, second: False})
    assert set(told) <= {"before", "after"}


def test_a_prepared_transaction_holds_it_up_and_the_database_serves_on(servers: Servers) -> None:
    server = servers.new(15, max_prepared_transactions="2")
    server.sql("CREATE DATABASE app")
    server.sql(f"CREATE DATABASE {named.restored(FIRST)}")
    server.sql("BEGIN; CREATE TABLE t (n int); PREPARE TRANSACTION 'held'", dbname="app")
    with pytest.raises((psycopg.errors.ObjectInUse, Unavailable)):
        run(server, copies.swap, named.restored(FIRST), named.before(FIRST, UNTIL))
    assert state(server)["app"] is True
    assert server.sql("SELECT 1", dbname="app") == [(1,)]


def test_what_is_not_there_is_no_swap(server: Server) -> None:
    with pytest.raises(Unavailable, match="there is no database"):
        run(server, copies.swap, named.restored(SECOND), named.before(SECOND, UNTIL))
    assert says(server) == "before"


def test_what_is_over_goes_whoever_is_in_it_and_never_the_applications(server: Server) -> None:
    server.sql("CREATE ROLE postbase_restore")
    with psycopg.connect(server.conninfo, dbname=named.restored(FIRST)):
        run(server, copies.drop, [named.restored(FIRST), "not_there"])
    assert set(state(server)) == {"app"}
    assert server.sql("SELECT 1 FROM pg_roles WHERE rolname = 'postbase_restore'") == []
    with pytest.raises(ValueError, match="never dropped"):
        run(server, copies.drop, ["app"])


def test_the_roles_of_a_restore_at_work_stay(server: Server) -> None:
    server.sql("CREATE ROLE postbase_restore")
    server.sql(f"CREATE DATABASE {named.restoring(SECOND)}")
    run(server, copies.drop, [named.restored(FIRST)])
    assert server.sql("SELECT 1 FROM pg_roles WHERE rolname = 'postbase_restore'") == [(1,)]


def test_whoever_mends_the_access_meanwhile_does_not_leave_the_former_one_open(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """To another worker the application's database looks closed, and is opened again."""
    close, former = copies._close, named.before(FIRST, UNTIL)

    async def close_and_meet(connection: Any, *databases: str) -> None:
        await close(connection, *databases)
        server.sql("ALTER DATABASE app ALLOW_CONNECTIONS true")

    monkeypatch.setattr(copies, "_close", close_and_meet)
    run(server, copies.swap, named.restored(FIRST), former)
    assert (says(server), state(server)) == ("after", {"app": True, former: False})
