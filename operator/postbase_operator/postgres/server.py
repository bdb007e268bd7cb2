"""What a running server says of itself, and the few things that we tell it."""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterable
from dataclasses import dataclass

import psycopg
from psycopg import sql

from postbase_operator.archive import copies, run
from postbase_operator.archive.receiver import SLOT
from postbase_operator.archive.record import Extension
from postbase_operator.desired import names
from postbase_operator.desired.postgresql_conf import REVISION
from postbase_operator.errors import InvalidSpec, Unavailable
from postbase_operator.planning.observed import ServerFacts
from postbase_operator.postgres import access
from postbase_operator.postgres.connect import Connection
from postbase_operator.postgres.faults import POSTGRESQL


@dataclass(frozen=True, slots=True)
class Sources:
    """Where a server's settings stand, and its certificate, as expressions of SQL."""

    revision: sql.Composable
    certificate_renewed: sql.Composable


def files(revision: str, certificate: str) -> Sources:
    """Files that the platform brings to the server, by their paths there."""
    return Sources(
        sql.SQL("pg_catalog.pg_read_file({}, 0, 100, true)").format(sql.Literal(revision)),
        sql.SQL(
            "(pg_catalog.pg_stat_file({})).modification > pg_catalog.pg_conf_load_time()"
        ).format(sql.Literal(certificate)),
    )


MOUNTED = files(names.REVISION_FILE, names.CERTIFICATE_FILE)
ALTERED = Sources(
    sql.SQL(
        "(SELECT setting FROM pg_catalog.pg_file_settings WHERE name = {} ORDER BY seqno DESC"
        " LIMIT 1)"
    ).format(sql.Literal(REVISION)),
    sql.SQL("false"),
)
"""Made by ALTER SYSTEM, where no file can be brought; the certificate is the image's matter."""


async def facts(connection: Connection, sources: Sources = MOUNTED) -> ServerFacts:
    """Raises psycopg errors; the session turns them into Unavailable."""
    # Reading this view is what makes PostgreSQL note which parameters wait for a restart: first of
    # all, or a good value of one would look refused in the statement that reads both.
    await connection.execute("SELECT count(*) FROM pg_catalog.pg_file_settings")
    cursor = await connection.execute(facts_query(sources))
    row = await cursor.fetchone()
    if row is None:
        raise RuntimeError("a SELECT without FROM gave no row")
    return ServerFacts(
        system_id=row[0],
        version=str(row[1]).split()[0],
        started_at=row[2],
        in_recovery=row[3],
        loaded_revision=row[4] or "",
        mounted_revision=(row[5] or "").strip(),
        pending_restart=tuple(row[6]),
        rejected=tuple(row[7]),
        certificate_renewed=row[8],
        synchronous=row[9],
        slot=row[10],
        copies=tuple((name, int(size)) for name, size in map(str.split, row[11])),
    )


def facts_query(sources: Sources) -> sql.Composed:
    """One row, as `facts` reads it."""
    return FACTS.format(
        loaded=sql.Literal(REVISION),
        revision=sources.revision,
        renewed=sources.certificate_renewed,
        slot=sql.Literal(SLOT),
        copies=sql.Literal(copies.PATTERN),
    )


async def used_bytes(connection: Connection) -> int:
    """What databases, log and temporary files take on the volume, in bytes.

    PostgreSQL cannot be asked how full its file system is; what it has written there it knows.
    """
    cursor = await connection.execute(USED)
    row = await cursor.fetchone()
    return int(row[0]) if row is not None else 0


async def described(connection: Connection, database: str) -> run.ServerFacts:
    """What a backup's record says of the server. `connection` is to the application's database."""
    cursor = await connection.execute(DESCRIBED, [database])
    row = await cursor.fetchone()
    if row is None:
        raise Unavailable(POSTGRESQL, f"there is no database {database}")
    built = BUILT_FOR.search(str(row[2]))
    version = str(row[1]).split()[0]
    extensions = await connection.execute(
        "SELECT extname::text, extversion FROM pg_catalog.pg_extension ORDER BY 1"
    )
    return run.ServerFacts(
        system_id=row[0],
        postgres_version=version,
        major=int(version.split(".")[0]),
        arch=built[1] if built else "unknown",
        libc=built[2] if built else "unknown",
        block_size=int(row[3]),
        wal_segment_size=int(row[4]),
        encoding=row[5],
        extensions=tuple([Extension(name=n, version=v) async for n, v in extensions]),
        source_bytes=int(row[6]),
    )


async def find_access(connection: Connection, wanted: access.Wanted) -> access.Found:
    names = [wanted.owner, *(user for user, _ in wanted.logins), *wanted.closed]
    roles = {
        name: access.Role(login, superuser, verifier, frozenset(groups), becomes)
        async for name, login, superuser, verifier, groups, becomes in (
            await connection.execute(access.FIND_ROLES, [names])
        )
    }
    databases = {
        name: access.Owned(owner, allowed)
        async for name, owner, allowed in await connection.execute(
            access.FIND_DATABASES, [wanted.database]
        )
    }
    return access.Found(roles, databases)


async def set_up_access(connection: Connection, wanted: access.Wanted) -> None:
    """Roles and database as wanted. Idempotent; each statement commits by itself."""
    found = await find_access(connection, wanted)
    for statement in access.statements(wanted, found, secrets.token_bytes(16)):
        await connection.execute(statement)


async def missing_extensions(connection: Connection, names: Iterable[str]) -> tuple[str, ...]:
    """Those of `names` that this database does not have."""
    cursor = await connection.execute("SELECT extname::text FROM pg_catalog.pg_extension")
    present = {row[0] for row in await cursor.fetchall()}
    return tuple(name for name in names if name not in present)


