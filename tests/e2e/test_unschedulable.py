"""A Database that fits on no node says so, waits in silence, and holds up no other."""

from __future__ import annotations

import pytest

from e2e.cluster import eventually, throughout
from e2e.conftest import NewDb
from e2e.database import Db
from e2e.writes import at_rest, written_since

pytestmark = pytest.mark.timeout(900)

QUIET_FOR = 10


@pytest.fixture(scope="module")
def huge(new_db: NewDb) -> Db:
    made = new_db("huge")
    made.apply(resources={"cpu": "64", "memory": "512Gi"})
    return made


def test_it_says_what_is_missing(huge: Db) -> None:
    huge.wait_for("Ready", "False", "Unschedulable", seconds=30)
    # The scheduler's first word may be that it has not heard of the claim yet.
    eventually(lambda: "Insufficient" in huge.message("Ready"), "it says what", seconds=30)
    assert huge.condition("Stalled") is None, "a node may come any time: nobody has to act"


def test_others_become_ready_beside_it_and_nothing_is_written_to_it(
    huge: Db, new_db: NewDb
) -> None:
    small = new_db("small")
    small.apply(backup={"suspend": True})  # one by schedule would be written to meanwhile
    small.wait_ready(seconds=60)
    seen = at_rest(huge.cluster, huge.namespace)
    written = written_since(huge.cluster, huge.namespace, seen)
    throughout(written, "written to while it waits", seconds=QUIET_FOR, every=3)


def test_a_size_that_fits_heals_it(huge: Db) -> None:
    """Its pod was made for the old size, and a StatefulSet that is updated on delete keeps it."""
    waiting = huge.pod_uid()
    huge.patch(resources={"cpu": "500m", "memory": "512Mi"})
    eventually(lambda: huge.pod_uid() not in ("", waiting), "a pod that fits", seconds=30)
    huge.wait_ready(seconds=60)
