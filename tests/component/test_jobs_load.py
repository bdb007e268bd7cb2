"""The Job that restores a dump: pg_restore as a role that is no superuser, beside what serves."""

from __future__ import annotations

import random
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
import pytest

from component.job_runs import flip, pod
from component.load_runs import LOAD_SH, Restore, databases, dump, settle, temporary_roles
from component.servers import Server, Servers, servers
from component.store_server import StoreServer
from postbase_operator.archive.run import BackupRun
from postbase_operator.errors import PostbaseError
from postbase_operator.jobs import load
from postbase_operator.jobs.desk import last_word
from postbase_operator.objectstore.s3 import S3Store
from postbase_operator.objectstore.settings import StoreConfig

__all__ = ["servers"]

AS_ADMIN = """
CREATE ROLE reader LOGIN;
CREATE ROLE "an odd Role" NOLOGIN CREATEROLE CREATEDB;
CREATE ROLE books_owner NOLOGIN;
GRANT reader TO books_owner;
GRANT reader TO app WITH ADMIN OPTION;
GRANT pg_execute_server_program TO reader;
REVOKE pg_execute_server_program FROM reader;
ALTER ROLE reader SET search_path = books, "$user";
"""
IN_APP = """
CREATE SCHEMA books AUTHORIZATION books_owner;
CREATE SCHEMA ext;
CREATE EXTENSION hstore SCHEMA ext;
CREATE EXTENSION dblink SCHEMA ext;
GRANT USAGE ON SCHEMA ext TO app;
CREATE TABLE by_admin AS SELECT 1 AS n;
CREATE TABLE books.pages AS SELECT n, repeat(md5(n::text), 40) AS v FROM generate_series(1, 500) n;
ALTER TABLE books.pages OWNER TO books_owner;
GRANT USAGE ON SCHEMA books TO reader;
GRANT SELECT ON books.pages TO reader;
SET ROLE app;
CREATE TABLE items AS SELECT n, md5(n::text) AS v FROM generate_series(1, 20000) n;
ALTER TABLE items ADD PRIMARY KEY (n);
CREATE UNLOGGED TABLE fleeting AS SELECT n FROM generate_series(1, 30) n;
CREATE TABLE tags (t ext.hstore);
INSERT INTO tags VALUES ('a=>1');
CREATE SEQUENCE tickets;
SELECT nextval('tickets') FROM generate_series(1, 7);
CREATE VIEW few AS SELECT * FROM items WHERE n < 10;
CREATE MATERIALIZED VIEW counted AS SELECT count(*) AS n FROM items;
CREATE FUNCTION double(i int) RETURNS int LANGUAGE sql AS 'SELECT 2 * i';
SELECT lo_from_bytea(4711, 'a large object');
GRANT SELECT ON LARGE OBJECT 4711 TO reader;
ALTER DEFAULT PRIVILEGES GRANT SELECT ON TABLES TO reader;
ALTER TABLE items ENABLE ROW LEVEL SECURITY;
CREATE POLICY mine ON items FOR SELECT TO reader USING (n < 5);
CREATE PUBLICATION changes FOR TABLE items;
RESET ROLE;
COMMENT ON DATABASE app IS 'it''s the shop';
ALTER DATABASE app SET work_mem = '9MB';
ALTER ROLE reader IN DATABASE app SET statement_timeout = '3s';
GRANT CONNECT ON DATABASE app TO reader;
"""
FLEETING = """
CREATE UNLOGGED TABLE fleeting AS SELECT n FROM generate_series(1, 30) n;
ALTER TABLE fleeting OWNER TO app;
"""
FACTS = {
    "items": "SELECT count(*), sum(hashtext(v)) FROM items",
    "pages": "SELECT count(*), sum(hashtext(v)) FROM books.pages",
    "unlogged": "SELECT count(*), (SELECT relpersistence::text FROM pg_class"
    " WHERE relname = 'fleeting') FROM fleeting",
    "large": "SELECT lo_get(4711), (SELECT lomacl::text FROM pg_largeobject_metadata)",
    "tags": "SELECT t::text FROM tags",
    "sequence": "SELECT last_value FROM tickets",
    "views": "SELECT (SELECT count(*) FROM few), (SELECT n FROM counted), double(4)",
    "owners": "SELECT c.relname::text, pg_get_userbyid(relowner)::text FROM pg_class c"
    " JOIN pg_namespace n ON n.oid = relnamespace WHERE nspname IN ('public', 'books')"
    " AND relname <> 'by_admin' ORDER BY 1",
    "grants": "SELECT relname::text, relacl::text FROM pg_class WHERE relacl IS NOT NULL"
    " AND relname IN ('items', 'pages') ORDER BY 1",
    "schemas": "SELECT nspname::text, pg_get_userbyid(nspowner)::text FROM pg_namespace"
    " WHERE nspname IN ('books', 'public')  ORDER BY 1",
    "policy": "SELECT polname::text FROM pg_policy",
    "published": "SELECT pubname::text FROM pg_publication",
    "defaults": "SELECT defaclacl::text FROM pg_default_acl",
    "database": "SELECT pg_encoding_to_char(encoding)::text, datcollate::text, datacl::text,"
    " pg_get_userbyid(datdba)::text, shobj_description(oid, 'pg_database')"
    " FROM pg_database WHERE datname = current_database()",
    "settings": "SELECT setrole::regrole::text, setconfig FROM pg_db_role_setting"
    " WHERE setdatabase = (SELECT oid FROM pg_database WHERE datname = current_database())"
    " ORDER BY 1",
}


