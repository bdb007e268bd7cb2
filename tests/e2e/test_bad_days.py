"""What goes wrong around a database: it is told in words, harms no row, and heals.

Each row of docs/failure-modes.md names the test that does it.
"""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from e2e.cluster import ROOT, KubectlFailed, eventually, throughout
from e2e.conftest import NewDb
from e2e.database import Db

pytestmark = pytest.mark.timeout(900)

POSTGRES_15 = "localhost/postbase/postgres:15"
POSTGRES_17 = "localhost/postbase/postgres:17"


@contextmanager
def quota(db: Db, **hard: str) -> Iterator[None]:
    body = {
        "apiVersion": "v1",
        "kind": "ResourceQuota",
        "metadata": {"name": "small", "namespace": db.namespace},
        "spec": {"hard": {name.replace("_", "."): value for name, value in hard.items()}},
    }
    db.cluster.apply(body)

    def counted() -> bool:
        found = db.cluster.get("resourcequota", db.namespace, "small")
        return bool(found.get("status", {}).get("hard"))

    eventually(counted, "the quota is in force", seconds=30)  # until then it refuses nothing
    yield
    db.cluster.delete("resourcequota", db.namespace, "small")


def test_a_quota_that_is_used_up_is_told_and_its_raise_heals(new_db: NewDb) -> None:
    db = new_db("over-quota")
    with quota(db, requests_storage="500Mi"):
        db.apply()
        said = db.wait_for("Ready", "False", "QuotaExceeded", seconds=30)
        assert "requests.storage" in said["message"]
        assert db.condition("Stalled") is None  # nobody has to touch the Database
    db.wait_ready()


def test_an_image_without_postgresql_is_told_and_another_heals(new_db: NewDb) -> None:
    db = new_db("no-postgres")
    sidecar = json.loads((ROOT / ".cluster" / "images.json").read_text())["operator"]
    db.apply(image=sidecar)

    def named() -> bool:
        ready = db.condition("Ready")
        return ready is not None and "no PostgreSQL in its PATH" in ready["message"]

    eventually(named, "a condition that says what is missing", seconds=60)
    db.patch(image=POSTGRES_15)
    db.wait_ready()


def test_an_image_of_another_major_starts_nothing_and_the_right_one_heals(new_db: NewDb) -> None:
    db = new_db("other-major")
    db.apply(image=POSTGRES_15)
    db.wait_ready()
    db.fill("of fifteen")
    db.patch(image=POSTGRES_17)
    pending = db.wait_for("RestartPending", "True", "PodTemplateChanged", seconds=30)
    assert "image of postgres" in pending["message"]
    db.annotate("postbase.sh/request-restart", "to seventeen")
    said = db.wait_for("Stalled", "True", "VersionMismatch", seconds=90)
    assert "15" in said["message"]
    assert "17" in said["message"]
    db.patch(image=POSTGRES_15)
    db.wait_ready()
    db.wait_answers()
    assert db.notes() == ["of fifteen"]


def test_a_claim_that_nobody_serves_is_told(new_db: NewDb) -> None:
    db = new_db("no-class")
    db.apply(storage={"size": "1Gi", "storageClassName": "none-such"}, deletionPolicy="Delete")
    db.wait_for("Ready", "False", "Unschedulable", seconds=30)
    # The scheduler's first word may be that it has not heard of the claim yet.
    eventually(lambda: "PersistentVolumeClaim" in db.message("Ready"), "it says what", seconds=30)


def postmaster(db: Db) -> int:
    """Its process on this machine: the one of the pod that has no parent in the pod."""
    uid = db.pod_uid()
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            words = (folder / "cmdline").read_bytes().split(b"\0")
            control = (folder / "cgroup").read_text()
        except (FileNotFoundError, ProcessLookupError):
            continue
        if uid in control and words[0].endswith(b"postgres") and b"-D" in words:
            return int(folder.name)
    raise AssertionError(f"no postmaster of pod {uid}")


def test_a_postmaster_that_is_killed_comes_back_with_every_row(db: Db) -> None:
    db.fill("before the kill")
    started = db.started_at()
    os.kill(postmaster(db), signal.SIGKILL)
    eventually(lambda: db.is_restarted(started), "a new server", seconds=60)
    db.wait_ready()
    assert "before the kill" in db.notes()
    db.wait_logged("was not properly shut down")  # this one was no clean stop, and it knows


def test_one_that_is_killed_after_a_change_of_settings_is_back_at_the_first_start(
    new_db: NewDb,
) -> None:
    """A file that a container has of a ConfigMap by subPath is gone once that is written anew."""
    db = new_db("changed")
    db.apply()
    db.wait_ready()
    started = db.started_at()
    db.patch(parameters={"work_mem": "7MB"})
    eventually(lambda: db.value("SHOW work_mem") == "7MB", "the new settings", seconds=30)
    os.kill(postmaster(db), signal.SIGKILL)
    eventually(lambda: db.is_restarted(started), "a new server", seconds=90)
    eventually(lambda: restarts(db), "its kubelet tells of it", seconds=30)
    assert restarts(db) == 1


def restarts(db: Db) -> int:
    pod = db.cluster.get("pod", db.namespace, db.pod)
    (main,) = [c for c in pod["status"]["containerStatuses"] if c["name"] == "postgres"]
    return int(main["restartCount"])


def test_a_drain_stops_it_cleanly(db: Db) -> None:
    db.fill("before the drain")
    before = db.pod_uid()
    evict(db)
    eventually(lambda: db.pod_uid() not in ("", before), "another pod", seconds=60)
    db.wait_known_to_run()
    assert "before the drain" in db.notes()
    assert "was not properly shut down" not in db.logs()
    db.wait_ready()


def test_a_drain_waits_where_the_spec_says_so(new_db: NewDb) -> None:
    db = new_db("undisturbed")
    db.apply(disruptions="Block")
    db.wait_ready()
    started = db.started_at()

    def blocked() -> bool:
        budget = db.cluster.get("pdb", db.namespace, db.name)
        status = budget.get("status", {})
        seen = status.get("observedGeneration") == budget["metadata"]["generation"]
        return bool(seen and status.get("disruptionsAllowed") == 0)

    eventually(blocked, "the budget is counted", seconds=30)
    with pytest.raises(KubectlFailed, match="disruption budget"):
        evict(db)
    throughout(lambda: db.started_at() != started, "stopped all the same", seconds=3)


def evict(db: Db) -> None:
    eviction = {
        "apiVersion": "policy/v1",
        "kind": "Eviction",
        "metadata": {"name": db.pod, "namespace": db.namespace},
    }
    path = f"/api/v1/namespaces/{db.namespace}/pods/{db.pod}/eviction"
    db.cluster.kubectl("create", "--raw", path, "-f", "-", stdin=json.dumps(eviction))
