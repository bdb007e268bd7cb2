"""A database that a dump is restored into: made, got ready, ended; as a Job does it.

Whatever is in a dump runs as RESTORER, which is no superuser: it lives as long as the restore, and
may become any role that may own something. Only extensions that the spec names are created by a
superuser, with an empty search_path.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass

import psycopg
from psycopg import sql
from psycopg.conninfo import make_conninfo
from psycopg.rows import TupleRow

from postbase_operator.archive.load_run import LoadRun, WantedExtension
from postbase_operator.errors import InvalidSpec, Unavailable
from postbase_operator.postgres.dump_text import Globals, Head, Role, Setting, is_own, is_restorable
from postbase_operator.postgres.faults import POSTGRESQL, ServerRefused
from postbase_operator.postgres.server import USED

logger = logging.getLogger(__name__)
RESTORER = "postbase_restore"
"""Logs in for pg_restore, by a password that nobody else is ever told."""
OWNERS = "postbase_restore_owners"
"""What every role may do in the new database meanwhile: own something in any schema."""

Connection = psycopg.Connection[TupleRow]
Connect = Callable[[str], AbstractContextManager[Connection]]
"""A session in this database: autocommit, search_path empty. Raises Unavailable."""


def door(**conninfo: str) -> Connect:
    """Sessions by these words of libpq's."""
    options = "-c search_path= -c synchronous_commit=local"
    # Else names out of a database in SQL_ASCII are bytes.
    said = make_conninfo(options=options, client_encoding="UTF8", **conninfo)

    @contextmanager
    def connected(dbname: str) -> Iterator[Connection]:
        try:
            with psycopg.connect(said, dbname=dbname, autocommit=True) as connection:
                yield connection
        except psycopg.errors.InsufficientResources as error:
            raise ServerRefused(str(error).strip()) from error
        except (psycopg.OperationalError, psycopg.InterfaceError) as error:
            raise Unavailable(POSTGRESQL, str(error).strip()) from error
        except psycopg.Error as error:
            raise ServerRefused(str(error).strip()) from error

    return connected