def script(server: Server, text: str, dbname: str = "postgres") -> None:
    with psycopg.connect(server.conninfo, dbname=dbname, autocommit=True) as connection:
        connection.execute(text.encode())


def application(server: Server, options: str = "ENCODING 'UTF8' LOCALE 'C'") -> None:
    settle(server)
    server.sql(f"CREATE DATABASE app OWNER app TEMPLATE template0 {options}")
    server.sql("REVOKE ALL ON DATABASE app FROM PUBLIC")


def facts(server: Server, dbname: str = "app") -> dict[str, Any]:
    return {name: server.sql(query, dbname=dbname) for name, query in FACTS.items()}


@dataclass
class Story:
    server: Server
    run: BackupRun


@pytest.fixture(scope="module")
def source(servers: Servers) -> Server:
    # A checkpoint that comes by the clock takes files of the log away: there is more room then.
    server = servers.new(15, checkpoint_timeout="'1d'")
    application(server)
    script(server, AS_ADMIN)
    script(server, IN_APP, "app")
    return server


@pytest.fixture
def story(source: Server, s3_store: S3Store, tmp_path: Path) -> Story:
    return Story(source, dump(source, s3_store, tmp_path / "dump"))


def failure(restore: Restore) -> PostbaseError:
    """How it fails; nothing of it is left."""
    before = databases(restore.server)
    with pytest.raises(PostbaseError) as caught:
        restore.load()
    assert databases(restore.server) == before
    assert temporary_roles(restore.server) == 0
    return caught.value


def said(error: PostbaseError) -> tuple[str, str]:
    word = last_word(error)
    return word.reason, word.message


def test_beside_the_one_that_serves_it_is_as_it_was_dumped(
    story: Story, s3_store: S3Store, tmp_path: Path
) -> None:
    server = story.server
    before = facts(server)
    script(server, "UPDATE items SET v = 'changed'; DROP TABLE fleeting CASCADE", "app")
    try:
        restore = Restore(server, s3_store, story.run, tmp_path, extensions=("hstore", "dblink"))
        restore.load()
        assert facts(server, restore.task.whole) == before
        assert restore.sql("SELECT pg_get_userbyid(relowner)::text FROM pg_class"
                           " WHERE relname = 'by_admin'") == [("app",)]  # fmt: skip
        assert databases(server) == {"app", restore.task.whole}
        assert temporary_roles(server) == 0
        assert restore.sql("SELECT count(*) FROM pg_stats WHERE tablename = 'items'") == [(2,)]
        assert server.sql("SELECT DISTINCT v FROM items", dbname="app") == [("changed",)]
        restore.load()  # as after a kill behind the last step: it is there
    finally:
        script(server, "UPDATE items SET v = md5(n::text)", "app")
        script(server, FLEETING, "app")
        for name in databases(server) - {"app"}:
            server.sql(f"DROP DATABASE {name}")


