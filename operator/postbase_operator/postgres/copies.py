"""Databases change names: a restored one takes the application's place, a former one goes."""

from __future__ import annotations

from collections.abc import Iterable

import psycopg
from psycopg import sql

from postbase_operator.archive.copies import DATABASE
from postbase_operator.errors import Unavailable
from postbase_operator.postgres.connect import Connection
from postbase_operator.postgres.faults import POSTGRESQL
from postbase_operator.postgres.loading import OWNERS, RESTORER

TRIES = 5
LONGEST = "85s"
"""For a DROP DATABASE, which unlinks files; PostgreSQL's own limit for a session is shorter."""


async def swap(connection: Connection, chosen: str, former: str) -> None:
    """`chosen` is the application's database from now on, what was is called `former`.

    New sessions are refused and those that are there ended first; the names then change in one
    transaction, so that there is no moment without a database of the name. Done already where
    `chosen` is not there and `former` is. Raises Unavailable where sessions do not end in time;
    the application's database then takes connections again, as it did.
    """
    present = await _there(connection, (chosen, former, DATABASE))
    if chosen not in present:
        if former in present:
            return
        raise Unavailable(POSTGRESQL, f"there is no database {chosen}", retry_after=5.0)
    try:
        for left in range(TRIES - 1, -1, -1):
            await _close(connection, DATABASE, chosen)
            try:
                await _rename(connection, chosen, former)
            except psycopg.errors.ObjectInUse:
                if left == 0:
                    raise
            else:
                return
    except psycopg.Error:
        await _allow(connection, DATABASE, allowed=True)
        raise


async def drop(connection: Connection, names: Iterable[str]) -> None:
    """With their sessions, and the roles of the restore that was at work in one."""
    await connection.execute(sql.SQL("SET statement_timeout = {}").format(sql.Literal(LONGEST)))
    for name in names:
        if name == DATABASE:
            raise ValueError("the application's database is never dropped")
        await connection.execute(
            sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name))
        )
    # Another restore may be at work with them: its database is there then.
    query = "SELECT 1 FROM pg_catalog.pg_database WHERE datname ~ '^app_restoring_'"
    if await (await connection.execute(query)).fetchone() is None:
        for role in (RESTORER, OWNERS):
            await connection.execute(sql.SQL("DROP ROLE IF EXISTS {}").format(sql.Identifier(role)))


async def _there(connection: Connection, names: Iterable[str]) -> set[str]:
    query = "SELECT datname::text FROM pg_catalog.pg_database WHERE datname = ANY(%s)"
    return {row[0] async for row in await connection.execute(query, [list(names)])}


async def _close(connection: Connection, *databases: str) -> None:
    for name in databases:
        await _allow(connection, name, allowed=False)
    await connection.execute(
        "SELECT pg_catalog.pg_terminate_backend(pid, 5000) FROM pg_catalog.pg_stat_activity"
        " WHERE datname = ANY(%s)",
        [list(databases)],
    )


async def _rename(connection: Connection, chosen: str, former: str) -> None:
    """Waits five seconds at most for sessions that are still ending (PostgreSQL's own patience)."""
    rename = sql.SQL("ALTER DATABASE {} RENAME TO {}")
    own = sql.Identifier(DATABASE)
    async with connection.transaction():
        await connection.execute(rename.format(own, sql.Identifier(former)))
        await connection.execute(rename.format(sql.Identifier(chosen), own))
        await _allow(connection, DATABASE, allowed=True)
        # Again: whoever mends the access of the application's database opens it where it is closed.
        await _allow(connection, former, allowed=False)


async def _allow(connection: Connection, database: str, *, allowed: bool) -> None:
    said = sql.SQL("ALTER DATABASE {} ALLOW_CONNECTIONS {}")
    await connection.execute(said.format(sql.Identifier(database), sql.SQL(str(allowed).lower())))
