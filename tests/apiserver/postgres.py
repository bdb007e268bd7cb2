"""PostgreSQL as far as the operator talks to it: what is on a disk, and a server that runs on it.

Stands in where psycopg would connect; the statements are the product's own. A real one would cost
half a second a start, and some hundred starts are needed. tests/e2e have it.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg
from cryptography import x509
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict

from apiserver.interruptions import Wire
from postbase_operator.postgres import server as pg
from postbase_operator.postgres.access import FIND_DATABASES, FIND_ROLES, Owned, Role

Row = tuple[Any, ...]
VERSION = "15.8"


@dataclass
class Disk:
    """What a volume holds: nothing, or one database system."""

    system_id: str = ""
    made: int = 0
    """How often initdb ended on it."""
    roles: dict[str, Role] = field(default_factory=dict)
    databases: dict[str, Owned] = field(default_factory=dict)


@dataclass
class Server:
    """A running PostgreSQL: its disk, and the files that its container has mounted."""

    disk: Disk
    address: str
    mounted: str
    """The revision of the settings."""
    certificate: bytes
    authority: bytes
    loaded: str = ""
    waits: bool = False
    """Whether the mounted settings make commits wait for the receiver …"""
    synchronous: bool = False
    """… and those that are loaded."""
    slot: str = ""
    """What is said of the receiver's slot; "" where there is none."""
    attached: bool = False
    """The receiver reads from it."""
    started_at: datetime = field(default_factory=lambda: datetime.now(UTC))

    def __post_init__(self) -> None:
        self.loaded, self.synchronous = self.mounted, self.waits

    def connect(self, conninfo: str, wire: Wire) -> Connection:
        """By certificate, both ways, as verify-full and pg_hba's `cert` have it."""
        given = conninfo_to_dict(conninfo)
        trusted, shown = (Path(str(given[key])).read_bytes() for key in ("sslrootcert", "sslcert"))
        if given["hostaddr"] != self.address:
            raise psycopg.OperationalError("no route to host")
        if not _issued(self.certificate, trusted) or not _issued(shown, self.authority):
            raise psycopg.OperationalError("certificate verify failed")
        return Connection(self, wire)

    def change(self, statement: str) -> None:
        for pattern, done in CHANGES:
            match = re.fullmatch(pattern, statement)
            if match is not None:
                done(self.disk, *match.groups())
                return
        if statement != "SELECT pg_catalog.pg_reload_conf()":
            raise AssertionError(f"a statement that this server does not know: {statement}")
        self.loaded, self.synchronous = self.mounted, self.waits


def _issued(certificate: bytes, bundle: bytes) -> bool:
    shown = x509.load_pem_x509_certificate(certificate)
    for authority in x509.load_pem_x509_certificates(bundle):
        try:
            shown.verify_directly_issued_by(authority)
        except (ValueError, x509.verification.VerificationError):
            continue
        return True
    return False


class Rows:
    """A cursor on an answer."""

    def __init__(self, rows: Sequence[Row] = ()) -> None:
        self._rows = list(rows)

    async def fetchone(self) -> Row | None:
        return self._rows[0] if self._rows else None

    async def fetchall(self) -> list[Row]:
        return self._rows

    async def __aiter__(self) -> AsyncIterator[Row]:
        for row in self._rows:
            yield row


FACTS = pg.facts_query(pg.MOUNTED).as_string(None)


class Connection:
    """A session of the operator's; every statement commits by itself."""

    def __init__(self, server: Server, wire: Wire) -> None:
        self._server = server
        self._wire = wire

    async def close(self) -> None:
        pass

    async def execute(
        self, query: str | sql.Composed, parameters: Sequence[Any] | None = None
    ) -> Rows:
        statement = query if isinstance(query, str) else query.as_string(None)
        read = self._read(statement, parameters or ())
        if read is not None:
            return Rows(read)

        async def send() -> None:
            self._server.change(statement)

        lost = psycopg.OperationalError("connection to server was lost")
        await self._wire.carry(statement, send, lost)
        return Rows()

    def _read(self, statement: str, parameters: Sequence[Any]) -> list[Row] | None:
        """The answer to a question; None where it is none."""
        disk, server = self._server.disk, self._server
        if statement == FACTS:
            told: Row = (server.loaded, server.mounted, [], [], False)
            of_archiving = (server.synchronous, server.slot)
            return [(disk.system_id, VERSION, server.started_at, False, *told, *of_archiving, [])]
        if statement == pg.DROP_SLOT:
            server.slot = server.slot if server.attached else ""
            return []
        if statement == pg.USED:
            return [(30_000_000,)]
        if statement == FIND_ROLES:
            roles = [(name, disk.roles[name]) for name in parameters[0] if name in disk.roles]
            return [
                (name, r.login, r.superuser, r.verifier, list(r.member_of), r.becomes)
                for name, r in roles
            ]
        if statement == FIND_DATABASES:
            held = disk.databases.get(parameters[0])
            return [(parameters[0], held.owner, held.open)] if held else []
        if "pg_file_settings" in statement or "current_setting('config_file')" in statement:
            return [("",)]
        return None


def _create_role(disk: Disk, name: str, login: str, verifier: str | None) -> None:
    if name in disk.roles:
        raise psycopg.errors.DuplicateObject(f"role {name} already exists")
    disk.roles[name] = Role(login=login == "LOGIN", verifier=verifier)


def _alter_role(disk: Disk, name: str, login: str, verifier: str | None) -> None:
    kept = verifier or disk.roles[name].verifier
    disk.roles[name] = replace(disk.roles[name], login=login == "LOGIN", verifier=kept)


def _grant(disk: Disk, group: str, name: str) -> None:
    role = disk.roles[name]
    disk.roles[name] = replace(role, member_of=role.member_of | {group})


def _becomes(disk: Disk, name: str, other: str) -> None:
    disk.roles[name] = replace(disk.roles[name], becomes=other)


def _create_database(disk: Disk, name: str, owner: str) -> None:
    if name in disk.databases:
        raise psycopg.errors.DuplicateDatabase(f"database {name} already exists")
    disk.databases[name] = Owned(owner, open=False)


def _open(disk: Disk, name: str) -> None:
    disk.databases[name] = replace(disk.databases[name], open=True)


def _nothing(disk: Disk, *names: str) -> None:
    """Who may connect is not looked at here."""


ROLE = r' ROLE "(\w+)" (LOGIN|NOLOGIN)(?: NOSUPERUSER)?(?: PASSWORD \'(.+)\')?'
CHANGES: tuple[tuple[str, Callable[..., None]], ...] = (
    (f"CREATE{ROLE}", _create_role),
    (f"ALTER{ROLE}", _alter_role),
    (r'ALTER ROLE "(\w+)" SET role = \'(\w+)\'', _becomes),
    (r'GRANT "(\w+)" TO "(\w+)"', _grant),
    (r'CREATE DATABASE "(\w+)" OWNER "(\w+)" ALLOW_CONNECTIONS false', _create_database),
    (r'ALTER DATABASE "(\w+)" ALLOW_CONNECTIONS true', _open),
    (r'REVOKE ALL ON DATABASE "(\w+)" FROM PUBLIC', _nothing),
)