@dataclass(frozen=True, slots=True)
class Loading:
    """One run's database, from nothing to whole."""

    run: LoadRun
    connect: Connect
    """As a superuser."""
    connect_restorer: Connect

    def mighty(self) -> frozenset[str]:
        """Roles that nobody becomes for a restore: superusers, and who can make himself one."""
        with self.connect("postgres") as admin:
            return frozenset(name for name, mighty in admin.execute(ROLES) if mighty)

    def untrusted(self, extensions: Iterable[str]) -> tuple[str, ...]:
        """Those that only a superuser may create here, or that are not there at all."""
        query = "SELECT name::text FROM pg_catalog.pg_available_extension_versions WHERE trusted"
        with self.connect("postgres") as admin:
            trusted = {row[0] for row in admin.execute(query)}
        return tuple(each for each in extensions if each not in trusted)

    def begin(self, head: Head, verifier: str) -> None:
        """The database, empty, and RESTORER. What a run before this one has left goes first.

        The database comes before the roles: it is the mark by which the operator clears up.
        """
        name, owner = sql.Identifier(self.run.scratch), sql.Identifier(self.run.owner)
        with self.connect("postgres") as admin:
            drop(admin, self.run.scratch)
            made = "CREATE DATABASE {} WITH OWNER {} TEMPLATE template0 {}"
            try:
                admin.execute(sql.SQL(made).format(name, owner, head.options))
            except (psycopg.DataError, psycopg.ProgrammingError) as error:
                why = f"the backup's encoding or locale is not in this image: {error}"
                raise InvalidSpec("spec.source.backupRef", why, "LocaleUnavailable") from error
            admin.execute(sql.SQL("REVOKE ALL ON DATABASE {} FROM PUBLIC").format(name))
            admin.execute(_sql("CREATE ROLE {} NOLOGIN", OWNERS))
            admin.execute(_sql("GRANT CREATE ON DATABASE {} TO {}", self.run.scratch, OWNERS))
            role = sql.Identifier(RESTORER)
            admin.execute(
                sql.SQL("CREATE ROLE {} LOGIN PASSWORD {}").format(role, sql.Literal(verifier))
            )
            admin.execute(_sql("ALTER ROLE {} SET lc_messages = 'C'", RESTORER))

    def roles(self, wanted: Globals) -> None:
        """Roles and memberships that are not there; those that are stay as they are.

        No passwords: they are in no backup. A role that may log in does so once it is given one.
        """
        with self.connect("postgres") as admin:
            there = {row[0] for row in admin.execute(ROLES)}
            new = {role.name: role for role in wanted.roles if role.name not in there}
            for role in new.values():
                admin.execute(_created(role))
            for group, member, with_admin in wanted.memberships:
                if is_restorable(group, member) and {member, group} & {*new, self.run.owner}:
                    _grant(admin, group, member, with_admin=with_admin)
            for setting in wanted.settings:
                if setting.role in new:
                    _set(admin, setting)
            for name in _ordinary(admin):
                admin.execute(_sql("GRANT {} TO {}", OWNERS, name))
                admin.execute(_sql("GRANT {} TO {}", name, RESTORER))

    def prepare(self) -> None:
        """Schema public is RESTORER's where it is a superuser's by default (before 15)."""
        with self.connect(self.run.scratch) as admin:
            if self._public_is(admin, "postgres"):
                admin.execute(_sql("ALTER SCHEMA public OWNER TO {}", RESTORER))

    def extend(self, extensions: Iterable[tuple[str, str]]) -> None:
        """Extensions of the spec, where the dump has them, by a superuser; the schemas are there.

        Raises InvalidSpec (ExtensionUnavailable) where the image does not have one.
        """
        wanted = {each.name: each for each in self.run.extensions}
        with self.connect(self.run.scratch) as admin:
            for name, schema in extensions:
                if name in wanted:
                    _create_extension(admin, wanted[name], schema)
            admin.execute(_sql("GRANT CREATE ON DATABASE {} TO {}", self.run.scratch, OWNERS))
            schemas = (
                "SELECT nspname::text FROM pg_catalog.pg_namespace WHERE nspname !~ '^pg_'"
                " AND nspname <> 'information_schema'"
            )
            for (schema,) in admin.execute(schemas).fetchall():
                admin.execute(_sql("GRANT USAGE, CREATE ON SCHEMA {} TO {}", schema, OWNERS))
            # Rows of an extension's own tables are in the dump; the tables are a superuser's.
            for schema, table in admin.execute(EXTENSION_TABLES).fetchall():
                admin.execute(_sql("GRANT ALL ON {}.{} TO {}", schema, table, RESTORER))

    def used(self) -> int:
        """What databases, log and temporary files take on the volume, in bytes."""
        with self.connect("postgres") as admin:
            row = admin.execute(USED).fetchone()
        return int(row[0]) if row is not None else 0

    def analyze(self) -> None:
        """Statistics, so that the first query is planned as the thousandth."""
        with self.connect_restorer(self.run.scratch) as connection:
            connection.execute("ANALYZE")

    def finish(self, head: Head) -> None:
        """What is RESTORER's becomes the owner's; both roles go; the name says that it is whole."""
        scratch, owner = self.run.scratch, self.run.owner
        with self.connect(scratch) as admin:
            if self._public_is(admin, RESTORER):
                admin.execute("ALTER SCHEMA public OWNER TO postgres")
            admin.execute(_sql("REASSIGN OWNED BY {} TO {}", RESTORER, owner))
            for statement in head.grants:
                _as(admin, owner, statement)
            for setting in head.settings:
                _set(admin, setting, owner)
            for role in (RESTORER, OWNERS):
                admin.execute(_sql("DROP OWNED BY {}", role))
        with self.connect("postgres") as admin:
            drop_roles(admin)
            _end_sessions(admin, scratch)
            admin.execute(_sql("ALTER DATABASE {} RENAME TO {}", scratch, self.run.whole))

    def is_whole(self) -> bool:
        """A run before this one came to its end."""
        query = "SELECT 1 FROM pg_catalog.pg_database WHERE datname = %s"
        with self.connect("postgres") as admin:
            return admin.execute(query, [self.run.whole]).fetchone() is not None

    def undo(self) -> None:
        """Nothing of it stays."""
        with self.connect("postgres") as admin:
            drop(admin, self.run.scratch)

    def _public_is(self, admin: Connection, owner: str) -> bool:
        query = "SELECT 1 FROM pg_catalog.pg_namespace WHERE nspname = 'public'"
        query += " AND nspowner = (SELECT oid FROM pg_catalog.pg_roles WHERE rolname = %s)"
        return admin.execute(query, [owner]).fetchone() is not None


