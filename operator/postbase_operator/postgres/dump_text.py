"""What is read out of a dump's own texts: its table of contents, its head, and globals.sql. PURE.

They were written by pg_dump, pg_restore and pg_dumpall of the database's image. What is run of them
as a superuser is made anew from its parts; never the text itself.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from psycopg import sql

IDENTIFIER = r'("(?:[^"]|"")+"|[a-z_][a-z0-9_$]*)'
ENTRY = re.compile(r"^\d+; \d+ \d+ (.+)$")
HEAD = ("DATABASE", "COMMENT - DATABASE ", "ACL - DATABASE ", "EXTENSION - ")
"""Entries of which we read the text …"""
OURS = ("DATABASE", "COMMENT - DATABASE ", "ACL - DATABASE ", "COMMENT - EXTENSION ")
"""… and those that pg_restore is not given."""
SCHEMA = "SCHEMA - "


@dataclass(frozen=True, slots=True)
class Contents:
    """A dump's table of contents, in parts that are restored one after the other."""

    head: str
    schemas: str
    rest: str

    @classmethod
    def parse(cls, listed: str, created: frozenset[str] = frozenset()) -> Contents:
        """`listed`: of pg_restore --list --create. `created`: extensions that are there already."""
        parts: dict[str, list[str]] = {"head": [], "schemas": [], "rest": []}
        there = tuple(f"EXTENSION - {name} " for name in created)
        for line in listed.splitlines():
            found = ENTRY.match(line)
            if found is None:
                continue
            what = f"{found[1]} "
            if what.startswith(HEAD):
                parts["head"].append(line)
            if what.startswith(SCHEMA):
                parts["schemas"].append(line)
            elif not what.startswith(OURS) and not (there and what.startswith(there)):
                parts["rest"].append(line)
        return cls(**{name: "".join(f"{each}\n" for each in of) for name, of in parts.items()})


@dataclass(frozen=True, slots=True)
class Setting:
    """ALTER ROLE … SET, or ALTER DATABASE … SET: `role` runs it, None for the owner."""

    role: str | None
    statement: str


@dataclass(frozen=True, slots=True)
class Head:
    """What a dump says of the database itself."""

    options: sql.Composable
    """Encoding and locale, as CREATE DATABASE takes them."""
    extensions: tuple[tuple[str, str], ...]
    """Names and schemas."""
    settings: tuple[Setting, ...]
    grants: tuple[str, ...]
    """GRANT, REVOKE and COMMENT on the database."""

    @classmethod
    def parse(cls, text: str, name: str, now: str) -> Head:
        """`name`: the database's in the dump; `now`: the one that is meant in its place."""
        options: sql.Composable = sql.SQL("")
        extensions: list[tuple[str, str]] = []
        settings: list[Setting] = []
        grants: list[str] = []
        on = re.compile(rf"^((?:GRANT|REVOKE) [A-Z, ]+ ON DATABASE |COMMENT ON DATABASE ){name} ")
        own = re.compile(rf"^(ALTER DATABASE ){name} (?=SET )")
        of = re.compile(rf"^(ALTER ROLE {IDENTIFIER} IN DATABASE ){name} (?=SET )")
        for each in statements(text):
            if each.startswith(f"CREATE DATABASE {name} "):
                options = _options(each)
            elif found := EXTENSION.match(each):
                extensions.append((unquoted(found[1]), unquoted(found[2])))
            elif found := own.match(each):
                settings.append(Setting(None, f"{found[1]}{now} {each[found.end() :]}"))
            elif found := of.match(each):
                said = f"{found[1]}{now} {each[found.end() :]}"
                settings.append(Setting(unquoted(found[2]), said))
            elif found := on.match(each):
                grants.append(f"{found[1]}{now} {each[found.end() :]}")
        return cls(options, tuple(extensions), tuple(settings), tuple(grants))


@dataclass(frozen=True, slots=True)
class Role:
    """One of globals.sql, with what it may be given back."""

    name: str
    options: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Globals:
    """globals.sql: roles, memberships and settings, without what makes a superuser."""

    roles: tuple[Role, ...]
    memberships: tuple[tuple[str, str, bool], ...]
    """Group, member, and whether with ADMIN OPTION."""
    settings: tuple[Setting, ...]
    tablespaces: tuple[str, ...] = ()
    """Of the server, beside its own."""

    @classmethod
    def parse(cls, text: str) -> Globals:
        tablespaces: list[str] = []
        roles: dict[str, Role] = {}
        memberships: list[tuple[str, str, bool]] = []
        settings: list[Setting] = []
        for each in statements(text):
            if found := CREATE_ROLE.match(each):
                name = unquoted(found[1])
                roles[name] = Role(name, ())
            elif found := ROLE_OPTIONS.match(each):
                name = unquoted(found[1])
                roles[name] = Role(name, _allowed(found[2]))
            elif found := MEMBERSHIP.match(each):
                admin = "ADMIN" in found[3]
                memberships.append((unquoted(found[1]), unquoted(found[2]), admin))
            elif found := ROLE_SETTING.match(each):
                settings.append(Setting(unquoted(found[1]), each))
            elif found := CREATE_TABLESPACE.match(each):
                tablespaces.append(unquoted(found[1]))
        named = tuple(role for role in roles.values() if not is_own(role.name))
        return cls(named, tuple(memberships), tuple(settings), tuple(tablespaces))


