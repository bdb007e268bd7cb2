"""Settings by ALTER SYSTEM on a real server of every major."""

from __future__ import annotations

import psycopg
import pytest

from component.servers import MAJORS, OTHERS, Server, Servers, servers
from postbase_operator.errors import InvalidSpec
from postbase_operator.postgres import server as pg
from postbase_operator.postgres.altering import alter

__all__ = ["servers"]
WANTED = {
    "work_mem": "8MB",
    "search_path": '"$user", public',
    "auto_explain.log_min_duration": "3s",
}


async def connect(server: Server) -> psycopg.AsyncConnection[tuple[object, ...]]:
    return await psycopg.AsyncConnection.connect(
        server.conninfo, dbname="postgres", autocommit=True
    )


async def show(server: Server, name: str) -> object:
    """As a new session has it."""
    async with await connect(server) as connection:
        row = await (
            await connection.execute("SELECT current_setting(%s, true)", [name])
        ).fetchone()
    return row[0] if row else None


@pytest.mark.parametrize("major", [*MAJORS, *OTHERS])
async def test_what_is_wanted_and_nothing_else(servers: Servers, major: int) -> None:
    server = servers.new(major)
    async with await connect(server) as connection:
        await alter(connection, WANTED, "r1")
        seen = await pg.facts(connection, pg.ALTERED)
        assert (seen.mounted_revision, seen.loaded_revision) == ("r1", "")
        await pg.reload(connection)
    assert await show(server, "work_mem") == "8MB"
    assert await show(server, "search_path") == '"$user", public'
    assert await show(server, "auto_explain.log_min_duration") == "3s"
    async with await connect(server) as connection:
        assert (await pg.facts(connection, pg.ALTERED)).loaded_revision == "r1"
        with pytest.raises(InvalidSpec, match=r"spec\.parameters\.work_mem.*a lot"):
            await alter(connection, {"work_mem": "a lot"}, "r2")
        with pytest.raises(InvalidSpec, match=r"spec\.parameters\.no_such_thing"):
            await alter(connection, {"no_such_thing": "1"}, "r2")
        assert (await pg.facts(connection, pg.ALTERED)).mounted_revision == "r1"
        await alter(connection, {"max_connections": "50"}, "r3")
        await pg.reload(connection)
    assert await show(server, "work_mem") == "4MB"
    async with await connect(server) as connection:
        seen = await pg.facts(connection, pg.ALTERED)
    assert seen.pending_restart == ("max_connections",)
    assert (seen.loaded_revision, seen.rejected) == ("r3", ())