def drop(admin: Connection, database: str) -> None:
    """The database goes, whoever is in it, and the two roles of the restore that filled it."""
    admin.execute(_sql("DROP DATABASE IF EXISTS {} WITH (FORCE)", database))
    drop_roles(admin)


def drop_roles(admin: Connection) -> None:
    for role in (RESTORER, OWNERS):
        admin.execute(_sql("DROP ROLE IF EXISTS {}", role))


def _ordinary(admin: Connection) -> tuple[str, ...]:
    """Roles that may own something and that no superuser is."""
    names = [name for name, mighty in admin.execute(ROLES).fetchall() if not mighty]
    return tuple(each for each in names if each == "app" or not is_own(each))


def _created(role: Role) -> sql.Composed:
    options = sql.SQL(" ").join(map(sql.SQL, role.options))
    return sql.SQL("CREATE ROLE {} {}").format(sql.Identifier(role.name), options)


def _grant(admin: Connection, group: str, member: str, *, with_admin: bool) -> None:
    statement = _sql("GRANT {} TO {}", group, member)
    try:
        admin.execute(statement + sql.SQL(" WITH ADMIN OPTION" if with_admin else ""))
    except psycopg.errors.UndefinedObject as error:  # a group that this version does not have
        logger.warning("%s is no member of %s: %s", member, group, error)


def _set(admin: Connection, setting: Setting, owner: str = "") -> None:
    """As the role itself: what only a superuser may set is not set back."""
    _as(admin, setting.role or owner, setting.statement)


def _as(admin: Connection, role: str, statement: str) -> None:
    """One statement out of a dump, with the rights of this role; one that it may not is told."""
    admin.execute(_sql("SET SESSION AUTHORIZATION {}", role))
    try:
        # With parameters, be it none: the protocol then takes one statement and no more.
        admin.execute(statement.encode(), (), prepare=True)
    except (psycopg.ProgrammingError, psycopg.DataError) as error:
        logger.warning("not set back: %s: %s", statement, error)
    finally:
        admin.execute("RESET SESSION AUTHORIZATION")


def _create_extension(admin: Connection, wanted: WantedExtension, schema: str) -> None:
    statement = _sql("CREATE EXTENSION IF NOT EXISTS {} SCHEMA {}", wanted.name, schema)
    if wanted.version is not None:
        statement += sql.SQL(" VERSION {}").format(sql.Literal(wanted.version))
    try:
        admin.execute(statement + sql.SQL(" CASCADE"))
    except (psycopg.ProgrammingError, psycopg.NotSupportedError) as error:
        why = f"{wanted.name}: {str(error).strip()}"
        raise InvalidSpec("spec.extensions", why, "ExtensionUnavailable") from error


def _end_sessions(admin: Connection, database: str) -> None:
    admin.execute(
        "SELECT pg_catalog.pg_terminate_backend(pid) FROM pg_catalog.pg_stat_activity"
        " WHERE datname = %s AND pid <> pg_catalog.pg_backend_pid()",
        [database],
    )


def _sql(template: str, *names: str) -> sql.Composed:
    return sql.SQL(template).format(*map(sql.Identifier, names))


ROLES = """
SELECT r.rolname::text, r.rolsuper OR r.rolreplication OR r.rolcreaterole OR r.rolbypassrls
  OR EXISTS (
    SELECT 1 FROM pg_catalog.pg_roles g WHERE g.rolname IN
      ('pg_execute_server_program', 'pg_read_server_files', 'pg_write_server_files')
    AND pg_catalog.pg_has_role(r.oid, g.oid, 'MEMBER'))
FROM pg_catalog.pg_roles r ORDER BY 1
"""
EXTENSION_TABLES = """
SELECT n.nspname::text, c.relname::text FROM pg_catalog.pg_extension e
CROSS JOIN pg_catalog.unnest(e.extconfig) AS own JOIN pg_catalog.pg_class c ON c.oid = own
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE c.relkind IN ('r', 'p')
"""
