"""The operator dies at any moment of a Database's making, and the next one ends what it began.

Each step is idempotent and each run plans anew from what it finds: there is exactly one of each
child afterwards, one password, and no volume that was begun twice.
"""

from __future__ import annotations

import random

import pytest

from e2e.children import names_of
from e2e.cluster import OPERATOR, OPERATOR_NAMESPACE, Cluster, eventually
from e2e.conftest import NewDb
from e2e.database import Db

pytestmark = pytest.mark.timeout(900)

SEED = 20261123
MOMENTS = ("at once", "with its claim", "with its pod", "at random", "at random again")


def kill_operator(cluster: Cluster) -> None:
    """Without a word: no grace, no release of anything."""
    cluster.kubectl(
        "delete",
        "pods",
        f"--namespace={OPERATOR_NAMESPACE}",
        f"--selector={OPERATOR}",
        "--force",
        "--grace-period=0",
    )


def wait_operator(cluster: Cluster) -> None:
    def ready() -> bool:
        pods = cluster.operator_pods()
        return bool(pods) and all(
            condition["status"] == "True"
            for pod in pods
            for condition in pod["status"].get("conditions", [])
            if condition["type"] == "Ready"
        )

    eventually(ready, "the operator is ready", seconds=120)


def wait_moment(db: Db, moment: str, dice: random.Random) -> None:
    """Waits until so many children are there; which ones come in which order is the operator's."""
    kinds = {"with its claim": "pvc", "with its pod": "pod"}
    if moment in kinds:
        name = db.claim if moment == "with its claim" else db.pod
        there = lambda: bool(db.cluster.find(kinds[moment], db.namespace, name))  # noqa: E731
    else:
        count = 0 if moment == "at once" else dice.randint(1, 9)
        there = lambda: len(db.names()) >= count  # noqa: E731
    eventually(there, moment, seconds=90, every=0.05)


def test_it_converges_to_one_of_each_after_kills_at_any_moment(new_db: NewDb) -> None:
    dice = random.Random(SEED)  # noqa: S311 - moments, not secrets
    made = []
    for number, moment in enumerate(MOMENTS):
        db = new_db(f"killed-{number}")
        db.apply(backup={"suspend": True})  # one by schedule would be a child more
        wait_moment(db, moment, dice)
        kill_operator(db.cluster)
        made.append(db)
    wait_operator(made[0].cluster)
    for db in made:
        db.wait_ready(seconds=240)
        db.fill("a row")
        assert db.notes() == ["a row"]
        assert db.names() == names_of(db.name)


def test_a_killed_operator_restarts_no_postgresql(db: Db) -> None:
    db.fill("before the kill")
    started = db.started_at()
    kill_operator(db.cluster)
    assert db.notes() == ["before the kill"]
    wait_operator(db.cluster)
    db.patch(parameters={"work_mem": "6MB"})
    eventually(lambda: db.value("SHOW work_mem") == "6MB", "the new operator works", seconds=90)
    assert db.started_at() == started
    db.wait_ready(seconds=90)
