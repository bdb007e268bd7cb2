"""A volume that fills: told before, named when it has stopped PostgreSQL, healed by growing it.

Log and data share one volume: full, PostgreSQL can write no log, and stops for good.
"""

from __future__ import annotations

from contextlib import suppress

import psycopg
import pytest

from e2e.cluster import Body, eventually
from e2e.conftest import NewDb
from e2e.database import Db

pytestmark = pytest.mark.timeout(900)

MIB = 2**20
TOLD_WITHIN = 130
"""Seconds: a minute until it is measured again, the next look, and some to spare."""
MAKE = (
    "CREATE TABLE load (number int PRIMARY KEY, bytes text)",
    "ALTER TABLE load ALTER COLUMN bytes SET STORAGE EXTERNAL",  # takes what is written
)
WRITE = "INSERT INTO load SELECT n, repeat('x', 1048576) FROM generate_series(%s::int, %s::int) n"
LOG = "SELECT count(pg_logical_emit_message(true, 'fill', repeat('x', 1048576))) FROM notes"
"""Takes room in the log and nowhere else."""
LOG_MEBIBYTES = 200


@pytest.fixture(scope="module")
def filled(new_db: NewDb) -> Db:
    """More than 80 % of 1 GiB are in use; at the first mebibyte more it is not full yet."""
    db = new_db("filled")
    db.apply(storage={"size": "1Gi"})
    db.wait_ready()
    db.fill("before it was full")
    with db.connect() as connection:
        for statement in MAKE:
            connection.execute(statement.encode())
        for number in range(0, 640, 32):
            connection.execute(WRITE, [number, number + 31])
            if number >= 448 and number % 64 == 0:  # the log must not outgrow its share
                db.run_in("psql", "--no-psqlrc", "-c", "CHECKPOINT")
    return db


def write_rows(db: Db) -> int:
    """Until there is no room for data, or no server; answers how many rows are acknowledged in all.

    One more may be there: its acknowledgement was on the way when the server ended.
    """
    acknowledged = int(db.value("SELECT count(*) FROM load"))
    with suppress(psycopg.OperationalError), db.connect() as connection:
        while True:
            connection.execute(WRITE, [acknowledged, acknowledged])
            acknowledged += 1
    return acknowledged


def write_log(db: Db) -> None:
    """Until there is no room for it either, or for long enough that there still must be some."""
    with suppress(psycopg.OperationalError), db.connect() as connection:
        for _ in range(LOG_MEBIBYTES):
            connection.execute(LOG)


def stalled(db: Db, acknowledged: list[int]) -> dict[str, Body] | None:
    """Its conditions as they were told together, once it has ended for want of room.

    PostgreSQL may come back from that with log that it can do without: then there is room again.
    """
    with suppress(psycopg.OperationalError):  # it does not answer
        acknowledged.append(write_rows(db))
        write_log(db)
    told = {each["type"]: each for each in db.live()["status"]["conditions"]}
    return told if "Stalled" in told and not db.answers() else None


def size(db: Db) -> int:
    """Of the volume in KiB, as df in the pod has it."""
    return int(db.run_in("df", "-kP", "/postbase/data").splitlines()[-1].split()[1])


def warnings(db: Db, reason: str) -> list[str]:
    return [
        event["message"]
        for event in db.cluster.listed("events", db.namespace)
        if event["type"] == "Warning" and event["reason"] == reason
    ]


def test_a_volume_that_fills_is_told_while_it_serves(filled: Db) -> None:
    db = filled
    told = db.wait_for("VolumeNearlyFull", "True", seconds=TOLD_WITHIN)
    for word in ("80 %", "1Gi", "spec.storage.size"):
        assert word in told["message"]
    eventually(lambda: warnings(db, "VolumeNearlyFull"), "an event of it", seconds=60)
    db.wait_ready(seconds=30)
    assert db.notes() == ["before it was full"]


def test_a_full_volume_is_named_and_growing_it_heals(filled: Db) -> None:
    db = filled
    before, acknowledged = size(db), [write_rows(db)]
    told = eventually(lambda: stalled(db, acknowledged), "it is told", seconds=240)
    assert acknowledged == sorted(acknowledged)  # none is lost on the way
    assert told["Stalled"]["reason"] == "VolumeFull"
    assert "spec.storage.size" in told["Stalled"]["message"]
    assert "No space left on device" in told["Stalled"]["message"]
    assert (told["Ready"]["status"], told["Ready"]["reason"]) == ("False", "VolumeFull")

    db.patch(storage={"size": "2Gi"})
    db.wait_ready(seconds=120)
    db.wait_answers()
    assert db.condition("Stalled") is None
    assert size(db) > 1.8 * before
    assert db.value("SELECT count(DISTINCT number) FROM load") - acknowledged[-1] in (0, 1)
    assert db.value("SELECT min(length(bytes)) FROM load") == MIB
    assert db.notes() == ["before it was full"]
    eventually(
        lambda: db.condition("VolumeNearlyFull") is None, "nothing is told", seconds=TOLD_WITHIN
    )
