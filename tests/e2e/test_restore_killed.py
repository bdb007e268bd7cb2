"""The operators die in each step of a restore in place, and the next ones end what was begun.

What a step has done is on the volumes' own marks: nothing is filled twice, nothing is switched
twice, and PostgreSQL is restarted once.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from e2e.bucket import Bucket
from e2e.cluster import Cluster, eventually
from e2e.conftest import NewDb
from e2e.database import Db
from e2e.operators import wait_replicas
from e2e.runs import PREVIOUS, Run, backup, of, restore
from e2e.test_operator_killed import kill_operator
from e2e.test_restores import claims, jobs

pytestmark = pytest.mark.timeout(900)


@pytest.fixture(scope="module")
def taken(db: Db, cluster: Cluster) -> Iterator[Run]:
    db.fill("of the backup")
    run = backup(db, "before").apply()
    run.wait()
    yield run
    Bucket(cluster).clear(f"v1/{db.live()['metadata']['uid']}/")


def is_switching(db: Db) -> bool:
    """The marks have changed places, or do so at this very moment."""
    roles = sorted(claims(db).values())
    return roles in (["current", "previous"], ["current", "current"])


def test_killed_while_it_fills_and_while_it_switches(db: Db, taken: Run) -> None:
    wait_replicas(db.cluster)
    db.fill("after the backup")
    started = db.started_at()
    asked = restore(db, "killed", of(taken)).apply()
    eventually(lambda: jobs(db) or asked.is_completed(), "it fills", seconds=90, every=0.05)
    kill_operator(db.cluster)
    served = not db.is_restarted(started) and db.answers()
    assert served or "filling" not in claims(db).values()
    eventually(lambda: is_switching(db), "it switches", seconds=90, every=0.05)
    kill_operator(db.cluster)
    asked.wait(seconds=240)
    db.wait_answers()
    assert db.notes() == ["of the backup"]
    assert sorted(claims(db).items()) == [("main-1-1", "previous"), ("main-1-2", "current")]
    eventually(lambda: jobs(db) == [], "its Job is gone", seconds=90)
    assert db.started_at() != started
    assert db.logs().count("starting PostgreSQL") == 1
    db.wait_ready()


def test_killed_while_it_is_undone(db: Db, taken: Run) -> None:
    wait_replicas(db.cluster)
    asked = restore(db, "killed-undo", PREVIOUS).apply()
    eventually(lambda: claims(db)["main-1-1"] == "current", "it switches", seconds=90, every=0.05)
    kill_operator(db.cluster)
    asked.wait(seconds=240)
    db.wait_answers()
    assert db.notes() == ["after the backup", "of the backup"]
    assert sorted(claims(db).items()) == [("main-1-1", "current"), ("main-1-2", "previous")]
    db.wait_ready()


def test_killed_while_a_new_database_is_filled(new_db: NewDb, taken: Run) -> None:
    wait_replicas(taken.db.cluster)
    copy = new_db("copy")
    copy.apply(bootstrap={"backupRef": {"name": taken.name}})
    eventually(lambda: jobs(copy) or copy.is_ready(), "it fills", seconds=90, every=0.05)
    kill_operator(copy.cluster)
    copy.wait_ready(seconds=240)
    assert copy.notes() == ["of the backup"]
    assert claims(copy) == {"copy-1-1": "current"}
    eventually(lambda: jobs(copy) == [], "its Job is gone", seconds=90)
