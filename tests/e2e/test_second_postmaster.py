"""A second PostgreSQL never runs on a volume that one runs on already.

ReadWriteOnce lets two pods of one node in, and each postmaster is PID 1 in namespaces of its own,
so that postmaster.pid protects nothing: without the lock the second one recovers, answers, and
corrupts the first one's data in silence.
"""

from __future__ import annotations

import copy
from typing import Any

import pytest

from e2e.cluster import Body, eventually
from e2e.database import Db

pytestmark = pytest.mark.timeout(900)


def second_pod(db: Db, name: str, script: str) -> Body:
    """What somebody who copies the pod would start: same claim, settings, certificate and user."""
    live = copy.deepcopy(db.cluster.get("pod", db.namespace, db.pod))
    spec: dict[str, Any] = live["spec"]
    container = next(c for c in spec["containers"] if c["name"] == "postgres")
    kept = ("name", "image", "env", "securityContext", "volumeMounts", "imagePullPolicy")
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": db.namespace},
        "spec": {
            "restartPolicy": "Never",
            "terminationGracePeriodSeconds": 5,
            "automountServiceAccountToken": False,
            "securityContext": spec["securityContext"],
            "volumes": spec["volumes"],
            "containers": [
                {
                    **{key: container[key] for key in kept},
                    "command": ["/bin/sh", f"/postbase/config/{script}"],
                }
            ],
        },
    }


def ended(db: Db, pod: str) -> Body | None:
    statuses = db.cluster.get("pod", db.namespace, pod)["status"].get("containerStatuses", [])
    found: Body | None = statuses[0]["state"].get("terminated") if statuses else None
    return found


@pytest.mark.parametrize("script", ["start.sh", "initdb.sh"])
def test_a_second_pod_on_the_volume_exits_75_and_harms_nothing(db: Db, script: str) -> None:
    row = f"before {script}"
    db.fill(row)
    system_id, started = db.live()["status"]["systemId"], db.started_at()
    pod = f"second-{script.removesuffix('.sh')}"
    db.cluster.apply(second_pod(db, pod, script))
    end = eventually(lambda: ended(db, pod), f"{pod} has ended", seconds=60)
    said = db.cluster.logs(db.namespace, pod)
    assert end["exitCode"] == 75, said
    assert "VolumeInUse" in said
    db.cluster.delete("pod", db.namespace, pod)
    assert row in db.notes()
    db.fill(f"after {script}")
    assert db.started_at() == started
    assert db.value("SELECT system_identifier::text FROM pg_control_system()") == system_id
    database_log = db.logs()
    assert "PANIC" not in database_log
    assert "lock file" not in database_log


def test_a_pod_deleted_by_force_comes_back_with_every_row(db: Db) -> None:
    """Kubernetes forgets such a pod at once, while its PostgreSQL may still be running."""
    db.fill("before the force")
    started = db.started_at()
    db.restart_pod("--force", "--grace-period=0")
    # The former one may answer for a moment longer, and the next one waits for its end.
    db.wait_restarted(started)
    assert "before the force" in db.notes()
    db.wait_ready()


def test_rows_are_sound_after_all_that(db: Db) -> None:
    """Each page read with its checksum, each index entry looked up."""
    db.rows("CREATE TABLE IF NOT EXISTS numbers AS SELECT generate_series(1, 20000) AS n")
    db.restart_pod()
    assert db.value("SELECT sum(n) FROM numbers") == 200_010_000
    assert db.value("SELECT sum(checksum_failures) FROM pg_stat_database") == 0