@pytest.mark.parametrize("major", [15, 17, 18])
def test_into_a_new_server_also_of_a_newer_major_with_its_roles(
    servers: Servers, story: Story, s3_store: S3Store, tmp_path: Path, major: int
) -> None:
    server = servers.new(major)
    settle(server)
    Restore(server, s3_store, story.run, tmp_path, extensions=("hstore", "dblink"),
            whole="app").load()  # fmt: skip
    ours, theirs = facts(server), facts(story.server)
    different = {name for name in FACTS if ours[name] != theirs[name]}
    # From 16 on a role's rights have a letter that they did not have before (MAINTAIN).
    assert different <= (set() if major == 15 else {"defaults", "grants"})
    roles = {
        row[0]: row[1:]
        for row in server.sql(
            "SELECT rolname::text, rolcanlogin, rolsuper, rolcreaterole, rolcreatedb, rolpassword"
            " FROM pg_authid WHERE rolname IN ('reader', 'an odd Role', 'books_owner')"
        )
    }
    assert roles["reader"] == (True, False, False, False, None)
    assert roles["an odd Role"] == (False, False, False, True, None)
    members = server.sql(
        "SELECT m.roleid::regrole::text, m.member::regrole::text, admin_option"
        " FROM pg_auth_members m WHERE m.roleid::regrole::text = 'reader' ORDER BY 2"
    )
    assert [each for each in members if "postgres" not in each] == [
        ("reader", "app", True),
        ("reader", "books_owner", False),
    ]
    assert server.sql("SELECT setconfig FROM pg_db_role_setting WHERE setrole = 'reader'::regrole"
                      " AND setdatabase = 0") == [(['search_path=books, "$user"'],)]  # fmt: skip
    assert temporary_roles(server) == 0


def test_an_extension_that_nobody_named_is_refused_before_anything_is_made(
    story: Story, s3_store: S3Store, tmp_path: Path
) -> None:
    reason, why = said(failure(Restore(story.server, s3_store, story.run, tmp_path)))
    assert reason == "ExtensionNotListed"
    assert why.endswith("name them in spec.extensions: dblink")  # hstore is trusted


def test_code_in_a_dump_is_never_run_as_a_superuser(
    servers: Servers, s3_store: S3Store, tmp_path: Path
) -> None:
    """An index's function, a check and a default each note who runs them."""
    server = servers.new(15)
    application(server)
    script(
        server,
        """
        SET ROLE app;
        CREATE TABLE witness (who text, super text);
        CREATE FUNCTION note(i int) RETURNS int LANGUAGE plpgsql IMMUTABLE AS $$
          BEGIN
            BEGIN EXECUTE 'RESET ROLE'; EXCEPTION WHEN OTHERS THEN NULL; END;
            BEGIN EXECUTE 'SET SESSION AUTHORIZATION postgres';
              EXCEPTION WHEN OTHERS THEN NULL; END;
            IF (SELECT rolsuper FROM pg_catalog.pg_roles WHERE rolname = current_user)
            OR (SELECT rolsuper FROM pg_catalog.pg_roles WHERE rolname = session_user)
            THEN RAISE EXCEPTION 'a superuser ran me: % %', current_user, session_user; END IF;
            RETURN i;
          END $$;
        CREATE TABLE t (i int CHECK (public.note(i) = i));
        INSERT INTO t SELECT 1 WHERE false;
        CREATE INDEX ON t (public.note(i));
        """,
        "app",
    )
    server.sql("ALTER TABLE t DISABLE TRIGGER ALL; SELECT 1", dbname="app")
    with psycopg.connect(server.conninfo, dbname="app", user="app_a") as connection:
        connection.execute("INSERT INTO t VALUES (1), (2)")
    run = dump(server, s3_store, tmp_path / "dump")
    restore = Restore(server, s3_store, run, tmp_path)
    restore.load()
    assert restore.sql("SELECT count(*) FROM t") == [(2,)]


@pytest.mark.parametrize(
    "options",
    [
        "ENCODING 'LATIN1' LOCALE 'C'",
        "ENCODING 'EUC_JP' LOCALE 'C'",
        "ENCODING 'SQL_ASCII' LOCALE 'C'",
    ],
)
def test_in_its_own_encoding(
    servers: Servers, s3_store: S3Store, tmp_path: Path, options: str
) -> None:
    server = servers.new(15)
    application(server, options)
    text = {"LATIN1": "déjà vu", "EUC_JP": "日本"}.get(options.split("'")[1], "plain")
    server.sql("CREATE TABLE t (v text)", dbname="app")
    with psycopg.connect(server.conninfo, dbname="app", client_encoding="UTF8") as connection:
        connection.execute("INSERT INTO t VALUES (%s)", [text])
    run = dump(server, s3_store, tmp_path / "dump")
    restore = Restore(server, s3_store, run, tmp_path)
    restore.load()
    encoded = "SELECT encode(textsend(v), 'hex'), getdatabaseencoding()::text FROM t"
    assert restore.sql(encoded) == server.sql(encoded, dbname="app")


