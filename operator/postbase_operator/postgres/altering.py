"""Settings by ALTER SYSTEM, for a server to which no file can be brought.

PostgreSQL reads each value before it writes it down, so a wrong one is refused while all goes on as
it was; it counts from the next reload, or start. The revision is written last: a kill in the middle
leaves the former one, and the next run writes all again.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import LiteralString

import psycopg
from psycopg import sql

from postbase_operator.desired.postgresql_conf import REVISION
from postbase_operator.errors import InvalidSpec
from postbase_operator.postgres.connect import Connection

LISTS = {"search_path", "temp_tablespaces"}
"""Each of their elements is quoted by itself: 'a, b' as one text would be one element."""
ALTERED = """
SELECT name, setting FROM pg_catalog.pg_file_settings
WHERE sourcefile LIKE '%/postgresql.auto.conf' ORDER BY seqno
"""


async def alter(connection: Connection, wanted: Mapping[str, str], revision: str) -> None:
    """Leaves what ALTER SYSTEM has made as `wanted`, and nothing else, under this revision.

    Raises InvalidSpec (ParametersRejected) naming the parameter that PostgreSQL refuses.
    """
    held = {name: setting async for name, setting in await connection.execute(ALTERED)}
    for name in sorted(held.keys() - wanted.keys() - {REVISION}):
        await connection.execute(_of("ALTER SYSTEM RESET {}", name))
    for name, value in sorted(wanted.items()):
        if held.get(name) != value:
            await _set(connection, name, value)
    if held.get(REVISION) != revision:
        await _set(connection, REVISION, revision)


async def _set(connection: Connection, name: str, value: str) -> None:
    values = sql.SQL(", ").join(map(sql.Literal, _values(name, value)))
    try:
        if "." in name:  # an extension's: before 17 it must be known to the session
            await connection.execute("SELECT pg_catalog.set_config(%s, %s, false)", [name, value])
        await connection.execute(_of("ALTER SYSTEM SET {} = ", name) + values)
        if "." in name:
            await connection.execute(_of("RESET {}", name))
    except (psycopg.DataError, psycopg.ProgrammingError, psycopg.NotSupportedError) as error:
        if isinstance(error, psycopg.errors.InsufficientPrivilege):
            raise
        raise InvalidSpec(
            f"spec.parameters.{name}",
            f"PostgreSQL refuses {value!r}, and keeps its old settings: {str(error).strip()}",
            reason="ParametersRejected",
        ) from error


def _of(what: LiteralString, name: str) -> sql.Composed:
    parts = sql.SQL(".").join(map(sql.Identifier, name.split(".")))
    return sql.SQL(what).format(parts)


def _values(name: str, value: str) -> Iterator[str]:
    if name not in LISTS:
        yield value
        return
    for element in value.split(","):
        yield element.strip().strip('"')
