"""The operators die while a Job of theirs works on a dump: it goes on, and the next ones end it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from e2e.bucket import Bucket, Stored
from e2e.cluster import Cluster, eventually
from e2e.database import Db
from e2e.operators import wait_replicas
from e2e.runs import Run, backup, dump_held, of, restore, wait_dump_held
from e2e.test_operator_killed import kill_operator, wait_operator
from e2e.test_restores_logical import databases, roles
from postbase_operator.archive import copies

pytestmark = pytest.mark.timeout(900)


@pytest.fixture(scope="module")
def dump(db: Db, cluster: Cluster) -> Iterator[Run]:
    """Made while the operators were killed: one run, which completes."""
    db.fill("of the dump")
    run = backup(db, "operators-killed", "Logical")
    with dump_held(db):
        run.apply()
        wait_dump_held(db)
        (job,) = run.jobs()
        kill_operator(cluster)
    wait_operator(cluster)
    status = run.wait(seconds=240)
    assert status["attempts"] == 1
    assert [each["metadata"]["uid"] for each in run.jobs()] == [job["metadata"]["uid"]]
    yield run
    Bucket(cluster).clear(Stored(Bucket(cluster), status["objectKey"]).stem)


def test_killed_during_a_backup_it_is_one_run_that_completes(dump: Run) -> None:
    dump.wait_remembered()


def test_killed_while_a_dump_is_restored_and_while_names_change(db: Db, dump: Run) -> None:
    wait_replicas(db.cluster)
    started = db.started_at()
    db.fill("after the dump")
    asked = restore(db, "killed", of(dump)).apply()
    whole, scratch = copies.restored(asked.uid), copies.restoring(asked.uid)
    eventually(
        lambda: {scratch, whole} & set(databases(db)) or asked.is_completed(),
        "it is filled",
        seconds=120,
        every=0.05,
    )
    kill_operator(db.cluster)
    eventually(
        lambda: whole in databases(db) or asked.is_completed(),
        "it is whole",
        seconds=120,
        every=0.02,
    )
    kill_operator(db.cluster)
    asked.wait(seconds=240)
    assert db.notes() == ["of the dump"]
    assert {scratch, whole}.isdisjoint(databases(db))
    assert roles(db) == []
    assert db.started_at() == started
