"""A backup is restored: in place, taken back, taken back again, and into new Databases.

Rows are compared by checksums, and by a client that writes all the time and knows which server has
acknowledged what. What fails changes nothing.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest

from e2e.bucket import Bucket, Stored
from e2e.cluster import Body, Cluster, eventually
from e2e.conftest import NewDb
from e2e.database import Db
from e2e.runs import PREVIOUS, Run, backup, of, restore

pytestmark = pytest.mark.timeout(900)

READER_PASSWORD = "of-the-users-own"
MADE = """
CREATE TABLE items AS SELECT n, md5(n::text) AS v FROM generate_series(1, 200000) n;
CREATE SCHEMA books;
CREATE TABLE books.pages AS SELECT n, repeat(md5(n::text), 40) AS v FROM generate_series(1, 2000) n;
CREATE SEQUENCE tickets;
SELECT nextval('tickets') FROM generate_series(1, 7);
SELECT lo_from_bytea(0, convert_to(repeat(md5(n::text), 500), 'UTF8')) FROM generate_series(1, 5) n;
CREATE TABLE journal (n bigint PRIMARY KEY);
"""
GRANTED = """
GRANT CONNECT ON DATABASE app TO reader;
GRANT USAGE ON SCHEMA books TO reader;
GRANT SELECT ON books.pages TO reader;
"""
FACTS = {
    "items": "SELECT count(*), md5(string_agg(v, '' ORDER BY n)) FROM items",
    "pages": "SELECT count(*), md5(string_agg(v, '' ORDER BY n)) FROM books.pages",
    "large objects": "SELECT count(*), md5(string_agg(md5(lo_get(oid)), '' ORDER BY oid))"
    " FROM pg_largeobject_metadata",
    "owners": "SELECT tablename::text, tableowner::text FROM pg_tables"
    " WHERE schemaname IN ('public', 'books') ORDER BY 1",
    "grants": "SELECT rolname::text, rolcanlogin, has_table_privilege(oid, 'books.pages', 'SELECT')"
    " FROM pg_roles WHERE rolname = 'reader'",
}


def facts(db: Db) -> dict[str, Any]:
    with db.connect() as connection:
        return {name: connection.execute(each.encode()).fetchall() for name, each in FACTS.items()}


def as_superuser(db: Db, statement: str) -> None:
    db.run_in("psql", "-U", "postgres", "-d", "app", "-v", "ON_ERROR_STOP=1", "-c", statement)


@dataclass(frozen=True)
class Write:
    """A row of journal that was acknowledged, by whom (its start time), in which of the client's
    sessions, and when."""

    n: int
    server: datetime
    session: int
    at: datetime


class Client:
    """Writes all the time, and comes back after each end."""

    def __init__(self, db: Db) -> None:
        self._db = db
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._last = 0
        self._session = 0
        self.acknowledged: list[Write] = []

    def __enter__(self) -> Client:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join(30)

    def _run(self) -> None:
        while not self._stop.is_set():
            try:
                with self._db.connect() as connection:
                    self._session += 1
                    self._write(connection)
            except psycopg.OperationalError:
                self._stop.wait(0.1)

    def _write(self, connection: psycopg.Connection[Any]) -> None:
        insert = b"INSERT INTO journal VALUES (%s) RETURNING pg_postmaster_start_time()"
        while not self._stop.wait(0.02):
            self._last += 1  # never twice: the answer to the last one may have been lost
            row = connection.execute(insert, [self._last]).fetchone()
            assert row is not None
            write = Write(self._last, row[0], self._session, datetime.now(UTC))
            self.acknowledged.append(write)

    def by(self, server: datetime) -> list[Write]:
        return [each for each in self.acknowledged if each.server == server]

    def wait_for_another(self, server: datetime) -> None:
        """Until a server has acknowledged something that is not this one."""
        eventually(
            lambda: any(each.server != server for each in list(self.acknowledged)),
            "a write on another server",
            seconds=60,
        )


def journal(db: Db) -> set[int]:
    return {row[0] for row in db.rows("SELECT n FROM journal")}


def claims(db: Db) -> dict[str, str]:
    """The role of each volume of the Database, by its claim."""
    label = f"postbase.sh/database={db.name}"
    listed = db.cluster.listed("persistentvolumeclaims", db.namespace, label)
    return {c["metadata"]["name"]: c["metadata"]["annotations"]["postbase.sh/role"] for c in listed}


def jobs(db: Db) -> list[str]:
    """Those that fill volumes."""
    label = f"postbase.sh/database={db.name},app.kubernetes.io/component=restore"
    return [each["metadata"]["name"] for each in db.cluster.listed("jobs", db.namespace, label)]


@dataclass
class Story:
    """A Database with rows, its backup, and what was so before and after the mistake."""

    db: Db
    taken: Run
    before: dict[str, Any]
    started: datetime
    client: Client | None = None
    restored: datetime | None = None


@pytest.fixture(scope="module")
def story(db: Db, cluster: Cluster) -> Iterator[Story]:
    as_superuser(db, f"CREATE ROLE reader LOGIN PASSWORD '{READER_PASSWORD}'")
    with db.connect() as connection:
        connection.execute(MADE.encode())
        connection.execute(GRANTED.encode())
    before = facts(db)
    taken = backup(db, "before-the-mistake").apply()
    taken.wait()
    yield Story(db, taken, before, db.started_at())
    Bucket(cluster).clear(f"v1/{db.live()['metadata']['uid']}/")


# -- what only plans, or is refused ------------------------------------------------------------


def test_a_dry_run_plans_and_touches_nothing(story: Story) -> None:
    db, held = story.db, claims(story.db)
    planned = restore(db, "only-plans", of(story.taken), dryRun=True).apply()
    status = planned.wait("Completed", seconds=60)
    assert planned.ready()["reason"] == "Planned"
    assert status["plan"]["bytes"] == story.taken.status()["sizeBytes"]
    assert status["plan"]["backupID"] == story.taken.status()["id"]
    assert any("previous volume" in each for each in status["plan"]["warnings"])
    assert (claims(db), jobs(db), db.started_at()) == (held, [], story.started)


def test_one_that_is_deleted_in_the_middle_leaves_nothing(story: Story) -> None:
    db, held = story.db, claims(story.db)
    asked = restore(db, "given-up", of(story.taken)).apply()
    eventually(lambda: "filling" in claims(db).values(), "a volume", seconds=30, every=0.05)
    asked.delete()
    eventually(lambda: (claims(db), jobs(db)) == (held, []), "nothing is left", seconds=60)
    assert db.started_at() == story.started


def test_a_flipped_bit_in_the_bucket_is_found_before_the_database_is_touched(
    story: Story, cluster: Cluster
) -> None:
    db, held = story.db, claims(story.db)
    damaged = backup(db, "damaged").apply()
    stored = Stored(Bucket(cluster), damaged.wait()["objectKey"])
    stored.flip("pieces/")
    asked = restore(db, "of-damaged", of(damaged)).apply()
    asked.wait("Failed", seconds=60)
    said = asked.ready()
    assert said["reason"] == "ChecksumMismatch"
    assert "The Database was not touched" in said["message"]
    eventually(lambda: (claims(db), jobs(db)) == (held, []), "nothing is left", seconds=60)
    assert (facts(db), db.started_at()) == (story.before, story.started)


# -- in place, and back ------------------------------------------------------------------------


def test_in_place_it_is_as_in_the_backup_after_one_restart(story: Story) -> None:
    db = story.db
    login = db.secret()
    db.annotate("postbase.sh/request-rotate", "after the backup")
    eventually(lambda: db.secret()["user"] != login["user"], "another login", seconds=30)
    eventually(db.answers, "it may come in", seconds=30)
    with Client(db) as client:
        story.client = client
        eventually(lambda: len(client.acknowledged) > 5, "the client writes", seconds=20)
        db.rows("DROP TABLE items")
        asked = restore(db, "undo-the-mistake", of(story.taken)).apply()
        status = asked.wait()
        client.wait_for_another(story.started)
    story.restored = db.started_at()
    assert facts(db) == story.before
    assert 7 < db.value("SELECT nextval('tickets')") <= 40
    check_client(client, asked, story)
    assert db.secret()["user"] != login["user"]  # and with it all of the above came in
    assert status["previousVolume"]["claimName"] == db.claim
    kept = datetime.fromisoformat(status["previousVolume"]["keptUntil"]) - datetime.now(UTC)
    assert timedelta(hours=23, minutes=50) < kept <= timedelta(hours=24)
    assert sorted(claims(db).values()) == ["current", "previous"]
    eventually(lambda: jobs(db) == [], "its Job is gone", seconds=60)
    db.wait_ready()


def check_client(client: Client, asked: Run, story: Story) -> None:
    """One server until the switch, and one after it; the first served through the whole fill."""
    assert {each.server for each in client.acknowledged} == {story.started, story.restored}
    began = datetime.fromisoformat(asked.status()["startedAt"])
    former, later = client.by(story.started), client.by(_known(story.restored))
    assert {each.session for each in former} == {former[0].session}, "it was broken off before"
    served, away = former[-1].at - began, later[0].at - former[-1].at
    print(f"served for {served} of the restore; away for {away}")
    assert served > timedelta(seconds=0.5)  # a fill of some seconds
    assert {each.n for each in later} <= journal(story.db)
    assert not {each.n for each in former} & journal(story.db)
    assert story.db.logs().count("starting PostgreSQL") == 1


def _known(moment: datetime | None) -> datetime:
    assert moment is not None, "the restore before this test has failed"
    return moment


def test_it_is_undone_with_every_write_until_the_switch(story: Story) -> None:
    db, client = story.db, story.client
    assert client is not None
    restored = _known(story.restored)
    restore(db, "undo-the-restore", PREVIOUS).apply().wait()
    db.wait_answers()
    assert db.value("SELECT to_regclass('items') IS NULL")  # the mistake is back
    assert {each.n for each in client.by(story.started)} <= journal(db)
    assert not {each.n for each in client.by(restored)} & journal(db)


def test_the_undo_is_undone(story: Story) -> None:
    db, client = story.db, story.client
    assert client is not None
    restore(db, "undo-the-undo", PREVIOUS).apply().wait()
    db.wait_answers()
    assert facts(db) == story.before
    assert {each.n for each in client.by(_known(story.restored))} <= journal(db)
    assert sorted(claims(db).values()) == ["current", "previous"]


def test_one_that_was_done_and_comes_back_does_nothing(story: Story) -> None:
    """As a cluster that is built again from Git brings it back."""
    db = story.db
    started, held = db.started_at(), claims(db)
    done = restore(db, "undo-the-mistake", of(story.taken))
    done.wait_remembered()
    done.delete()
    status = done.apply().wait("Completed", seconds=60)
    assert done.ready()["reason"] == "DoneBefore"
    assert "plan" not in status
    assert (claims(db), jobs(db), db.started_at()) == (held, [], started)


# -- a new Database ----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def made(story: Story, new_db: NewDb) -> dict[str, Db]:
    """Both ways to one, side by side."""
    twin, copy = new_db("twin"), new_db("copy")
    target: Body = {"newDatabase": {"name": twin.name}}
    asked = restore(story.db, "a-twin", of(story.taken), target).apply()
    copy.apply(bootstrap={"backupRef": {"name": story.taken.name}})
    asked.wait()
    assert asked.status()["databaseRef"]["name"] == twin.name
    copy.wait_ready()
    return {"by PitrRestore": twin, "by bootstrap": copy}


@pytest.mark.parametrize("way", ["by PitrRestore", "by bootstrap"])
def test_into_a_new_database_with_rows_roles_and_a_password_of_its_own(
    story: Story, made: dict[str, Db], way: str
) -> None:
    db, source = made[way], story.db
    assert facts(db) == story.before
    assert db.secret()["password"] != source.secret()["password"]
    for login in (source.secret(), {**source.secret(), "user": "app_a"}):
        with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
            db.connect(user=login["user"], password=login["password"])
    with db.connect(user="reader", password=READER_PASSWORD) as reader:
        assert reader.execute("SELECT count(*) FROM books.pages").fetchone() == (2000,)
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            reader.execute("SELECT count(*) FROM items")
    db.fill("of its own")
    assert journal(db) == set()
    assert list(claims(db).values()) == ["current"]


def test_the_source_of_new_databases_is_as_it_was(story: Story, made: dict[str, Db]) -> None:
    source = story.db
    system = {db.live()["status"]["systemId"] for db in (source, *made.values())}
    assert len(system) == 1  # copies they are, each with an archive of its own
    assert facts(source) == story.before
    assert sorted(claims(source).values()) == ["current", "previous"]
    source.wait_ready()