OWN = frozenset({"postgres", "app", "app_a", "app_b"})
HARMLESS = frozenset(
    {
        "pg_checkpoint",
        "pg_maintain",
        "pg_monitor",
        "pg_read_all_data",
        "pg_read_all_settings",
        "pg_read_all_stats",
        "pg_signal_backend",
        "pg_stat_scan_tables",
        "pg_write_all_data",
    }
)
"""PostgreSQL's own groups whose membership leads to nothing outside of the databases."""
GIVEN_BACK = frozenset({"INHERIT", "NOINHERIT", "LOGIN", "NOLOGIN", "CREATEDB"})
"""Never SUPERUSER, REPLICATION, BYPASSRLS, nor CREATEROLE, which leads to the first of them."""
EXTENSION = re.compile(
    rf"^CREATE EXTENSION IF NOT EXISTS {IDENTIFIER}(?: WITH SCHEMA {IDENTIFIER})$"
)
CREATE_ROLE = re.compile(rf"^CREATE ROLE {IDENTIFIER}$")
ROLE_OPTIONS = re.compile(rf"^ALTER ROLE {IDENTIFIER} WITH ([A-Z]+(?: [A-Z]+)*)")
MEMBERSHIP = re.compile(rf"^GRANT {IDENTIFIER} TO {IDENTIFIER}(.*)$", re.DOTALL)
CREATE_TABLESPACE = re.compile(rf"^CREATE TABLESPACE {IDENTIFIER} ")
ROLE_SETTING = re.compile(rf"^ALTER ROLE {IDENTIFIER} SET ")
OPTION = re.compile(
    r"\b(ENCODING|LOCALE|LC_COLLATE|LC_CTYPE|ICU_LOCALE|ICU_RULES|BUILTIN_LOCALE)"
    r" = '((?:[^']|'')*)'"
    r"|\b(LOCALE_PROVIDER) = (libc|icu|builtin)\b"
)


def is_own(name: str) -> bool:
    """A role that the product or PostgreSQL itself makes."""
    return name in OWN or name.startswith(("pg_", "postbase_"))


def is_restorable(group: str, member: str) -> bool:
    """A membership of a user's own making, that leads to no rights outside of the databases."""
    if member == "app":
        return not is_own(group)
    return not is_own(member) and (not is_own(group) or group == "app" or group in HARMLESS)


def statements(text: str) -> Iterator[str]:
    """Those of a script of pg_dump's making, without comments and psql's own commands."""
    held: list[str] = []
    quote = ""
    for line in text.splitlines():
        if not held and (not line.strip() or line.startswith(("--", "\\"))):
            continue
        for character in line:
            if quote:
                quote = "" if character == quote else quote
            elif character in "'\"":
                quote = character
        held.append(line)
        if not quote and line.endswith(";"):
            yield "\n".join(held)[:-1]
            held = []


def unquoted(identifier: str) -> str:
    if identifier.startswith('"'):
        return identifier[1:-1].replace('""', '"')
    return identifier


def _options(statement: str) -> sql.Composable:
    parts: list[sql.Composable] = []
    for name, value, provider, which in OPTION.findall(statement):
        literal = sql.SQL(which) if provider else sql.Literal(value.replace("''", "'"))
        parts.append(sql.SQL("{} = {}").format(sql.SQL(name or provider), literal))
    return sql.SQL(" ").join(parts)


def _allowed(options: str) -> tuple[str, ...]:
    return tuple(each for each in options.split() if each in GIVEN_BACK)


# -- what pg_restore complains of ------------------------------------------------------------

ERROR = re.compile(r"^pg_restore: (?:error: )(.*)$")
NOT_A_MEMBER = re.compile(r'ERROR:  must be (?:member of|able to SET ROLE) (?:role )?"(.*)"$')
COMMAND = re.compile(r"^Command was: (.*)$")
OWNER_OF = re.compile(rf"^ALTER [A-Z ]+ .* OWNER TO {IDENTIFIER};$")


def fault(said: str, superusers: frozenset[str]) -> str:
    """The first complaint of pg_restore that counts; "" where none does.

    What a superuser owned cannot become his again, as nobody restores as one: it becomes the
    application's, and that is no fault.
    """
    lines = said.splitlines()
    for at, line in enumerate(lines):
        found = ERROR.match(line)
        if found is None:
            continue
        refused = NOT_A_MEMBER.search(found[1])
        following = lines[at + 1] if at + 1 < len(lines) else ""
        command = COMMAND.match(following)
        if refused is not None and not following:
            return ""  # its second half is still being written
        owner = OWNER_OF.match(command[1]) if command else None
        harmless = refused is not None and refused[1] in superusers
        if harmless and owner is not None and unquoted(owner[1]) in superusers:
            continue
        return found[1] + (f" ({command[1]})" if command else "")
    return ""
