"""Fifty edits in a second are looked at together, and the last one wins.

Counted at the server, and by its clock: a reconcile of a running Database opens one session as
postbase_admin, and this Database's PostgreSQL logs each. So neither other Databases nor other
replicas count, nor what kubectl needs for its edits.
"""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from e2e.cluster import eventually
from e2e.conftest import NewDb
from e2e.database import Db

pytestmark = pytest.mark.timeout(900)

EDITS = 50
ALLOWED = 3
"""In any second: each run is over before the next begins, and half a second lies between the
beginnings of two."""
SECOND = timedelta(seconds=1)
AT_REST = 5
SPEC: dict[str, Any] = {"parameters": {"log_connections": "on"}, "backup": {"suspend": True}}
"""A backup by schedule would be looked after, and so counted."""
SESSION = "connection authorized: user=postbase_admin"


@pytest.fixture(scope="module")
def db(new_db: NewDb) -> Db:
    made = new_db("edited")
    made.apply(**SPEC)
    made.wait_ready()
    return made


def reconciles(db: Db) -> list[datetime]:
    """When each was, as the server says."""
    said = [line.partition(" UTC ")[0] for line in db.logs().splitlines() if SESSION in line]
    return [datetime.fromisoformat(each).replace(tzinfo=UTC) for each in said]


def rests(db: Db) -> list[datetime]:
    """Waits until nobody has looked at it for some seconds; answers when it was by then."""
    seen, since = reconciles(db), time.monotonic()

    def unchanged() -> bool:
        nonlocal seen, since
        now = reconciles(db)
        if now != seen:
            seen, since = now, time.monotonic()
        return time.monotonic() - since > AT_REST

    eventually(unchanged, "it rests", seconds=60, every=0.5)
    return seen


def edit(db: Db, *cpus: int) -> None:
    """By one kubectl, in this order."""
    bodies = [
        db.manifest(**SPEC, resources={"cpu": f"{cpu}m"}, storage={"size": "1Gi"}) for cpu in cpus
    ]
    listed = json.dumps({"apiVersion": "v1", "kind": "List", "items": bodies})
    # On the server's side: one request each, so that fifty take a second and not three.
    words = ("apply", "--server-side", "--force-conflicts", "--filename=-")
    db.cluster.kubectl(*words, stdin=listed)


def wait_for(db: Db, cpu: int) -> None:
    """Until the StatefulSet has it. Nothing of this reaches the running server."""

    def limit() -> bool:
        template = db.cluster.get("statefulset", db.namespace, f"{db.name}-1")["spec"]["template"]
        return bool(template["spec"]["containers"][0]["resources"]["limits"]["cpu"] == f"{cpu}m")

    eventually(limit, f"cpu is {cpu}m", seconds=60)


def test_fifty_edits_in_a_second_are_three_reconciles_at_most(db: Db) -> None:
    """Each second has its three, however many kubectl needs.

    What comes after the last edit hangs on what children tell of themselves, and on how much of it
    comes together: about as much as after a single edit, whereas a queue of the edits would be
    worked off then.
    """
    before = len(rests(db))
    edit(db, 501)
    wait_for(db, 501)
    after_one = len(rests(db))
    last = 600 + EDITS
    edit(db, *range(last - EDITS + 1, last + 1))
    edited = datetime.now(UTC)
    wait_for(db, last)
    one, many = after_one - before, rests(db)[after_one:]
    seconds = [[at for at in many if began <= at < began + SECOND] for began in many]
    later = [at for at in many if at > edited]
    print(f"{EDITS} edits: {len(many)} reconciles, {len(later)} of them later; one edit: {one}")
    assert one >= 1
    assert max(map(len, seconds)) <= ALLOWED, many
    assert len(later) <= 2 * one + ALLOWED, (edited, many)
    live = db.live()
    assert live["status"]["observedGeneration"] == live["metadata"]["generation"] >= EDITS
