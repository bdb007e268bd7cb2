"""What is read out of a dump's own texts, and what of it is never run by a superuser."""

from __future__ import annotations

import pytest

from postbase_operator.postgres.dump_text import (
    Contents,
    Globals,
    Head,
    fault,
    is_restorable,
    statements,
)

LISTED = """\
;
; Archive created at 2026-11-28 01:32:39 UTC
;     dbname: app
3492; 1262 16387 DATABASE - app app
3493; 0 0 COMMENT - DATABASE app app
3494; 0 0 ACL - DATABASE app app
3495; 0 0 DATABASE PROPERTIES - app app
7; 2615 16388 SCHEMA - ext postgres
3496; 0 0 ACL - SCHEMA public pg_database_owner
2; 3079 16389 EXTENSION - hstore~
3497; 0 0 COMMENT - EXTENSION hstore~
3; 3079 16517 EXTENSION - pgcrypto~
217; 1259 16554 TABLE public t app
3482; 0 16554 TABLE DATA public DATABASE app
""".replace("~", " ")
HEAD = """\
-- comment
SET client_encoding = 'LATIN1';
CREATE DATABASE app WITH TEMPLATE = template0 ENCODING = 'LATIN1' LOCALE_PROVIDER = libc \
LOCALE = 'de_DE''x';
ALTER DATABASE app OWNER TO app;
\\connect app
COMMENT ON DATABASE app IS 'it''s;
two lines';
ALTER DATABASE app SET work_mem TO '9MB';
ALTER ROLE "an odd ""role" IN DATABASE app SET statement_timeout TO '3s';
CREATE EXTENSION IF NOT EXISTS hstore WITH SCHEMA ext;
CREATE EXTENSION IF NOT EXISTS "uuid-ossp" WITH SCHEMA public;
REVOKE CONNECT,TEMPORARY ON DATABASE app FROM PUBLIC;
GRANT CONNECT ON DATABASE app TO reader;
GRANT SELECT ON TABLE t TO reader;
"""
GLOBALS = """\
CREATE ROLE app;
CREATE ROLE boss;
ALTER ROLE boss WITH SUPERUSER INHERIT CREATEROLE CREATEDB LOGIN REPLICATION BYPASSRLS;
CREATE ROLE postbase_admin;
CREATE ROLE "odd; role";
ALTER ROLE "odd; role" WITH NOSUPERUSER NOINHERIT NOCREATEROLE NOLOGIN VALID UNTIL '2030-01-01';
ALTER ROLE boss SET search_path TO 'a', 'b';
GRANT boss TO app WITH ADMIN OPTION GRANTED BY postgres;
GRANT pg_execute_server_program TO boss GRANTED BY postgres;
"""


def test_contents_are_restored_in_parts() -> None:
    found = Contents.parse(LISTED, frozenset({"hstore"}))
    assert [line.split(";")[0] for line in found.head.splitlines()] == [
        "3492", "3493", "3494", "3495", "2", "3",
    ]  # fmt: skip
    assert found.schemas == "7; 2615 16388 SCHEMA - ext postgres\n"
    assert [line.split(";")[0] for line in found.rest.splitlines()] == ["3496", "3", "217", "3482"]


def test_the_head_is_read_for_another_name() -> None:
    found = Head.parse(HEAD, "app", "app_restoring_1")
    assert found.options.as_string(None) == (
        "ENCODING = 'LATIN1' LOCALE_PROVIDER = libc LOCALE = 'de_DE''x'"
    )
    assert found.extensions == (("hstore", "ext"), ("uuid-ossp", "public"))
    assert [(each.role, each.statement) for each in found.settings] == [
        (None, "ALTER DATABASE app_restoring_1 SET work_mem TO '9MB'"),
        (
            'an odd "role',
            'ALTER ROLE "an odd ""role" IN DATABASE app_restoring_1'
            " SET statement_timeout TO '3s'",
        ),
    ]
    assert found.grants == (
        "COMMENT ON DATABASE app_restoring_1 IS 'it''s;\ntwo lines'",
        "REVOKE CONNECT,TEMPORARY ON DATABASE app_restoring_1 FROM PUBLIC",
        "GRANT CONNECT ON DATABASE app_restoring_1 TO reader",
    )


def test_roles_come_without_what_makes_a_superuser() -> None:
    found = Globals.parse(GLOBALS)
    assert {role.name: role.options for role in found.roles} == {
        "boss": ("INHERIT", "CREATEDB", "LOGIN"),
        "odd; role": ("NOINHERIT", "NOLOGIN"),
    }
    assert found.memberships == (
        ("boss", "app", True),
        ("pg_execute_server_program", "boss", False),
    )
    assert [each.role for each in found.settings] == ["boss"]


@pytest.mark.parametrize(
    ("group", "member", "given"),
    [
        ("boss", "app", True),
        ("pg_read_all_data", "boss", True),
        ("app", "boss", True),
        ("pg_execute_server_program", "boss", False),
        ("postgres", "boss", False),
        ("postbase_admin", "app", False),
        ("boss", "app_a", False),
        ("boss", "postbase_walrx", False),
        ("pg_monitor", "app", False),
    ],
)
def test_memberships_that_lead_out_of_the_databases_are_not_given(
    group: str, member: str, given: bool
) -> None:
    assert is_restorable(group, member) is given


def test_a_statement_ends_at_its_end_and_not_in_a_text() -> None:
    assert list(statements("SELECT 'a;\n--b;';\n\\restrict x;\nALTER \"x;\ny\" SET;\n")) == [
        "SELECT 'a;\n--b;'",
        'ALTER "x;\ny" SET',
    ]


OWNER = """\
pg_restore: while PROCESSING TOC:
pg_restore: from TOC entry 217; 1259 16554 TABLE t postgres
pg_restore: error: could not execute query: ERROR:  must be member of role "postgres"
Command was: ALTER TABLE public.t OWNER TO postgres;
"""


@pytest.mark.parametrize(
    "said",
    [
        "",
        OWNER,
        OWNER.replace('member of role "', 'able to SET ROLE "'),
        OWNER.rsplit("Command", 1)[0],  # its second half is still being written
        OWNER + "pg_restore: warning: errors ignored on restore: 1\n",
    ],
)
def test_what_a_superuser_owned_is_no_fault(said: str) -> None:
    assert fault(said, frozenset({"postgres"})) == ""


@pytest.mark.parametrize(
    "said",
    [
        OWNER.replace("OWNER TO postgres", "OWNER TO reader").replace('"postgres"', '"reader"'),
        OWNER.replace("ALTER TABLE public.t OWNER TO postgres", "SET ROLE postgres"),
        OWNER + "pg_restore: error: could not execute query: ERROR:  no\nCommand was: DO;\n",
        "pg_restore: error: could not read from input file: end of file\n",
    ],
)
def test_everything_else_is(said: str) -> None:
    assert fault(said, frozenset({"postgres"}))