@pytest.mark.timeout(180)
def test_a_thousand_tables_of_one_default_configuration(
    servers: Servers, s3_store: S3Store, tmp_path: Path
) -> None:
    server = servers.new(15)
    application(server)
    each = "EXECUTE format('CREATE TABLE t%s (i int PRIMARY KEY, v text)', n)"
    for first in range(0, 1000, 100):  # of locks there are fewer than 1,000 in a transaction
        script(server, f"SET ROLE app; DO $$ BEGIN FOR n IN {first}..{first + 99} LOOP {each};"
               " END LOOP; END $$", "app")  # fmt: skip
    run = dump(server, s3_store, tmp_path / "dump")
    restore = Restore(server, s3_store, run, tmp_path)
    restore.load()
    count = "SELECT count(*) FROM pg_tables WHERE schemaname = 'public' AND tableowner = 'app'"
    assert restore.sql(count) == [(1000,)]


@pytest.fixture
def spread(servers: Servers, s3_store: S3Store, tmp_path: Path) -> tuple[Server, BackupRun]:
    """A server with a table in a tablespace, and its dump."""
    server = servers.new(15)
    application(server)
    server.sql(f"CREATE TABLESPACE elsewhere LOCATION '{server.subfolder('elsewhere')}'")
    script(server, "CREATE TABLE t TABLESPACE elsewhere AS SELECT 1 AS n;"
           " ALTER TABLE t OWNER TO app", "app")  # fmt: skip
    return server, dump(server, s3_store, tmp_path / "dump")


def test_tablespaces_are_refused_in_place(
    spread: tuple[Server, BackupRun], s3_store: S3Store, tmp_path: Path
) -> None:
    server, run = spread
    reason, why = said(failure(Restore(server, s3_store, run, tmp_path)))
    assert (reason, "(elsewhere)" in why) == ("UnsupportedTablespaces", True)
    assert (databases(server), temporary_roles(server)) == ({"app"}, 0)


def test_in_a_new_database_tables_of_another_tablespace_come_into_the_default_one(
    spread: tuple[Server, BackupRun], s3_store: S3Store, tmp_path: Path
) -> None:
    server, run = spread
    server.sql("ALTER DATABASE app RENAME TO former")
    restore = Restore(server, s3_store, run, tmp_path, whole="app")
    restore.load()
    assert restore.sql("SELECT n, (SELECT reltablespace FROM pg_class WHERE relname = 't')::int"
                       " FROM t") == [(1, 0)]  # fmt: skip


# -- what is damaged, missing or too big ---------------------------------------------------------


@pytest.mark.timeout(300)
def test_a_flipped_byte_anywhere_is_found_before_anything_is_made(
    story: Story, s3_store: S3Store, s3_server: StoreServer, s3_config: StoreConfig, tmp_path: Path
) -> None:
    """At 100 random places, of each kind of object; the physical ones: test_jobs_fill.py."""
    place, chance = story.run.place, random.Random(6)  # noqa: S311 - no secret
    keys = [f"{place}.dump.gz", f"{place}.globals.sql", f"{place}.json"]
    assert {each.key for each in s3_store.list("")} == set(keys)
    for number in range(100):
        key = keys[number % 3]
        at = chance.randrange(s3_store.stat(key).size)
        flip(s3_server, s3_config, key, at)
        found = Restore(story.server, s3_store, story.run, tmp_path / str(number),
                        extensions=("hstore", "dblink"))  # fmt: skip
        try:
            error = failure(found)
        except pytest.fail.Exception:
            raise AssertionError(f"{key} at {at} went unseen") from None
        assert said(error)[0] in ("ChecksumMismatch", "BackupDamaged")
        flip(s3_server, s3_config, key, at)


