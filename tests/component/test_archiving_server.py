"""What a real server says of the receiver's slot, and how that slot goes."""

from __future__ import annotations

import psycopg
import pytest

from component.servers import MAJORS, OTHERS, Server, Servers, servers
from postbase_operator.archive.receiver import SLOT
from postbase_operator.planning.observed import ServerFacts
from postbase_operator.postgres import server as pg

__all__ = ["servers"]


async def facts(server: Server) -> ServerFacts:
    """Of some file the time counts, and there is no other."""
    sources = pg.files(str(server.data / "none"), str(server.data / "postgresql.conf"))
    async with await psycopg.AsyncConnection.connect(
        server.conninfo, dbname="postgres", autocommit=True
    ) as connection:
        return await pg.facts(connection, sources)


@pytest.mark.parametrize("major", [*MAJORS, *OTHERS])
async def test_the_slot_is_told_and_dropped_where_nobody_reads(
    servers: Servers, major: int
) -> None:
    server = servers.new(major, synchronous_standby_names="'postbase_walrx'")
    fresh = await facts(server)
    assert (fresh.slot, fresh.synchronous) == ("", True)
    server.sql("SELECT pg_create_physical_replication_slot(%s, true)", SLOT)
    server.sql("SELECT pg_create_physical_replication_slot('a_user_s')")
    assert (await facts(server)).slot == "reserved"
    async with await psycopg.AsyncConnection.connect(
        server.conninfo, dbname="postgres", autocommit=True
    ) as connection:
        await pg.drop_slot(connection)
        await pg.drop_slot(connection)
    assert (await facts(server)).slot == ""
    assert server.sql("SELECT slot_name FROM pg_replication_slots") == [("a_user_s",)]
    server.stop()
