"""A server that was recovered where no file can be brought to it: asked, and made fit to serve.

Its data folder has what the recovery needed in a folder of its own (archive/staging.py). Each
statement may be the last one before a kill, and all of them are given again.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from psycopg import sql

from postbase_operator.archive.receiver import SLOT
from postbase_operator.archive.staging import FOLDER, HBA
from postbase_operator.postgres.altering import alter
from postbase_operator.postgres.connect import SUPERUSER, Connection
from postbase_operator.postgres.scram import verifier

SEEN = """
SELECT pg_catalog.pg_is_in_recovery(), s.system_identifier::text, c.timeline_id,
    pg_catalog.pg_last_xact_replay_timestamp(),
    pg_catalog.pg_stat_file(%s, true) IS NULL
FROM pg_catalog.pg_control_system() s, pg_catalog.pg_control_checkpoint() c
"""
HISTORY = """
SELECT n, pg_catalog.pg_read_binary_file('pg_wal/' || n || '.history')
FROM (SELECT substr(pg_catalog.pg_walfile_name(pg_catalog.pg_current_wal_insert_lsn()), 1, 8)) s(n)
WHERE n <> '00000001'
"""
"""By what it writes: what its last checkpoint says may be of before its promotion."""
SLOT_KEPT = """
SELECT pg_catalog.pg_create_physical_replication_slot(%s, true)
WHERE NOT EXISTS (SELECT FROM pg_catalog.pg_replication_slots WHERE slot_name = %s)
"""
OPEN = f"if [ -f {HBA} ]; then cp {HBA} pg_hba.conf.part && mv pg_hba.conf.part pg_hba.conf; fi"
CLEAR = f"rm -rf {FOLDER}"


@dataclass(frozen=True, slots=True)
class Recovered:
    """A server that writes again."""

    system_id: str
    timeline: int
    last_commit: datetime | None
    """The last one that it has replayed; None where it replayed none, or was started again since:
    PostgreSQL has it in memory alone."""
    is_settled: bool
    """`settle` has come to its end once."""


async def recovered(connection: Connection) -> Recovered | None:
    """None while it recovers."""
    row = await (await connection.execute(SEEN, [FOLDER])).fetchone()
    if row is None or row[0]:
        return None
    return Recovered(str(row[1]), int(row[2]), row[3], bool(row[4]))


async def history(connection: Connection) -> tuple[int, bytes] | None:
    """The timeline that it writes, and which ones that came from; None for the first one."""
    row = await (await connection.execute(HISTORY)).fetchone()
    return None if row is None else (int(row[0], 16), bytes(row[1]))


async def settle(
    connection: Connection, password: str, wanted: Mapping[str, str], revision: str
) -> None:
    """The superuser's password, the settings, who may come in: as of any server there.

    Before the first client may come the server promises to keep its log for the receiver: else two
    checkpoints would take away what that has not seen. The folder goes last, when no setting names
    a file in it any more.
    """
    stored = sql.Literal(verifier(password, secrets.token_bytes(16)))
    role = sql.Identifier(SUPERUSER)
    await connection.execute(
        sql.SQL("ALTER ROLE {} LOGIN SUPERUSER PASSWORD {}").format(role, stored)
    )
    await connection.execute(SLOT_KEPT, [SLOT, SLOT])
    await alter(connection, wanted, revision)
    await _in_the_shell(connection, OPEN)
    await connection.execute("SELECT pg_catalog.pg_reload_conf()")
    await _in_the_shell(connection, CLEAR)
    await connection.execute("CHECKPOINT")


async def _in_the_shell(connection: Connection, command: str) -> None:
    """By the server's own user, in its data folder."""
    program = sql.Literal(command)
    await connection.execute(sql.SQL("COPY (SELECT 1 WHERE false) TO PROGRAM {}").format(program))
