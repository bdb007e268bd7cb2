"""Settings reach the running server: by a reload, never by a restart that nobody asked for."""

from __future__ import annotations

from typing import Any

import pytest

from e2e.cluster import eventually
from e2e.conftest import NewDb
from e2e.database import Db

pytestmark = pytest.mark.timeout(900)

LOADED_WITHIN = 15


def wait_value(db: Db, statement: str, wanted: Any, *, seconds: float = LOADED_WITHIN) -> None:
    eventually(lambda: db.value(statement) == wanted, f"{statement}: {wanted}", seconds=seconds)


def test_a_parameter_is_loaded_without_a_restart(db: Db) -> None:
    started = db.started_at()
    db.patch(parameters={"work_mem": "9MB"})
    wait_value(db, "SHOW work_mem", "9MB")
    db.wait_ready(seconds=30)
    db.patch(parameters={"work_mem": None})
    wait_value(db, "SHOW work_mem", "4MB")
    assert db.started_at() == started


def test_a_parameter_that_needs_a_restart_waits_for_one(db: Db) -> None:
    started, before = db.started_at(), db.value("SHOW shared_buffers")
    db.patch(parameters={"shared_buffers": "48MB"}, restartPolicy="Never")
    pending = db.wait_for("RestartPending", "True", seconds=30)
    assert "shared_buffers" in pending["message"]
    assert db.value("SHOW shared_buffers") == before
    assert db.started_at() == started
    db.wait_ready(seconds=60)
    db.restart_pod()
    assert db.value("SHOW shared_buffers") == "48MB"
    db.wait_ready(seconds=30)
    eventually(
        lambda: db.condition("RestartPending") is None, "nothing is pending", seconds=LOADED_WITHIN
    )


def test_a_refused_value_is_named_and_harms_nothing(db: Db) -> None:
    db.patch(parameters={"work_mem": "7MB", "maintenance_work_mem": "70MB"})
    wait_value(db, "SHOW work_mem", "7MB")
    started = db.started_at()
    db.patch(parameters={"work_mem": "nonsense", "maintenance_work_mem": "71MB"})
    stalled = db.wait_for("Stalled", "True", "ParametersRejected", seconds=30)
    assert "work_mem" in stalled["message"]
    ready = db.condition("Ready")
    assert ready is not None
    assert ready["status"] == "False"
    assert db.value("SHOW work_mem") == "7MB"
    db.patch(parameters={"work_mem": "6MB"})
    wait_value(db, "SHOW work_mem", "6MB")
    wait_value(db, "SHOW maintenance_work_mem", "71MB")
    db.wait_ready(seconds=30)
    assert db.condition("Stalled") is None
    assert db.started_at() == started


def test_a_refused_value_is_named_also_where_it_would_need_a_restart(db: Db) -> None:
    """PostgreSQL's own view of its files says the same of both; only one of them ever works."""
    before = db.value("SHOW max_connections")
    db.patch(parameters={"max_connections": "many", "shared_buffers": None})
    stalled = db.wait_for("Stalled", "True", "ParametersRejected", seconds=30)
    assert "max_connections" in stalled["message"]
    assert db.value("SHOW max_connections") == before
    db.patch(parameters={"max_connections": None})
    db.wait_ready(seconds=30)


def test_a_refused_value_does_not_keep_the_server_down(new_db: NewDb) -> None:
    """A node is drained while a typo waits in the spec: the database must come back."""
    db = new_db("typo")
    db.apply(parameters={"work_mem": "7MB"})
    db.wait_ready()
    db.fill("before the typo")
    db.patch(parameters={"work_mem": "nonsense"})
    db.wait_for("Stalled", "True", "ParametersRejected", seconds=30)
    db.restart_pod()
    assert db.notes() == ["before the typo"]
    assert db.value("SHOW work_mem") == "7MB"
    db.wait_for("Stalled", "True", "ParametersRejected", seconds=30)


def test_a_database_born_with_a_refused_value_says_so_and_is_mended(new_db: NewDb) -> None:
    db = new_db("newborn")
    db.apply(parameters={"work_mem": "nonsense"})
    stalled = db.wait_for("Stalled", "True", seconds=60)
    assert "work_mem" in stalled["message"]
    db.patch(parameters={"work_mem": "5MB"})
    db.wait_ready(seconds=60)
    assert db.value("SHOW work_mem") == "5MB"


def blocks(db: Db) -> int:
    """Size of the volume in 1 KiB blocks, as df in the pod has it."""
    return int(db.run_in("df", "-kP", "/postbase/data").splitlines()[-1].split()[1])


def test_storage_grows_under_the_running_server(db: Db) -> None:
    started, before = db.started_at(), blocks(db)
    assert before < 1.1 * 2**20
    wal = "SELECT setting::int FROM pg_settings WHERE name = 'max_wal_size'"
    wal_before = db.value(wal)
    db.patch(storage={"size": "2Gi"})
    eventually(lambda: blocks(db) > 1.8 * 2**20, "df shows 2 GiB", seconds=60)
    eventually(lambda: db.live()["status"]["volume"]["capacity"] == "2Gi", "the status", seconds=30)
    eventually(lambda: db.value(wal) > wal_before, "more room for WAL", seconds=30)
    db.wait_ready(seconds=30)
    assert db.started_at() == started
