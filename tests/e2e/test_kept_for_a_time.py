"""A volume that a deleted Database leaves behind for a time, and what becomes of it after that."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from e2e.cluster import Body, eventually
from e2e.conftest import NewDb, volumes_of
from e2e.database import Db

pytestmark = pytest.mark.timeout(900)

UNTIL = "postbase.sh/delete-after"
PAST = "2020-01-01T00:00:00+00:00"
CLEARED_WITHIN = 130
"""Seconds: it is looked for every minute, and the provisioner takes its time."""


@pytest.fixture(scope="module")
def left(new_db: NewDb) -> dict[str, Db]:
    """Two Databases that are gone; their volumes are to be kept for three days."""
    made = {name: new_db(name) for name in ("overdue", "adopted")}
    for db in made.values():
        db.apply(deletionPolicy="Retain", retainVolumeFor="72h")
    for db in made.values():
        db.wait_ready()
        db.fill(f"of {db.name}")
    for db in made.values():
        db.cluster.delete("database", db.namespace, db.name)
    return made


def claim(db: Db) -> Body | None:
    return db.cluster.find("persistentvolumeclaim", db.namespace, db.claim)


def marked_until(db: Db) -> str:
    found = claim(db)
    assert found is not None
    return str((found["metadata"].get("annotations") or {}).get(UNTIL, ""))


def set_until(db: Db, moment: str) -> None:
    patch = {"metadata": {"annotations": {UNTIL: moment}}}
    db.cluster.patch("persistentvolumeclaim", db.namespace, db.claim, patch)


def test_it_is_marked_with_the_moment_from_which_it_may_go(left: dict[str, Db]) -> None:
    for db in left.values():
        until = datetime.fromisoformat(marked_until(db)) - datetime.now(UTC)
        assert timedelta(hours=71, minutes=50) < until <= timedelta(hours=72)


def test_one_that_was_adopted_meanwhile_stays_and_loses_the_mark(
    left: dict[str, Db], new_db: NewDb
) -> None:
    former, heir = left["adopted"], new_db("heir")
    heir.apply(adoptVolume=former.claim)
    heir.wait_ready()
    heir.wait_answers()
    assert heir.notes() == ["of adopted"]
    assert marked_until(former) == ""
    set_until(former, PAST)  # and should somebody put it back
    assert heir.answers()


def test_claim_and_volume_go_when_the_time_is_over(left: dict[str, Db]) -> None:
    gone, stays = left["overdue"], left["adopted"]
    volume = (claim(gone) or {})["spec"]["volumeName"]
    set_until(gone, PAST)
    eventually(
        lambda: volume not in volumes_of(gone.cluster, gone.namespace) and claim(gone) is None,
        "claim and volume are gone",
        seconds=CLEARED_WITHIN,
    )
    left_over = claim(stays)
    assert left_over is not None
    assert "deletionTimestamp" not in left_over["metadata"]
