"""From the release before to this one, on a running cluster: no PostgreSQL is restarted, none stops
being Ready, and what the new release brings is there."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from e2e.cluster import OPERATOR_NAMESPACE, ROOT, Body, Cluster, eventually
from e2e.conftest import NewDb
from e2e.database import Db
from e2e.release import (
    DEPLOYMENT,
    NAME,
    REPLICAS,
    Release,
    current_definitions,
    current_image,
    helm,
    previous_definitions,
)

pytestmark = pytest.mark.timeout(900)

MENDED_WITHIN = 30
"""With a leader's election and first look; how quick an edit is mended, test_drift says."""


@pytest.fixture
def release(cluster: Cluster) -> Release:
    return Release(cluster)


@pytest.fixture
def restored(release: Release) -> Iterator[None]:
    """Afterwards it is as `make up` leaves it, whatever a test that failed has made of it."""
    yield
    release.to_current()


def unharmed(db: Db) -> dict[str, Any]:
    """What is another after a restart, or after a moment of not being Ready."""
    ready = db.condition("Ready")
    assert ready is not None
    return {
        "started": db.started_at(),
        "pod": db.pod_uid(),
        "ready": (ready["status"], ready["lastTransitionTime"]),
    }


def wait_mended(db: Db) -> None:
    """An edit by hand is put back: the operator that leads now works, and on this Database."""

    def published() -> bool:
        service = db.cluster.get("service", db.namespace, db.name)
        return bool(service["spec"].get("publishNotReadyAddresses"))

    edit = {"spec": {"publishNotReadyAddresses": False}}
    db.cluster.patch("service", db.namespace, db.name, edit)
    eventually(published, "the Service is mended", seconds=MENDED_WITHIN)
    # While its sidecar is replaced a pod is not ready: the edit has then taken its address away.
    db.wait_answers()


@pytest.mark.usefixtures("restored")
def test_an_upgrade_restarts_no_postgresql(release: Release, db: Db, new_db: NewDb) -> None:
    """One Database is of this release and lives through the way back, too; one is of the other."""
    kind = json.loads((ROOT / ".cluster" / "cluster.json").read_text())["kind"]
    if kind != "node":
        pytest.skip(
            f"the image of the release before is loaded into the node only, not into {kind}"
        )
    db.fill("of this release")
    made_now = unharmed(db)

    release.to_previous()
    assert release.definitions() == previous_definitions()
    older = new_db("older")
    older.apply()
    older.wait_ready()
    older.fill("of the release before")
    made_before = unharmed(older)
    assert policy(older) is None
    wait_mended(db)
    assert unharmed(db) == made_now

    replicas = release.replicas()
    release.to_current()
    assert not replicas & release.replicas()
    assert release.definitions() == current_definitions()
    for each, before, row in (
        (db, made_now, "of this release"),
        (older, made_before, "of the release before"),
    ):
        wait_mended(each)
        each.wait_ready(seconds=30)
        assert unharmed(each) == before
        assert each.notes() == [row]
    eventually(lambda: policy(older), "its NetworkPolicy", seconds=MENDED_WITHIN)


def policy(db: Db) -> Body | None:
    """What the release before did not make yet."""
    return db.cluster.find("networkpolicy", db.namespace, db.name)


def test_a_restarted_operator_restarts_no_postgresql(release: Release, db: Db) -> None:
    before, replicas = unharmed(db), release.replicas()
    restart = ("rollout", "restart", DEPLOYMENT, f"--namespace={OPERATOR_NAMESPACE}")
    release.cluster.kubectl(*restart)
    eventually(lambda: not replicas & release.replicas(), "none of before", seconds=90)
    release.wait_rolled(current_image())
    wait_mended(db)
    assert unharmed(db) == before


def test_helm_test_passes_and_leaves_no_rights(release: Release) -> None:
    done = helm("test", NAME, "--logs")
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"ok: {REPLICAS} replicas are ready, and one of them leads" in done.stdout
    rights = release.cluster.listed("serviceaccounts,roles,rolebindings", OPERATOR_NAMESPACE)
    assert not [body for body in rights if "release-test" in body["metadata"]["name"]]
    release.cluster.delete("pod", OPERATOR_NAMESPACE, f"{NAME}-release-test")


@pytest.mark.usefixtures("restored")
def test_helm_test_fails_without_an_operator(release: Release) -> None:
    release.cluster.kubectl(
        "scale", DEPLOYMENT, "--replicas=0", f"--namespace={OPERATOR_NAMESPACE}"
    )
    eventually(lambda: not release.replicas(), "no replica", seconds=60)
    done = helm("test", NAME, "--logs")
    assert done.returncode != 0
    assert f"failed: 0 pods of the operator run, not {REPLICAS}" in done.stdout
    release.cluster.delete("pod", OPERATOR_NAMESPACE, f"{NAME}-release-test")
