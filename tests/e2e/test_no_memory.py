"""Memory that is not there: for the server's start, and for one session's statement."""

from __future__ import annotations

import psycopg
import pytest

from e2e.cluster import eventually
from e2e.conftest import NewDb
from e2e.database import Db

pytestmark = pytest.mark.timeout(900)

LIMIT = "256Mi"
BEYOND = {"max_locks_per_transaction": "100000"}
"""Ten million locks: gigabytes that PostgreSQL takes at its start and that admission cannot count,
as it does shared_buffers."""
EATS = "SELECT length(string_agg(repeat('x', 1048576), '')) FROM generate_series(1, 900)"


@pytest.fixture(scope="module")
def small(new_db: NewDb) -> Db:
    db = new_db("small")
    db.apply(resources={"cpu": "500m", "memory": LIMIT})
    db.wait_ready()
    return db


def test_a_statement_that_eats_the_memory_costs_a_recovery_and_no_row(small: Db) -> None:
    db = small
    db.fill("before the memory was gone")
    with db.connect() as connection, pytest.raises(psycopg.OperationalError):
        connection.execute(EATS)
    db.wait_logged("was not properly shut down")  # before that it may answer once more, and end
    db.wait_answers(seconds=60)
    db.wait_ready(seconds=60)
    assert db.notes() == ["before the memory was gone"]


def test_sizes_that_only_the_start_finds_out_are_told_and_smaller_ones_heal(small: Db) -> None:
    db = small
    db.fill("before the sizes")
    db.patch(parameters=BEYOND)
    db.wait_for("RestartPending", "True", "ParametersChanged", seconds=30)
    db.annotate("postbase.sh/request-restart", "with more locks")

    def told() -> str:
        ready = db.condition("Ready")
        if ready is None or ready["reason"] not in ("OutOfMemory", "PostgresFailed"):
            return ""
        return str(ready["message"])

    said = eventually(told, "a condition that says what is missing", seconds=120)
    print(said)
    assert "memory" in said
    db.patch(parameters={"max_locks_per_transaction": "100"})
    db.wait_ready(seconds=60)
    db.wait_answers()
    assert db.value("SHOW max_locks_per_transaction") == "100"
    assert "before the sizes" in db.notes()
