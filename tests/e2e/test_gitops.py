"""What GitOps tools make of a Database's life: each version that a watch shows is judged by
kstatus, as Flux does, and by health.lua in Argo CD's interpreter.

The versions in between decide: one that looks done too early lets the next wave of a sync go.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import groupby
from typing import Any

import pytest

import verdicts
from e2e.cluster import Body, Cluster, eventually
from e2e.conftest import NewDb
from e2e.database import API_VERSION, CHILDREN, Db, project
from e2e.gitops import put
from e2e.history import History, history

pytestmark = pytest.mark.timeout(900)

LABEL = {"app.kubernetes.io/instance": "shop", "kustomize.toolkit.fluxcd.io/name": "shop"}
TRACKING = {"argocd.argoproj.io/tracking-id": "shop:postbase.sh/Database:e2e-gitops/main"}
"""By these Argo CD and Flux know what is theirs to prune."""

UNKNOWN_VERSION = "16"
"""Known to the schema; the cluster of the tests has no image for it."""
LATEST: dict[str, Any] = {"source": {"latest": {}}, "target": {"inPlace": {}}}


@dataclass(frozen=True)
class Told:
    """Databases by name, and all that was seen of them and of their Project."""

    databases: dict[str, Db]
    pruned_pod: Body
    """The pod of the deleted one, as it was while it served."""
    seen: History
    projects: History


@pytest.fixture(scope="module")
def told(
    cluster: Cluster, namespace: str, new_db: NewDb, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Told]:
    """Their lives side by side: one changed when Ready, one impossible, one paused, one deleted."""
    folder = tmp_path_factory.mktemp("history")
    made = {name: new_db(name) for name in ("main", "impossible", "paused", "deleted")}
    with (
        history(cluster, "databases", namespace, folder) as seen,
        history(cluster, "projects", namespace, folder) as projects,
    ):
        bring(made["main"], LABEL, TRACKING)
        bring(made["impossible"], postgresVersion=UNKNOWN_VERSION)
        bring(made["paused"], paused=True)
        bring(made["deleted"])
        put(cluster, namespace, [project(namespace, "second")])
        made["impossible"].wait_for("Stalled", "True")
        made["paused"].wait_for("Ready", "False", "Paused")
        made["deleted"].wait_ready()
        made["deleted"].wait_answers()
        pod = cluster.get("pod", namespace, made["deleted"].pod)
        with made["deleted"].connect():  # an idle client must not keep it from a clean stop
            prune(made["deleted"])
        made["main"].wait_ready()
        bring(made["main"], LABEL, TRACKING, parameters={"work_mem": "8MB"})
        made["main"].wait_ready()
        yield Told(made, pod, seen, projects)


def bring(
    db: Db,
    labels: dict[str, str] | None = None,
    annotations: dict[str, str] | None = None,
    **spec: Any,
) -> None:
    body = db.manifest(**spec)
    body["metadata"] |= {"labels": labels or {}, "annotations": annotations or {}}
    put(db.cluster, db.namespace, [body])


def prune(db: Db) -> None:
    """As Argo CD does it: in the foreground, so that the children go before their owner."""
    db.cluster.delete("database", db.namespace, db.name, "--cascade=foreground")


def control_data(db: Db, pod: Body) -> str:
    """What PostgreSQL has left on the volume, read by its own program in a pod like its own."""
    spec = pod["spec"]
    volumes = [v for v in spec["volumes"] if "persistentVolumeClaim" in v]
    names = [v["name"] for v in volumes]
    container = next(c for c in spec["containers"] if c["name"] == "postgres")
    reader = {
        **{key: container[key] for key in ("name", "image", "env", "securityContext")},
        "volumeMounts": [m for m in container["volumeMounts"] if m["name"] in names],
        "command": ["pg_controldata", "--pgdata=/postbase/data/pgdata"],
    }
    body = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "reader", "namespace": db.namespace},
        "spec": {
            "restartPolicy": "Never",
            "automountServiceAccountToken": False,
            "securityContext": spec["securityContext"],
            "volumes": volumes,
            "containers": [reader],
        },
    }
    db.cluster.apply(body)

    def succeeded() -> bool:
        phase = db.cluster.get("pod", db.namespace, "reader")["status"]["phase"]
        return bool(phase == "Succeeded")

    eventually(succeeded, "it has read", seconds=60)
    return db.cluster.logs(db.namespace, "reader")


def words(versions: list[Body], judge: Callable[[Body], verdicts.Verdict]) -> list[str]:
    """What is said one after the other, without repetitions."""
    return [word for word, _ in groupby(judge(version).status for version in versions)]


def both(versions: list[Body]) -> tuple[list[str], list[str]]:
    return words(versions, verdicts.kstatus), words(versions, verdicts.health)


def until_ready(versions: list[Body], generation: int) -> list[Body]:
    """Those of a generation to the first that is Ready: later a busy node may answer late."""
    found = [v for v in versions if v["metadata"]["generation"] == generation]
    ready = [number for number, version in enumerate(found) if is_ready(version)]
    return found[: ready[0] + 1] if ready else []


def is_ready(version: Body) -> bool:
    """Of its own generation: a status that is behind says nothing of the new spec."""
    told = [
        (condition["type"], condition["status"], condition["observedGeneration"])
        for condition in version["status"].get("conditions", [])
    ]
    return ("Ready", "True", version["metadata"]["generation"]) in told


@pytest.mark.parametrize("generation", [1, 2])
def test_a_database_is_in_progress_and_then_current(told: Told, generation: int) -> None:
    """The first version of each generation is one that the operator has not seen yet."""
    versions = eventually(  # the watch may tell it later than a look at the object
        lambda: until_ready(told.seen.versions("main"), generation), "it was Ready", seconds=30
    )
    assert versions[0]["status"]["observedGeneration"] == (-1 if generation == 1 else 1)
    assert both(versions) == (["InProgress", "Current"], ["Progressing", "Healthy"])


def test_a_project_is_in_progress_and_then_current(told: Told) -> None:
    versions = told.projects.versions("second")
    assert both(versions) == (["InProgress", "Current"], ["Progressing", "Healthy"])


def test_a_spec_that_cannot_be_is_failed(told: Told) -> None:
    versions = told.seen.versions("impossible")
    assert both(versions) == (["InProgress", "Failed"], ["Progressing", "Degraded"])
    for said in (verdicts.kstatus(versions[-1]), verdicts.health(versions[-1])):
        assert "spec.postgresVersion" in said.message


def test_a_paused_database_is_suspended(told: Told) -> None:
    """kstatus has no word for it: docs/gitops.md tells what Flux needs."""
    versions = told.seen.versions("paused")
    assert both(versions) == (["InProgress"], ["Progressing", "Suspended"])


def test_a_deletion_is_seen_to_its_end(told: Told) -> None:
    versions = [v for v in told.seen.versions("deleted") if "deletionTimestamp" in v["metadata"]]
    assert len(versions) > 1
    assert both(versions) == (["Terminating"], ["Progressing"])


def test_what_is_pruned_leaves_volume_and_credentials(told: Told) -> None:
    """With the deletionPolicy Retain, which is the default; nothing else stays."""
    db = told.databases["deleted"]
    kept = [f"PersistentVolumeClaim/{db.claim}", f"Secret/{db.name}-credentials"]
    eventually(lambda: db.names() == kept, "volume and credentials are left", seconds=30)


def test_what_is_pruned_was_stopped_cleanly(told: Told) -> None:
    """Garbage collection takes the children at once and in no order, its ConfigMap too."""
    said = control_data(told.databases["deleted"], told.pruned_pod)
    state = next(line for line in said.splitlines() if line.startswith("Database cluster state"))
    assert state.split(": ")[1].strip() == "shut down"


def test_no_child_carries_what_the_tools_know_theirs_by(told: Told) -> None:
    """Argo CD would take such a child for one that is no longer in Git, and prune it."""
    db = told.databases["main"]
    children = db.cluster.listed(CHILDREN, db.namespace, f"postbase.sh/database={db.name}")
    assert len(children) >= len(CHILDREN.split(","))
    for child in children:
        carried = json.dumps([child["metadata"].get(key) for key in ("labels", "annotations")])
        assert not [key for key in (LABEL | TRACKING) if f'"{key}"' in carried], child["kind"]
    parent = db.live()["metadata"]
    assert LABEL.items() <= parent["labels"].items()
    assert TRACKING.items() <= parent["annotations"].items()


@pytest.mark.parametrize(
    ("kind", "spec", "status", "health"),
    [
        ("Backup", {}, "Current", "Healthy"),
        ("PitrRestore", LATEST, "Failed", "Degraded"),  # needs what this release does not serve
    ],
)
def test_what_runs_once_is_judged_by_its_end(
    told: Told, kind: str, spec: Body, status: str, health: str
) -> None:
    db = told.databases["main"]
    body = {
        "apiVersion": API_VERSION,
        "kind": kind,
        "metadata": {"name": "from-git"},
        "spec": {"databaseRef": {"name": db.name}, **spec},
    }
    put(db.cluster, db.namespace, [body])

    def ended() -> Body | None:
        found = db.cluster.get(kind, db.namespace, "from-git")
        return found if found["status"].get("phase") in ("Completed", "Failed") else None

    found = eventually(ended, f"the {kind} has ended", seconds=90)
    assert verdicts.kstatus(found).status == status
    assert verdicts.health(found).status == health