async def create_extension(connection: Connection, name: str, version: str | None) -> None:
    """As superuser and with an empty search_path; into `public` unless it names its schema.

    Raises InvalidSpec (ExtensionUnavailable) where the image does not have it.
    """
    cursor = await connection.execute(
        "SELECT v.schema::text FROM pg_catalog.pg_available_extension_versions v"
        " JOIN pg_catalog.pg_available_extensions e USING (name)"
        " WHERE v.name = %s AND v.version = COALESCE(%s, e.default_version)",
        [name, version],
    )
    row = await cursor.fetchone()
    schema = row[0] if row else None
    statement = sql.SQL("CREATE EXTENSION IF NOT EXISTS {} SCHEMA {}").format(
        sql.Identifier(name), sql.Identifier(schema or "public")
    )
    if version is not None:
        statement += sql.SQL(" VERSION {}").format(sql.Literal(version))
    try:
        await connection.execute(statement + sql.SQL(" CASCADE"))
    except (psycopg.ProgrammingError, psycopg.NotSupportedError) as error:
        raise InvalidSpec(
            "spec.extensions", f"{name}: {str(error).strip()}", reason="ExtensionUnavailable"
        ) from error


async def drop_slot(connection: Connection) -> None:
    """The receiver's, unless it is being read from at this moment."""
    await connection.execute(DROP_SLOT, [SLOT])


async def reload(connection: Connection) -> None:
    """Has the postmaster read its files again; what it makes of them shows in the facts.

    One that start.sh had to start from the last settings that worked reads a copy on the volume:
    that copy is made the mounted file first, so that a mended spec needs no restart.
    """
    cursor = await connection.execute("SELECT pg_catalog.current_setting('config_file')")
    row = await cursor.fetchone()
    if row is not None and row[0] == names.FALLBACK_FILE:
        await connection.execute(COPY_MOUNTED_TO_FALLBACK)
    await connection.execute("SELECT pg_catalog.pg_reload_conf()")


# Line by line as they are: csv quotes nothing that holds neither of these two characters.
COPY_MOUNTED_TO_FALLBACK = sql.SQL("""
COPY (SELECT line FROM pg_catalog.regexp_split_to_table(pg_catalog.pg_read_file({}), E'\\n')
      AS line WHERE line <> '')
TO {} WITH (FORMAT csv, QUOTE E'\\x01', DELIMITER E'\\x02')
""").format(sql.Literal(names.SETTINGS_FILE), sql.Literal(names.FALLBACK_FILE))
BUILT_FOR = re.compile(r" on ([a-z0-9_]+)-\S*?linux-([a-z]+)")
"""In `version()`: "… on x86_64-pc-linux-gnu, compiled by …"."""
DESCRIBED = """
SELECT (SELECT system_identifier::text FROM pg_catalog.pg_control_system()),
       pg_catalog.current_setting('server_version'),
       pg_catalog.version(),
       pg_catalog.current_setting('block_size'),
       (SELECT setting FROM pg_catalog.pg_settings WHERE name = 'wal_segment_size'),
       pg_catalog.pg_encoding_to_char(encoding)::text,
       (SELECT sum(pg_catalog.pg_database_size(oid)) FROM pg_catalog.pg_database)
FROM pg_catalog.pg_database WHERE datname = %s
"""
DROP_SLOT = """
SELECT pg_catalog.pg_drop_replication_slot(slot_name)
FROM pg_catalog.pg_replication_slots WHERE slot_name = %s AND NOT active
"""
USED = """
SELECT COALESCE((SELECT sum(pg_catalog.pg_database_size(oid)) FROM pg_catalog.pg_database), 0)
     + COALESCE((SELECT sum(size) FROM pg_catalog.pg_ls_waldir()), 0)
     + COALESCE((SELECT sum(size) FROM pg_catalog.pg_ls_tmpdir()), 0)
"""
FACTS = sql.SQL("""
SELECT (SELECT system_identifier::text FROM pg_catalog.pg_control_system()),
       pg_catalog.current_setting('server_version'),
       pg_catalog.pg_postmaster_start_time(),
       pg_catalog.pg_is_in_recovery(),
       pg_catalog.current_setting({loaded}, true),
       {revision},
       ARRAY(SELECT name::text FROM pg_catalog.pg_settings WHERE pending_restart ORDER BY 1),
       ARRAY(SELECT COALESCE(f.name, 'line ' || f.sourceline) || ': ' || f.error
                    || COALESCE(' (' || f.setting || ')', '')
             FROM pg_catalog.pg_file_settings f
             LEFT JOIN pg_catalog.pg_settings s ON s.name = f.name
             -- A good value of a parameter that needs a restart "could not be applied" either.
             WHERE f.error IS NOT NULL AND s.pending_restart IS NOT TRUE
             ORDER BY f.seqno),
       {renewed},
       pg_catalog.current_setting('synchronous_standby_names') <> '',
       COALESCE((SELECT COALESCE(wal_status, 'new') FROM pg_catalog.pg_replication_slots
                 WHERE slot_name = {slot}), ''),
       ARRAY(SELECT datname || ' ' || CASE WHEN datname ~ '^app_restoring'
                                       -- No size: it was dropped at this very moment.
                                       THEN COALESCE(pg_catalog.pg_database_size(oid), 0)
                                       ELSE 0 END
              FROM pg_catalog.pg_database WHERE datname ~ {copies} ORDER BY 1)
""")
