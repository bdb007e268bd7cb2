"""Any second can be restored: in place with an undo, without loss, or into a new Database.

A client writes all the time. What must be there, and what may not, is judged by the commit times
that PostgreSQL notes; a target may fall between any two of its rows.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest

from e2e.bucket import Bucket
from e2e.cluster import Cluster, eventually
from e2e.conftest import NewDb
from e2e.database import Db
from e2e.runs import PREVIOUS, restore
from e2e.test_restores import claims

pytestmark = pytest.mark.timeout(900)

PITR: dict[str, Any] = {
    "pitr": {"enabled": True, "retentionDays": 1},
    "parameters": {"track_commit_timestamp": "on"},
}


@dataclass
class Client:
    """Writes numbered rows, and knows which were acknowledged by which server, and when."""

    db: Db
    acknowledged: dict[int, datetime] = field(default_factory=dict)
    sent: dict[int, datetime] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._next = 0

    def __enter__(self) -> Client:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join(30)

    def _run(self) -> None:
        while not self._stop.is_set():
            try:
                with self.db.connect() as connection:
                    self._write(connection)
            except psycopg.OperationalError:
                self._stop.wait(0.1)

    def _write(self, connection: psycopg.Connection[Any]) -> None:
        while not self._stop.wait(0.03):
            self._next += 1  # never twice: the answer to the last one may have been lost
            self.sent[self._next] = datetime.now(UTC)
            connection.execute(b"INSERT INTO journal VALUES (%s)", [self._next])
            self.acknowledged[self._next] = datetime.now(UTC)

    def grows(self, rows: int = 10) -> None:
        wanted = len(self.acknowledged) + rows
        eventually(lambda: len(self.acknowledged) >= wanted, "the client writes", seconds=60)


def journal(db: Db) -> dict[int, datetime]:
    """The rows, by when PostgreSQL says that they were committed."""
    return dict(db.rows("SELECT n, pg_xact_commit_timestamp(xmin) FROM journal"))


def window(db: Db) -> dict[str, Any]:
    pitr = db.live()["status"].get("pitr") or {}
    found: dict[str, Any] = pitr.get("recoveryWindow") or {}
    return found


@pytest.fixture(scope="module")
def db(new_db: NewDb, cluster: Cluster) -> Iterator[Db]:
    made = new_db("main")
    made.apply(**PITR)
    made.wait_ready()
    made.rows("CREATE TABLE journal (n bigint PRIMARY KEY)")
    made.wait_for("Archiving", "True", seconds=120)
    eventually(lambda: window(made).get("from"), "there is a recovery window", seconds=240)
    uid = made.live()["metadata"]["uid"]
    yield made
    Bucket(cluster).clear(f"v1/{uid}/")


@dataclass
class Mistake:
    """A second of which the rows are known, and all that was committed before and after it."""

    at: datetime
    rows: dict[int, datetime]
    deleted: datetime
    """A moment after it, and before it was undone."""
    restored: datetime | None = None
    """A moment of the branch that the restore began and the undo left."""


@pytest.fixture(scope="module")
def mistake(db: Db) -> Mistake:
    with Client(db) as client:
        client.grows(40)
        moment = db.value("SELECT clock_timestamp()")
        client.grows(40)
    rows = journal(db)
    db.rows("DELETE FROM journal WHERE n < 20")
    return Mistake(moment, rows, db.value("SELECT clock_timestamp()"))


def by(mistake: Mistake) -> set[int]:
    return {n for n, committed in mistake.rows.items() if committed <= mistake.at}


def zulu(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")


@pytest.mark.parametrize(
    ("moment", "reason"),
    [(timedelta(days=-1), "TargetBeforeWindow"), (timedelta(hours=1), "TargetAfterWindow")],
)
def test_what_lies_outside_is_refused_with_the_window_in_the_message(
    db: Db, moment: timedelta, reason: str
) -> None:
    started = db.started_at()
    target = zulu(datetime.now(UTC) + moment)
    asked = restore(db, f"outside-{moment.days}", {"targetTime": target}).apply()
    asked.wait("Failed", seconds=60)
    assert asked.ready()["reason"] == reason
    assert "what can be restored is 20" in asked.ready()["message"]
    assert db.started_at() == started
    assert list(claims(db).values()) == ["current"]


def test_a_dry_run_tells_what_it_would_give(db: Db, mistake: Mistake) -> None:
    asked = restore(db, "only-plans", {"targetTime": zulu(mistake.at)}, dryRun=True).apply()
    plan = asked.wait(seconds=90)["plan"]
    last = max(mistake.rows[n] for n in by(mistake))
    assert datetime.fromisoformat(plan["lastCommitTime"]) == last
    assert plan["walFiles"] >= 1
    assert plan["estimatedSeconds"] > 0


def test_to_the_second_before_the_mistake_and_back(db: Db, mistake: Mistake) -> None:
    asked = restore(db, "undo-the-delete", {"targetTime": zulu(mistake.at)}).apply()
    status = asked.wait(seconds=240)
    db.wait_answers()
    assert set(journal(db)) == by(mistake)
    assert datetime.fromisoformat(status["recoveredTo"]) <= mistake.at
    assert status["walFilesApplied"] >= 1
    db.rows("INSERT INTO journal VALUES (1000000)")
    mistake.restored = db.value("SELECT clock_timestamp()")
    restore(db, "undo-the-restore", PREVIOUS).apply().wait()
    db.wait_answers()
    assert set(journal(db)) == {n for n in mistake.rows if n >= 20}


def test_each_branch_can_be_had_to_a_second(db: Db, mistake: Mistake, new_db: NewDb) -> None:
    """Planned at once after the undo, when its branch has nothing new: the other looks newer."""
    assert mistake.restored is not None
    present, other = zulu(mistake.deleted), zulu(mistake.restored)
    plan = (
        restore(db, "of-the-present", {"targetTime": present}, dryRun=True).apply().wait()["plan"]
    )
    assert plan["timelines"] == [1]
    plan = restore(db, "of-then", {"targetTime": other}, dryRun=True).apply().wait()["plan"]
    assert plan["timelines"] == [1]
    assert any("source.timeline: 2" in each for each in plan["warnings"])
    twin = new_db("other")
    source, target = {"targetTime": other, "timeline": 2}, {"newDatabase": {"name": twin.name}}
    status = restore(db, "the-other", source, target).apply().wait(seconds=240)
    assert status["plan"]["timelines"] == [1, 2]
    assert set(journal(twin)) == {*by(mistake), 1000000}


def test_latest_in_place_loses_nothing(db: Db) -> None:
    """The client writes through all of it."""
    before, claim = set(journal(db)), db.live()["status"]["volume"]["claimName"]
    client = Client(db)
    client._next = 2_000_000
    with client:
        client.grows(20)
        asked = restore(db, "latest", {"latest": {}}).apply()
        asked.wait(seconds=300)
        client.grows(10)
    assert db.live()["status"]["volume"]["claimName"] != claim
    there = set(journal(db))
    assert before <= there
    assert set(client.acknowledged) <= there


def test_into_new_databases_from_one_that_is_gone(db: Db, mistake: Mistake, new_db: NewDb) -> None:
    there, uid = set(journal(db)), db.live()["metadata"]["uid"]
    twin = new_db("twin")
    asked = restore(
        db, "a-twin", {"targetTime": zulu(mistake.at)}, {"newDatabase": {"name": twin.name}}
    ).apply()
    asked.wait(seconds=240)
    assert set(journal(twin)) == by(mistake)
    db.cluster.delete("database", db.namespace, db.name)
    again = new_db("again")
    again.apply(bootstrap={"restore": {"from": {"databaseUID": uid}, "latest": {}}})
    again.wait_ready(seconds=240)
    assert {row[0] for row in again.rows("SELECT n FROM journal")} == there
