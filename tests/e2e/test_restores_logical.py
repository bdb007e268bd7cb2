"""A logical backup is restored: in place beside what serves, taken back, and into new Databases.

PostgreSQL is not restarted by it; the two databases change names, and sessions end for that moment.
"""

from __future__ import annotations

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
from e2e.test_restores import GRANTED, MADE, READER_PASSWORD, Client, as_superuser, facts, journal
from postbase_operator.archive import copies

pytestmark = pytest.mark.timeout(900)

EXTENSIONS = [{"name": "hstore"}, {"name": "dblink"}]
ONE_MORE = "INSERT INTO items VALUES (0, 'after the backup')"


def databases(db: Db) -> list[str]:
    """Those of the application; asked from another one, as names change in a swap."""
    with db.connect(dbname="postgres") as connection:
        found = connection.execute("SELECT datname FROM pg_database WHERE datname LIKE 'app%'")
        return sorted(row[0] for row in found)


def jobs(db: Db) -> list[Body]:
    """Those that restore dumps."""
    label = f"postbase.sh/database={db.name},app.kubernetes.io/component=load"
    return db.cluster.listed("jobs", db.namespace, label)


def roles(db: Db) -> list[Any]:
    return db.rows("SELECT rolname FROM pg_roles WHERE rolname LIKE 'postbase_restore%'")


@dataclass
class Story:
    """A Database with rows and its dump, and what was so before and after the mistake."""

    db: Db
    taken: Run
    before: dict[str, Any]
    started: datetime
    uids: dict[str, str]


@pytest.fixture(scope="module")
def story(new_db: NewDb, cluster: Cluster) -> Iterator[Story]:
    db = new_db("main")
    db.apply(extensions=EXTENSIONS)
    db.wait_ready()
    as_superuser(db, f"CREATE ROLE reader LOGIN PASSWORD '{READER_PASSWORD}'")
    with db.connect() as connection:
        connection.execute(MADE.encode())
        connection.execute(GRANTED.encode())
        connection.execute(b"CREATE TABLE tags AS SELECT 'a=>1'::hstore AS t")
    before = facts(db)
    taken = backup(db, "dump", "Logical").apply()
    taken.wait()
    yield Story(db, taken, before, db.started_at(), {})
    Bucket(cluster).clear(f"{Stored(Bucket(cluster), taken.status()['objectKey']).stem}")


def test_a_dry_run_says_what_it_would_take(story: Story) -> None:
    db = story.db
    planned = restore(db, "only-plans", of(story.taken), dryRun=True).apply()
    status = planned.wait("Completed", seconds=60)
    assert status["plan"]["bytes"] == story.taken.status()["sizeBytes"]
    assert any("same volume" in each for each in status["plan"]["warnings"])
    assert (databases(db), jobs(db)) == (["app"], [])


def test_a_flipped_bit_is_found_before_anything_is_made(story: Story, cluster: Cluster) -> None:
    db = story.db
    damaged = backup(db, "damaged", "Logical").apply()
    Stored(Bucket(cluster), damaged.wait()["objectKey"]).flip(".dump.gz")
    asked = restore(db, "of-damaged", of(damaged)).apply()
    asked.wait("Failed", seconds=90)
    said = asked.ready()
    assert said["reason"] == "ChecksumMismatch"
    assert "The Database was not touched" in said["message"]
    assert (databases(db), facts(db), roles(db)) == (["app"], story.before, [])


def test_in_place_it_is_as_in_the_dump_without_a_restart(story: Story) -> None:
    db = story.db
    login = db.secret()
    with Client(db) as client:
        eventually(lambda: len(client.acknowledged) > 5, "the client writes", seconds=20)
        db.rows("DROP TABLE items")
        asked = restore(db, "undo-the-mistake", of(story.taken)).apply()
        story.uids["first"] = asked.uid
        status = asked.wait()
        served = len(client.acknowledged)
        eventually(lambda: len(client.acknowledged) > served, "the client is back", seconds=30)
    assert facts(db) == story.before
    assert db.rows("SELECT t->'a' FROM tags") == [("1",)]
    assert (db.started_at(), db.secret()) == (story.started, login)
    kept = status["previousDatabase"]
    assert databases(db) == ["app", kept["name"]]
    assert copies.mark(asked.uid) in kept["name"]
    left = datetime.fromisoformat(kept["keptUntil"]) - datetime.now(UTC)
    assert timedelta(hours=23, minutes=50) < left <= timedelta(hours=24)
    assert roles(db) == []
    began = datetime.fromisoformat(asked.status()["startedAt"])
    pauses = [
        (b.at - a.at).total_seconds()
        for a, b in zip(client.acknowledged, client.acknowledged[1:], strict=False)
    ]
    print(f"served for {client.acknowledged[served - 1].at - began}; away for {max(pauses):.1f} s")
    with db.connect(user="reader", password=READER_PASSWORD) as reader:
        assert reader.execute("SELECT count(*) FROM books.pages").fetchone() == (2000,)
    with pytest.raises(psycopg.OperationalError):
        db.connect(dbname=kept["name"])
    db.wait_ready()


def test_it_is_undone_and_that_is_undone(story: Story) -> None:
    db = story.db
    written = journal(db)
    assert written, "the client came back after the switch"
    restore(db, "undo-the-restore", PREVIOUS).apply().wait()
    assert db.value("SELECT to_regclass('items') IS NULL")  # the mistake is back
    assert journal(db)
    assert not written <= journal(db)
    restore(db, "undo-the-undo", PREVIOUS).apply().wait()
    assert (facts(db), journal(db)) == (story.before, written)
    assert len(databases(db)) == 2
    assert db.started_at() == story.started


