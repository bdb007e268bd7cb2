"""Continuous archiving on a real node: on and off under a running server, and what it tells."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from e2e.bucket import Bucket
from e2e.cluster import Body, eventually
from e2e.database import Db

pytestmark = pytest.mark.timeout(900)
SIDECAR = "wal-receiver"


@pytest.fixture(scope="module")
def archived(db: Db) -> Db:
    """With PITR switched on under it, streaming, and with a window."""
    db.fill("before")
    started = db.started_at()
    db.patch(pitr={"enabled": True, "retentionDays": 7})
    db.wait_for("Archiving", "True", "Streaming", seconds=60)
    eventually(lambda: pitr(db).get("recoveryWindow"), "there is a window", seconds=180)
    assert db.started_at() == started, "PostgreSQL was restarted"
    return db


def pitr(db: Db) -> Body:
    told: Body = db.live().get("status", {}).get("pitr", {})
    return told


def streaming(db: Db) -> Body | None:
    """What it tells while it does: a machine that stands still makes it `Lagging` for a moment."""
    told = pitr(db)
    runs = told.get("receiver", {}).get("state") == "Running"
    return told if runs and told.get("archiving") == "Streaming" else None


def moment(text: str) -> datetime:
    return datetime.fromisoformat(text)


def slots(db: Db) -> list[str]:
    """As the superuser inside the pod sees them."""
    words = ("psql", "--no-psqlrc", "-Atc", "SELECT slot_name FROM pg_replication_slots")
    return db.run_in(*words).split()


def test_switched_on_it_streams_and_the_status_says_what_can_be_restored(archived: Db) -> None:
    told = eventually(lambda: streaming(archived), "it streams", seconds=60)
    window = told["recoveryWindow"]
    assert moment(window["from"]) <= moment(window["to"]) <= datetime.now(UTC)
    backup = archived.cluster.get("backup", archived.namespace, told["baseBackupRef"]["name"])
    assert backup["metadata"]["labels"]["postbase.sh/origin"] == "pitr"
    assert backup["status"]["completedAt"] == window["from"]
    eventually(lambda: archived.condition("Degraded") is None, "it is not degraded", seconds=30)
    assert slots(archived) == ["postbase_walrx"]
    columns = archived.cluster.kubectl(
        "get", "pbdb", archived.name, f"--namespace={archived.namespace}", "-o", "wide"
    )
    for word in ("ARCHIVING", "Streaming", "FROM", "RESTORABLE-TO"):
        assert word in columns


def test_rows_reach_the_bucket(archived: Db) -> None:
    bucket = Bucket(archived.cluster)
    prefix = archived.live()["status"]["archive"]["prefix"] + "wal/"
    before = bucket.sizes(prefix)
    archived.fill(*(f"row {number}" for number in range(20)))
    eventually(lambda: set(bucket.sizes(prefix)) - set(before), "new objects", seconds=30)


def test_other_settings_of_it_restart_and_reload_nothing(archived: Db) -> None:
    started = archived.started_at()
    loaded = archived.value("SELECT pg_conf_load_time()")
    archived.patch(pitr={"enabled": True, "retentionDays": 9})
    eventually(lambda: pitr(archived).get("retentionDays") == 9, "told", seconds=30)
    assert archived.started_at() == started
    assert archived.value("SELECT pg_conf_load_time()") == loaded


def test_under_zero_commits_wait_by_a_reload(archived: Db) -> None:
    started = archived.started_at()
    archived.patch(pitr={"rpo": "Zero"})
    waits = "SELECT current_setting('synchronous_standby_names')"
    eventually(lambda: archived.value(waits) == "postbase_walrx", "commits wait", seconds=60)
    archived.fill("acknowledged by the object store")
    state = ("psql", "--no-psqlrc", "-Atc", "SELECT sync_state FROM pg_stat_replication")
    eventually(lambda: archived.run_in(*state).split() == ["sync"], "it is sync", seconds=15)
    archived.patch(pitr={"rpo": "Async"})
    eventually(lambda: archived.value(waits) == "", "they wait no longer", seconds=60)
    assert archived.started_at() == started


def test_a_pod_that_is_deleted_goes_on_where_it_was(archived: Db) -> None:
    archived.fill("before the pod went")
    archived.restart_pod()
    archived.wait_for("Archiving", "True", "Streaming", seconds=90)
    assert slots(archived) == ["postbase_walrx"]
    assert [each.get("reason") for each in pitr(archived)["branches"]] == [None], "no gap"


def test_switched_off_the_slot_is_gone_and_postgresql_runs_on(archived: Db) -> None:
    started = archived.started_at()
    archived.patch(pitr={"enabled": False})
    eventually(lambda: slots(archived) == [], "the slot is gone", seconds=60)
    eventually(lambda: pitr(archived).get("archiving") == "Off", "told", seconds=30)
    assert archived.condition("Archiving") is None
    assert archived.started_at() == started
    assert "recoveryWindow" in pitr(archived), "what was archived can still be restored"