def test_what_is_cut_short_or_gone_is_told(
    story: Story, s3_store: S3Store, s3_server: StoreServer, s3_config: StoreConfig, tmp_path: Path
) -> None:
    path = s3_server.folder / "objects" / s3_config.bucket / f"{story.run.place}.dump.gz"
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    restore = Restore(story.server, s3_store, story.run, tmp_path / "cut")
    assert said(failure(restore))[0] == "ChecksumMismatch"
    s3_store.delete(f"{story.run.place}.dump.gz")
    restore = Restore(story.server, s3_store, story.run, tmp_path / "gone")
    assert said(failure(restore))[0] == "BackupMissing"


def test_a_copy_that_the_volume_has_no_room_for_is_not_begun_nor_gone_on_with(
    story: Story, s3_store: S3Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(load, "LOOK_AGAIN", 0.0)
    query = "SELECT sum(pg_database_size(oid)) + (SELECT sum(size) FROM pg_ls_waldir())"
    used = int(story.server.sql(f"{query} FROM pg_database")[0][0])
    # No room for what the dump has; and room for that, but not for what comes of it.
    for number, room in enumerate((1 << 18, 9 << 20)):
        restore = Restore(
            story.server,
            s3_store,
            story.run,
            tmp_path / str(number),
            extensions=("hstore", "dblink"),
            limit=used + room,
        )
        reason, why = said(failure(restore))
        assert (reason, "raise spec.storage.size" in why) == ("VolumeTooSmall", True)


# -- kills ---------------------------------------------------------------------------------------


def test_what_pg_restore_cannot_do_ends_it(story: Story, s3_store: S3Store, tmp_path: Path) -> None:
    """A role that owns something is a superuser's equal: what it owned becomes the application's;
    an event trigger can be nobody's but a superuser's."""
    server = story.server
    script(
        server,
        "CREATE FUNCTION ev() RETURNS event_trigger LANGUAGE plpgsql AS 'BEGIN END';"
        " CREATE EVENT TRIGGER watch ON ddl_command_end EXECUTE FUNCTION ev()",
        "app",
    )
    try:
        run = dump(server, s3_store, tmp_path / "second")
        restore = Restore(server, s3_store, run, tmp_path, extensions=("hstore", "dblink"))
        reason, why = said(failure(restore))
        assert reason == "RestoreFailed"
        assert "event trigger" in why
    finally:
        script(server, "DROP EVENT TRIGGER watch; DROP FUNCTION ev()", "app")


def test_a_server_that_is_killed_in_the_middle_is_no_fault_of_the_backup(
    servers: Servers, s3_store: S3Store, tmp_path: Path
) -> None:
    server = servers.new(15)
    application(server)
    script(server, "CREATE TABLE t AS SELECT 1 AS n; ALTER TABLE t OWNER TO app", "app")
    run = dump(server, s3_store, tmp_path / "dump")
    restore = Restore(server, s3_store, run, tmp_path)
    its = restore.pod()

    class Killing:
        """Kills the server once pg_restore is fed with the rest."""

        def __init__(self) -> None:
            self.reads = 0

        def __getattr__(self, name: str) -> Any:
            return getattr(s3_store, name)

        def get_stream(self, key: str) -> Any:
            self.reads += key.endswith(".dump.gz")
            if self.reads == 4:
                server.kill()
            return s3_store.get_stream(key)

    with its.dumping(LOAD_SH), pytest.raises(PostbaseError) as caught:
        restore.job(its, Killing()).make()  # type: ignore[arg-type]
    assert said(caught.value)[0] == "ServerUnavailable"
    server.start()
    assert restore.task.scratch in databases(server)
    restore.load()
    assert restore.sql("SELECT n FROM t") == [(1,)]
    assert (databases(server), temporary_roles(server)) == ({"app", restore.task.whole}, 0)


def test_pg_restore_that_is_killed_is_tried_again(
    story: Story, s3_store: S3Store, tmp_path: Path
) -> None:
    restore = Restore(story.server, s3_store, story.run, tmp_path, extensions=("hstore", "dblink"))
    killed = pod(tmp_path / "killed")
    killed.program("pg_restore", 'case "$*" in *rest.list*) kill -9 $$;; esac\n'
                   'exec /usr/lib/postgresql/15/bin/pg_restore "$@"')  # fmt: skip
    restore.programs = killed.programs
    assert said(failure(restore))[0] == "RestoreInterrupted"
    restore.programs = None
    restore.load()
    story.server.sql(f"DROP DATABASE {restore.task.whole}")