def test_one_that_comes_back_does_nothing(story: Story) -> None:
    db, held = story.db, databases(story.db)
    done = restore(db, "undo-the-mistake", of(story.taken))
    done.wait_remembered()
    done.delete()
    done.apply().wait("Completed", seconds=60)
    assert done.ready()["reason"] == "DoneBefore"
    assert databases(db) == held


@pytest.fixture
def endless(story: Story, cluster: Cluster) -> Iterator[Run]:
    """A dump of which no restore comes to its end: an index is not done while there is a role."""
    db = story.db
    slow = "CREATE OR REPLACE FUNCTION endless.slow(int) RETURNS int IMMUTABLE LANGUAGE sql AS"
    held = "SELECT $1 FROM (SELECT count(pg_sleep(60)) FROM pg_roles WHERE rolname = 'hold') AS h"
    for statement in (
        "CREATE SCHEMA endless",
        f"{slow} 'SELECT $1'",
        # Whoever analyzes it by itself would wait as well.
        "CREATE TABLE endless.rows WITH (autovacuum_enabled = off) AS"
        " SELECT generate_series(1, 400) AS n",
        "CREATE INDEX ON endless.rows (endless.slow(n))",
        f"{slow} $${held}$$",
    ):
        db.rows(statement)
    taken = backup(db, "endless", "Logical").apply()
    taken.wait()
    as_superuser(db, "CREATE ROLE hold")
    yield taken
    as_superuser(db, "DROP ROLE hold")
    db.rows("DROP SCHEMA endless CASCADE")
    Bucket(cluster).clear(Stored(Bucket(cluster), taken.status()["objectKey"]).stem)


def test_one_that_is_deleted_in_the_middle_leaves_nothing(story: Story, endless: Run) -> None:
    db, held = story.db, databases(story.db)
    asked = restore(db, "given-up", of(endless)).apply()
    scratch = copies.restoring(asked.uid)
    eventually(lambda: scratch in databases(db), "it is filled", seconds=60)
    asked.delete()
    eventually(lambda: (databases(db), roles(db)) == (held, []), "nothing is left", seconds=90)
    assert facts(db) == story.before


def test_what_was_kept_goes_when_its_time_is_over(story: Story) -> None:
    db = story.db
    restore(db, "kept-for-a-moment", of(story.taken), keepPrevious="2s").apply().wait()
    name = _of(db, "kept-for-a-moment")
    eventually(lambda: name not in databases(db), f"{name} goes", seconds=120)
    assert facts(db) == story.before


def _of(db: Db, name: str) -> str:
    """What the database is called that this restore has replaced."""
    live = db.cluster.get("pitrrestore", db.namespace, name)
    return str(live["status"]["previousDatabase"]["name"])


def test_a_copy_for_which_there_is_no_room_is_refused(new_db: NewDb, cluster: Cluster) -> None:
    db = new_db("small")
    db.apply()
    db.wait_ready()
    try:
        db.rows("CREATE TABLE big (v bytea)")
        db.rows("ALTER TABLE big ALTER v SET STORAGE PLAIN")
        db.rows("INSERT INTO big SELECT decode(repeat(md5(n::text), 240), 'hex')"
                " FROM generate_series(1, 110000) n")  # fmt: skip
        taken = backup(db, "big-dump", "Logical").apply()
        taken.wait()
        asked = restore(db, "too-big", of(taken)).apply()
        asked.wait("Failed", seconds=120)
        assert asked.ready()["reason"] == "VolumeTooSmall"
        assert databases(db) == ["app"]
        assert db.value("SELECT count(*) FROM big") == 110000
    finally:
        db.cluster.delete("database", db.namespace, db.name)


# -- new Databases -------------------------------------------------------------------------------


def test_into_new_databases_also_of_a_newer_version(story: Story, new_db: NewDb) -> None:
    """By PitrRestore of the same version, and by bootstrap of the next but one."""
    twin, newer = new_db("twin"), new_db("newer")
    asked = restore(
        story.db, "a-twin", of(story.taken), {"newDatabase": {"name": twin.name}}
    ).apply()
    newer.apply(
        bootstrap={"backupRef": {"name": story.taken.name}},
        postgresVersion="17",
        extensions=EXTENSIONS,
    )
    asked.wait()
    newer.wait_ready()
    for db in (twin, newer):
        assert facts(db) == story.before
        assert databases(db) == ["app"]
        assert roles(db) == []
        assert db.secret()["password"] != story.db.secret()["password"]
        with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
            db.connect(user="reader", password=READER_PASSWORD)  # passwords are in no backup
        as_superuser(db, f"ALTER ROLE reader PASSWORD '{READER_PASSWORD}'")
        with db.connect(user="reader", password=READER_PASSWORD) as reader:
            assert reader.execute("SELECT count(*) FROM books.pages").fetchone() == (2000,)
    assert newer.live()["status"]["version"].startswith("17.")
    system = {db.live()["status"]["systemId"] for db in (story.db, twin, newer)}
    assert len(system) == 3


def test_an_extension_that_is_not_named_stalls_it_until_it_is(story: Story, new_db: NewDb) -> None:
    db = new_db("unnamed")
    db.apply(bootstrap={"backupRef": {"name": story.taken.name}})
    try:
        db.wait_for("Stalled", "True", "ExtensionNotListed", seconds=90)
        db.patch(extensions=EXTENSIONS)
        db.wait_ready(seconds=150)
        assert facts(db) == story.before
    finally:
        db.cluster.delete("database", db.namespace, db.name)
