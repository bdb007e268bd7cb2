"""The operator's own sessions: superuser by certificate; by a password only on Railway.

Over TCP with TLS to the pod's address, the Service's name being what the server certificate must
prove. Where the server is not ours to give certificates to (Railway), by a password, and both
sides prove that they know it. Each session pins `search_path` (a function in `public` must not run
as us), and commits locally: in a database that waits for its archive, an outage of the store must
not hang the operator, which is what would tell of it.
"""

from __future__ import annotations

import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
from psycopg.conninfo import make_conninfo
from psycopg.rows import TupleRow

from postbase_operator.errors import Denied, Unavailable
from postbase_operator.postgres.certificates import Identity
from postbase_operator.postgres.faults import POSTGRESQL

Connection = psycopg.AsyncConnection[TupleRow]

ADMIN = "postbase_admin"
SUPERUSER = "postgres"
"""Of an image's own entrypoint."""
CONNECT_TIMEOUT = 5
STATEMENT_TIMEOUT_MS = 30_000
LOCK_TIMEOUT_MS = 5_000
SESSION = (
    "-c search_path= -c synchronous_commit=local"
    f" -c statement_timeout={STATEMENT_TIMEOUT_MS} -c lock_timeout={LOCK_TIMEOUT_MS}"
)

OURS: dict[str, Any] = {
    "gssencmode": "disable",
    "connect_timeout": CONNECT_TIMEOUT,
    "application_name": "postbase-operator",
    "client_encoding": "UTF8",  # else names out of a database in SQL_ASCII are bytes
    "options": SESSION,
}


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where a server answers and how it is told from an impostor."""

    host: str
    """The name that the server certificate must bear."""
    address: str
    """The IP address to connect to."""
    authority: bytes
    """PEM of the certificate authority."""
    port: int = 5432


@asynccontextmanager
async def session(
    endpoint: Endpoint, identity: Identity, dbname: str = "postgres"
) -> AsyncIterator[Connection]:
    """An autocommit session as ADMIN. Raises Unavailable, or Denied where somebody took its rights.

    libpq takes keys from files only: they live in a private folder for the time of the handshake.
    """
    with tempfile.TemporaryDirectory(prefix="postbase-") as folder:
        files = _write(
            Path(folder),
            sslrootcert=endpoint.authority,
            sslcert=identity.certificate,
            sslkey=identity.key,
        )
        conninfo = make_conninfo(
            host=endpoint.host,
            hostaddr=endpoint.address,
            port=endpoint.port,
            user=ADMIN,
            dbname=dbname,
            sslmode="verify-full",
            **OURS,
            **files,
        )
        connection = await _connect(conninfo)
    async with _used(connection, ADMIN):
        yield connection


@asynccontextmanager
async def password_session(
    host: str, port: int, password: str, dbname: str = "postgres"
) -> AsyncIterator[Connection]:
    """An autocommit session as SUPERUSER, through whatever lies between. Raises as `session`.

    The server's certificate bears none of its names, so that it proves nothing. What does is SCRAM
    bound to the channel: who sits in between knows no verifier of the password for his own TLS.
    """
    conninfo = make_conninfo(
        host=host,
        port=port,
        user=SUPERUSER,
        password=password,
        dbname=dbname,
        sslmode="require",
        channel_binding="require",
        **OURS,
    )
    connection = await _connect(conninfo)
    async with _used(connection, SUPERUSER):
        yield connection


@asynccontextmanager
async def certificate_session(
    host: str, port: int, authority: bytes, identity: Identity, dbname: str = "postgres"
) -> AsyncIterator[Connection]:
    """An autocommit session as SUPERUSER, of a server that `authority` has given a certificate, and
    that trusts it, wherever it is reached. Raises as `session`."""
    with tempfile.TemporaryDirectory(prefix="postbase-") as folder:
        files = _write(
            Path(folder),
            sslrootcert=authority,
            sslcert=identity.certificate,
            sslkey=identity.key,
        )
        conninfo = make_conninfo(
            host=host,
            port=port,
            user=SUPERUSER,
            dbname=dbname,
            sslmode="verify-ca",
            **OURS,
            **files,
        )
        connection = await _connect(conninfo)
    async with _used(connection, SUPERUSER):
        yield connection


async def _connect(conninfo: str) -> Connection:
    try:
        return await psycopg.AsyncConnection.connect(conninfo, autocommit=True)
    except psycopg.Error as error:
        raise Unavailable(POSTGRESQL, str(error).strip(), retry_after=2.0) from error


@asynccontextmanager
async def _used(connection: Connection, role: str) -> AsyncIterator[None]:
    """Errors of its use by meaning; closed at the end."""
    try:
        yield
    except psycopg.errors.InsufficientPrivilege as error:
        raise Denied(POSTGRESQL, f"{role}: {str(error).strip()}") from error
    except psycopg.Error as error:
        raise Unavailable(POSTGRESQL, str(error).strip(), retry_after=2.0) from error
    finally:
        await connection.close()


def _write(folder: Path, **contents: bytes) -> dict[str, str]:
    """Puts each content into a file that only we can read; answers name to path."""
    for name, content in contents.items():
        path = folder / name
        path.touch(mode=0o600)
        path.write_bytes(content)
    return {name: str(folder / name) for name in contents}
