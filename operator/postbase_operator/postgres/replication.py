"""The receiver as its server knows it: the role that it logs in as, and what it has acknowledged.

The receiver acknowledges what the object store has, and nothing else. So the server is a witness of
how archiving does, and one that can be asked by whoever can ask it anything.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from datetime import datetime

from psycopg import sql

from postbase_operator.archive.lsn import Lsn
from postbase_operator.archive.receiver import ROLE, SLOT
from postbase_operator.postgres.connect import Connection
from postbase_operator.postgres.scram import matches, verifier


@dataclass(frozen=True, slots=True)
class ReceiverSeen:
    """In one statement. What is of a connection is None where nobody reads from the slot."""

    at: datetime
    """By the server's clock, before any of the positions was read."""
    server: Lsn
    """How far the server's log is on its disk."""
    timeline: int
    connected_at: datetime | None = None
    state: str = ""
    """PostgreSQL's word for the connection: startup, catchup, streaming, …"""
    received: Lsn | None = None
    durable: Lsn | None = None
    """All before it is in the archive; None until the first word of it has come."""
    lag_seconds: float | None = None
    """From a byte's flush here to the word that it is durable; None where there is none to tell."""
    kept: Lsn | None = None
    """The server keeps its log from here on: up to here the last receiver has acknowledged it."""


async def receiver_seen(connection: Connection) -> ReceiverSeen:
    """Raises psycopg errors; the session turns them into Unavailable."""
    row = await (await connection.execute(SEEN, [SLOT])).fetchone()
    if row is None:
        raise RuntimeError("a SELECT of one row gave none")
    return ReceiverSeen(
        at=row[0],
        server=Lsn.parse(row[1]),
        timeline=int(row[2], 16),
        connected_at=row[3],
        state=row[4],
        received=_position(row[5]),
        durable=_position(row[6]),
        lag_seconds=row[7],
        kept=_position(row[8]),
    )


async def ensure_role(connection: Connection, password: str) -> None:
    """The receiver's role, with this password. Idempotent; no statement carries the password."""
    row = await (await connection.execute(FIND_ROLE, [ROLE])).fetchone()
    found = None if row is None else (bool(row[0]), row[1])
    statement = role_statement(found, password, secrets.token_bytes(16))
    if statement is not None:
        await connection.execute(statement)


def role_statement(
    found: tuple[bool, str | None] | None, password: str, salt: bytes
) -> sql.Composed | None:
    """PURE. `found`: whether its rights are right, and its verifier; None where there is no such
    role. None where nothing is to be done. `salt`: 16 random bytes."""
    if found is not None and found[0] and matches(password, found[1]):
        return None
    verb = sql.SQL("CREATE" if found is None else "ALTER")
    stored = sql.Literal(verifier(password, salt))
    return sql.SQL("{} ROLE {} LOGIN REPLICATION NOSUPERUSER PASSWORD {}").format(
        verb, sql.Identifier(ROLE), stored
    )


def _position(text: str | None) -> Lsn | None:
    return None if text is None else Lsn.parse(text)


FIND_ROLE = """
SELECT rolcanlogin AND rolreplication AND NOT rolsuper, rolpassword
FROM pg_catalog.pg_authid WHERE rolname = %s
"""
SEEN = """
SELECT pg_catalog.statement_timestamp(),
       pg_catalog.pg_current_wal_flush_lsn()::text,
       pg_catalog.substr(pg_catalog.pg_walfile_name(pg_catalog.pg_current_wal_flush_lsn()), 1, 8),
       r.backend_start,
       COALESCE(r.state, ''),
       r.write_lsn::text,
       r.flush_lsn::text,
       EXTRACT(epoch FROM r.flush_lag)::float8,
       s.restart_lsn::text
FROM (SELECT 1) AS one
LEFT JOIN pg_catalog.pg_replication_slots s ON s.slot_name = %s
LEFT JOIN pg_catalog.pg_stat_replication r ON r.pid = s.active_pid
"""
