"""Who may use a database: one owner role without login, two logins that take turns.

A PostgreSQL role has one password, so a rotation that cuts nobody needs two logins: the new one is
opened before the old one is closed. Both own nothing; they are members of the owner and become it
at login (`ALTER ROLE … SET role`), so that what they make belongs to the owner. It must be so from
the first day: ownership and the Secret's `user` depend on it.

PURE: what is found and what is wanted in, statements out.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from psycopg import sql

from postbase_operator.postgres.scram import matches, verifier

OWNERS_GROUPS = ("pg_read_all_stats", "pg_signal_backend")
"""Sessions belong to the login and run as the owner: without these an application could not see or
cancel its own in pg_stat_activity. Nobody else's are on this server but ours, as superuser."""


@dataclass(frozen=True, slots=True)
class Role:
    """What pg_authid and pg_db_role_setting say of a role."""

    login: bool = False
    superuser: bool = False
    verifier: str | None = field(default=None, repr=False)
    member_of: frozenset[str] = frozenset()
    becomes: str | None = None
    """The role that it is SET to at login."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """The access that a Database's users have.

    `logins` are names and passwords that must work, `closed` names that must not. `database` "":
    the roles alone.
    """

    database: str
    owner: str
    logins: tuple[tuple[str, str], ...] = field(repr=False)
    closed: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Owned:
    """A database: its owner, and whether it takes connections (pg_database.datallowconn)."""

    owner: str
    open: bool = True


@dataclass(frozen=True, slots=True)
class Found:
    """The access that is there: roles and databases by name."""

    roles: dict[str, Role]
    databases: dict[str, Owned]


def is_right(wanted: Wanted, found: Found) -> bool:
    return not list(statements(wanted, found, salt=b"\0" * 16))


def statements(wanted: Wanted, found: Found, salt: bytes) -> Iterator[sql.Composed]:
    """The statements that make `found` what is `wanted`; none where it is so already.

    Each may be the last one before a kill: the next run finds the rest. `salt`: 16 random bytes.
    """
    yield from _owner(wanted, found)
    for user, password in wanted.logins:
        yield from _login(wanted, found, user, password, salt)
    for user in wanted.closed:
        role = found.roles.get(user)
        if role is not None and role.login:
            yield _sql("ALTER ROLE {} NOLOGIN", user)
    if wanted.database:
        yield from _database(wanted, found)


def _database(wanted: Wanted, found: Found) -> Iterator[sql.Composed]:
    """It opens only when PUBLIC is out: a kill before that is seen by its being closed."""
    name, database = wanted.database, found.databases.get(wanted.database)
    if database is None:
        yield _sql("CREATE DATABASE {} OWNER {} ALLOW_CONNECTIONS false", name, wanted.owner)
    elif database.owner != wanted.owner:
        yield _sql("ALTER DATABASE {} OWNER TO {}", name, wanted.owner)
    if database is None or not database.open:
        yield _sql("REVOKE ALL ON DATABASE {} FROM PUBLIC", name)
        yield _sql("ALTER DATABASE {} ALLOW_CONNECTIONS true", name)


def _owner(wanted: Wanted, found: Found) -> Iterator[sql.Composed]:
    role = found.roles.get(wanted.owner)
    if role is None:
        yield _sql("CREATE ROLE {} NOLOGIN NOSUPERUSER", wanted.owner)
        role = Role()
    elif role.superuser or role.login:
        yield _sql("ALTER ROLE {} NOLOGIN NOSUPERUSER", wanted.owner)
    for group in OWNERS_GROUPS:
        if group not in role.member_of:
            yield _sql("GRANT {} TO {}", group, wanted.owner)


def _login(
    wanted: Wanted, found: Found, user: str, password: str, salt: bytes
) -> Iterator[sql.Composed]:
    role, name = found.roles.get(user), sql.Identifier(user)
    if role is None or not _opens(role, password):
        verb = sql.SQL("CREATE" if role is None else "ALTER")
        stored = sql.Literal(verifier(password, salt))
        yield sql.SQL("{} ROLE {} LOGIN NOSUPERUSER PASSWORD {}").format(verb, name, stored)
    role = role or Role(login=True)
    if wanted.owner not in role.member_of:
        yield _sql("GRANT {} TO {}", wanted.owner, user)
    if role.becomes != wanted.owner:
        yield sql.SQL("ALTER ROLE {} SET role = {}").format(name, sql.Literal(wanted.owner))


def _opens(role: Role, password: str) -> bool:
    return role.login and not role.superuser and matches(password, role.verifier)


def _sql(template: str, *names: str) -> sql.Composed:
    return sql.SQL(template).format(*map(sql.Identifier, names))


FIND_ROLES = """
SELECT r.rolname, r.rolcanlogin, r.rolsuper, r.rolpassword,
       ARRAY(SELECT g.rolname::text FROM pg_catalog.pg_auth_members m
             JOIN pg_catalog.pg_roles g ON g.oid = m.roleid WHERE m.member = r.oid),
       (SELECT pg_catalog.substr(setting, 6) FROM pg_catalog.pg_db_role_setting s,
               pg_catalog.unnest(s.setconfig) AS setting
        WHERE s.setrole = r.oid AND s.setdatabase = 0 AND setting LIKE 'role=%%')
FROM pg_catalog.pg_authid r WHERE r.rolname = ANY(%s)
"""
FIND_DATABASES = """
SELECT d.datname, r.rolname, d.datallowconn FROM pg_catalog.pg_database d
JOIN pg_catalog.pg_roles r ON r.oid = d.datdba WHERE d.datname = %s
"""
