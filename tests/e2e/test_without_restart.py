"""What changes under a running PostgreSQL, and the restarts that are asked for.

Its start time is what counts: the same before and after everything that needs no restart.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import pytest

from e2e.cluster import Body, eventually, throughout
from e2e.conftest import NewDb
from e2e.database import Db

pytestmark = pytest.mark.timeout(900)

REQUEST = "postbase.sh/request-restart"


def limits(db: Db) -> Body:
    """What the kubelet says that it really enforces."""
    pod = db.cluster.get("pod", db.namespace, db.pod)
    (main,) = [c for c in pod["status"]["containerStatuses"] if c["name"] == "postgres"]
    found: Body = main["resources"]["limits"]
    return found


def test_cpu_and_memory_change_in_place(db: Db) -> None:
    started, pod = db.started_at(), db.pod_uid()
    db.patch(resources={"cpu": "700m", "memory": "640Mi"})
    wanted = {"cpu": "700m", "memory": "640Mi"}
    eventually(lambda: limits(db) == wanted, "resized up", seconds=30)
    db.wait_ready(seconds=30)
    db.patch(resources={"cpu": "400m", "memory": "512Mi"})
    eventually(lambda: limits(db) == {"cpu": "400m", "memory": "512Mi"}, "and down", seconds=30)
    assert (db.started_at(), db.pod_uid()) == (started, pod)
    # The cache of PostgreSQL follows at its next start: nobody is cut off for it.
    throughout(lambda: db.pod_uid() != pod, "restarted for its memory", seconds=5)


def test_a_size_that_the_node_has_not_is_told_and_stops_nothing(db: Db) -> None:
    started = db.started_at()
    db.patch(resources={"cpu": "400m", "memory": "4000Gi"})
    told = db.wait_for("ResizePending", "True", seconds=30)
    assert "Infeasible" in told["message"]
    db.fill("while it is infeasible")
    db.patch(resources={"cpu": "400m", "memory": "512Mi"})
    eventually(lambda: db.condition("ResizePending") is None, "it fits again", seconds=30)
    assert db.started_at() == started


def test_labels_of_the_database_change_nothing_below(db: Db) -> None:
    started = db.started_at()
    patch = {"metadata": {"labels": {"team": "orders", "app.kubernetes.io/instance": "argo"}}}
    db.cluster.patch("database", db.namespace, db.name, patch)
    throughout(lambda: db.started_at() != started, "restarted for a label", seconds=5)
    assert not [c for c in db.children() if c["metadata"]["labels"].get("team")]


def test_another_sidecar_is_put_back_under_the_running_server(db: Db) -> None:
    """As an upgrade of the operator does it: the kubelet replaces the sidecar alone."""
    started = db.started_at()
    right = sidecar(db)["image"]
    other = {"spec": {"initContainers": [{"name": "wal-receiver", "image": "localhost/none:1"}]}}
    words = ("patch", "pod", db.pod, f"--namespace={db.namespace}", "--type=strategic")
    db.cluster.kubectl(*words, f"--patch={json.dumps(other)}")
    # One sidecar of the whole cluster at a time, each for a minute at most: a neighbour's first.
    eventually(lambda: sidecar(db)["image"] == right, "the image again", seconds=60)
    eventually(lambda: sidecar_runs(db), "it runs", seconds=60)
    assert db.started_at() == started


def sidecar(db: Db) -> Body:
    pod = db.cluster.get("pod", db.namespace, db.pod)
    (found,) = [c for c in pod["spec"]["initContainers"] if c["name"] == "wal-receiver"]
    return dict(found)


def sidecar_runs(db: Db) -> bool:
    pod = db.cluster.get("pod", db.namespace, db.pod)
    return any(
        "running" in status["state"]
        for status in pod["status"]["initContainerStatuses"]
        if status["name"] == "wal-receiver"
    )


def test_a_restart_on_request_is_made_once_a_value_and_is_clean(db: Db) -> None:
    started = db.started_at()
    db.fill("before the request")
    db.annotate(REQUEST, "one")
    db.wait_restarted(started)
    db.wait_known_to_run()
    db.wait_ready()
    assert "before the request" in db.notes()
    assert "was not properly shut down" not in db.logs()
    again = db.started_at()
    assert db.live()["status"]["requests"] == {"restart": "one"}
    throughout(lambda: db.started_at() != again, "restarted twice for one request", seconds=8)


def test_what_needs_a_restart_gets_it_in_the_window_and_not_before(new_db: NewDb) -> None:
    db = new_db("windowed")
    now = datetime.now(UTC)
    later = {"start": f"{now + timedelta(hours=5):%H:%M}", "duration": "1h"}
    db.apply(maintenanceWindow=later)
    db.wait_ready()
    started = db.started_at()
    db.patch(parameters={"max_connections": "77"})
    told = db.wait_for("RestartPending", "True", "ParametersChanged", seconds=30)
    assert "window" in told["message"]
    throughout(lambda: db.started_at() != started, "restarted before its window", seconds=5)
    open_now = {"start": f"{now - timedelta(minutes=30):%H:%M}", "duration": "1h"}
    eventually(lambda: old_enough(db), "a server of a minute's age", seconds=90)
    db.patch(maintenanceWindow=open_now)
    db.wait_restarted(started)
    assert db.value("SHOW max_connections") == "77"
    db.wait_ready()
    eventually(lambda: db.condition("RestartPending") is None, "nothing waits", seconds=30)


def old_enough(db: Db) -> bool:
    """One that has just been started is not restarted by itself."""
    return bool(db.value("SELECT now() - pg_postmaster_start_time() > interval '61 s'"))


def test_the_volume_outlives_the_deletion_of_its_claim(db: Db) -> None:
    claim = db.cluster.get("pvc", db.namespace, db.claim)
    volume = db.cluster.kubectl(
        *("get", "pv", claim["spec"]["volumeName"], "-o"),
        "jsonpath={.spec.persistentVolumeReclaimPolicy}",
    )
    assert volume == "Retain"
