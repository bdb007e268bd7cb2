"""Restores out of the archive one after another, of one another, and one whose Database goes."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

import pytest

from e2e.cluster import Cluster, eventually
from e2e.conftest import NewDb
from e2e.runs import restore
from e2e.test_pitr import zulu
from e2e.test_restore_bad_days import SHORT, Past, a_past
from e2e.test_restores import claims, jobs

pytestmark = pytest.mark.timeout(900)


@pytest.fixture(scope="module")
def past(new_db: NewDb, cluster: Cluster) -> Iterator[Past]:
    with a_past(new_db, cluster, 32) as found:
        yield found


def test_two_that_are_asked_for_at_once_take_turns(past: Past) -> None:
    first, second = past.to("one-of-two").apply(), past.to("two-of-two").apply()
    second.wait_for("Queued", seconds=120, every=0.05)
    done = [
        datetime.fromisoformat(each.wait(seconds=240)["completedAt"]) for each in (first, second)
    ]
    assert done[0] < done[1]
    assert datetime.fromisoformat(second.status()["startedAt"]) >= done[0]
    past.db.wait_answers()
    assert past.db.notes() == past.rows
    assert list(claims(past.db).values()).count("current") == 1


def test_a_restore_of_a_restore_and_back_behind_both(past: Past) -> None:
    db = past.db
    db.fill("on another timeline")
    between = db.value("SELECT clock_timestamp()")
    db.fill("after that as well")
    asked = restore(db, "of-a-restore", {"targetTime": zulu(between)}, **SHORT).apply()
    plan = asked.wait(seconds=240)["plan"]
    assert len(plan["timelines"]) > 1
    db.wait_answers()
    assert db.notes() == [*past.rows, "on another timeline"]
    again = past.to("behind-both").apply()
    assert again.wait(seconds=240)["plan"]["timelines"][0] == 1
    db.wait_answers()
    assert db.notes() == past.rows


def test_a_backup_as_it_is_begins_a_branch_that_the_archive_takes(past: Past) -> None:
    """Other restores have taken the numbers that it would begin with by itself."""
    db = past.db
    pitr = db.live()["status"]["pitr"]
    taken, base = {each["timeline"] for each in pitr["branches"]}, pitr["baseBackupRef"]["name"]
    restore(db, "as-it-was", {"backupRef": {"name": base}}, **SHORT).apply().wait(seconds=240)
    before = db.value("SELECT clock_timestamp()")
    db.fill("on a branch of its own")
    target = {"targetTime": zulu(db.value("SELECT clock_timestamp()"))}
    plan = restore(db, "of-that-branch", target, dryRun=True).apply().wait()["plan"]
    assert plan["timelines"][-1] > max(taken)
    assert datetime.fromisoformat(plan["lastCommitTime"]) > before
    db.wait_for("Archiving", "True", seconds=120)


def test_a_database_that_is_deleted_meanwhile_leaves_nothing_half_filled(past: Past) -> None:
    """The last one: what serves is kept, as its deletionPolicy says."""
    db = past.db
    (current,) = [name for name, role in claims(db).items() if role == "current"]
    asked = past.to("too-late").apply()
    eventually(lambda: "filling" in claims(db).values(), "a volume", seconds=120, every=0.05)
    db.cluster.delete("database", db.namespace, db.name)
    eventually(lambda: jobs(db) == [], "its Job is gone", seconds=120)
    eventually(lambda: "filling" not in claims(db).values(), "no half volume", seconds=120)
    assert claims(db)[current] == "current"
    gone = ("DatabaseDeleted", "DatabaseNotFound")
    eventually(lambda: asked.ready().get("reason") in gone, "the restore says so", seconds=60)
