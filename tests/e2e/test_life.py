"""The life of a Database: waiting for its Project, paused, deleted, its namespace gone."""

from __future__ import annotations

import time
from typing import Any

import pytest

from e2e.cluster import PATIENCE, Body, Cluster, KubectlFailed, eventually
from e2e.conftest import NewDb, fresh_namespace, remove_namespace, volumes_of
from e2e.database import CHILDREN, Db, project

pytestmark = pytest.mark.timeout(900)

DELETED_WITHIN = 120
GOES_ON_WITHIN = 60
KEPT = {"PersistentVolumeClaim", "Secret"}


def project_status(cluster: Cluster, namespace: str, name: str) -> Body:
    status: Body = cluster.get("project", namespace, name).get("status", {})
    return status


def test_a_database_waits_for_its_project_and_is_counted(new_db: NewDb) -> None:
    db = new_db("early")
    db.apply(projectRef={"name": "late"})
    waiting = db.wait_for("Reconciling", "True", "ProjectNotFound", seconds=20)
    assert "late" in waiting["message"]
    assert db.names() == []
    db.cluster.apply(project(db.namespace, "late"))
    db.wait_ready()
    eventually(
        lambda: project_status(db.cluster, db.namespace, "late").get("databasesReady") == 1,
        "the Project counts one ready",
        seconds=60,
    )
    status = project_status(db.cluster, db.namespace, "late")
    assert (status["databases"], status["phase"]) == (1, "Active")
    db.cluster.delete("database", db.namespace, db.name)
    eventually(
        lambda: project_status(db.cluster, db.namespace, "late")["databases"] == 0,
        "the Project counts none",
        seconds=60,
    )


def test_a_project_takes_its_databases_along_where_it_says_so(new_db: NewDb) -> None:
    """And stays until they are gone: their store is its own."""
    db = new_db("along")
    db.cluster.apply(project(db.namespace, "whole"))
    db.apply(projectRef={"name": "whole"})
    db.wait_ready()
    db.cluster.delete("project", db.namespace, "whole", "--wait=false")
    eventually(
        lambda: project_status(db.cluster, db.namespace, "whole").get("phase") == "Deleting",
        "the Project says that it goes",
        seconds=30,
    )
    assert db.live()["status"]["phase"] == "Running"
    wanted = {"spec": {"deletionPolicy": "Delete"}}
    db.cluster.patch("project", db.namespace, "whole", wanted)
    eventually(
        lambda: db.cluster.find("project", db.namespace, "whole") is None,
        "the Project is gone",
        seconds=DELETED_WITHIN,
    )
    assert gone(db), "its Database went first"
    assert db.cluster.find("pvc", db.namespace, db.claim), "by its own policy: Retain"


def test_paused_and_back(new_db: NewDb) -> None:
    db = new_db("paused")
    db.apply()
    db.wait_ready()
    db.fill("before the pause")
    with db.connect():  # an idle client must not keep it from a clean stop
        db.patch(paused=True)
        db.wait_for("Ready", "False", "Paused", seconds=120)
    assert db.cluster.find("pod", db.namespace, db.pod) is None
    assert db.live()["status"]["phase"] == "Paused"
    assert db.cluster.get("pvc", db.namespace, db.claim)["status"]["phase"] == "Bound"
    assert db.secret()["password"]
    db.patch(paused=False)
    db.wait_ready()
    db.wait_answers()
    assert db.notes() == ["before the pause"]
    db.wait_logged("database system was shut down")
    assert "redo starts" not in db.logs()


def gone(db: Db) -> bool:
    return db.cluster.find("database", db.namespace, db.name) is None


def test_retain_keeps_volume_and_credentials_and_refuses_a_namesake(new_db: NewDb) -> None:
    db = new_db("retained")
    db.apply()
    db.wait_ready()
    db.fill("worth keeping")
    password = db.secret()["password"]
    db.cluster.delete("database", db.namespace, db.name)
    eventually(
        lambda: (
            db.names() == [f"PersistentVolumeClaim/{db.claim}", f"Secret/{db.name}-credentials"]
        ),
        "volume and credentials are left, and nothing else",
        seconds=30,
    )
    kept = at_rest(db, db.claim)
    db.apply()
    stalled = db.wait_for("Stalled", "True", "VolumeExists", seconds=30)
    for remedy in (db.claim, "adoptVolume", "delete", "another name"):
        assert remedy in stalled["message"]
    assert db.names() == [f"PersistentVolumeClaim/{db.claim}", f"Secret/{db.name}-credentials"]
    assert db.cluster.get("pvc", db.namespace, db.claim) == kept
    assert db.secret()["password"] == password
    db.cluster.delete("pvc", db.namespace, db.claim, "--wait=false")
    db.wait_ready(seconds=GOES_ON_WITHIN)
    db.wait_answers()
    assert db.rows("SELECT 1 FROM pg_tables WHERE tablename = 'notes'") == []
    db.patch(deletionPolicy="Delete")
    db.cluster.delete("database", db.namespace, db.name)
    eventually(lambda: db.names() == [], "nothing is left, the old credentials neither", seconds=30)


def at_rest(db: Db, claim: str) -> Body:
    """The claim, once Kubernetes' own controllers have nothing more to write to it."""
    held: list[Body] = []

    def unchanged() -> Body | None:
        held.append(db.cluster.get("pvc", db.namespace, claim))
        return held[-1] if held[-3:].count(held[-1]) == 3 else None

    return eventually(unchanged, f"{claim} is at rest", seconds=30, every=1)


def test_a_strangers_claim_of_the_name_is_left_alone_until_it_goes(new_db: NewDb) -> None:
    """One without a mark of ours: nothing watches it, and still its end is seen."""
    db = new_db("borrowed")
    spec = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}
    meta = {"name": db.claim, "namespace": db.namespace}
    claim = {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": meta, "spec": spec}
    db.cluster.apply(claim)
    kept = at_rest(db, db.claim)
    db.apply()
    stalled = db.wait_for("Stalled", "True", "VolumeExists", seconds=30)
    for remedy in (db.claim, "delete", "rename"):
        assert remedy in stalled["message"]
    assert db.cluster.find("statefulset", db.namespace, f"{db.name}-1") is None
    assert db.cluster.get("pvc", db.namespace, db.claim) == kept
    db.cluster.delete("pvc", db.namespace, db.claim)
    db.wait_ready(seconds=GOES_ON_WITHIN)


def test_delete_leaves_nothing(new_db: NewDb) -> None:
    db = new_db("thrown-away")
    db.apply(deletionPolicy="Delete")
    db.wait_ready()
    assert len(db.names()) >= 9
    db.cluster.delete("database", db.namespace, db.name)
    eventually(lambda: db.names() == [], "no child is left", seconds=30)
    eventually(
        lambda: not [c for c in everything(db) if db.name in c], "nothing of its name", seconds=30
    )


def everything(db: Db) -> list[str]:
    kinds = f"{CHILDREN},endpointslices,controllerrevisions,databases"
    listed = db.cluster.listed(kinds, db.namespace)
    return [f"{body['kind']}/{body['metadata']['name']}" for body in listed]


def test_deleted_in_the_middle_of_its_making(new_db: NewDb) -> None:
    db = new_db("regretted")
    db.apply(deletionPolicy="Delete")
    eventually(lambda: db.pod_uid(), "its pod", seconds=30, every=0.1)
    db.cluster.delete("database", db.namespace, db.name, "--wait=false")
    eventually(lambda: gone(db), "the Database is gone", seconds=DELETED_WITHIN)
    eventually(lambda: db.names() == [], "nothing is left", seconds=30)


def test_an_unknown_image_is_named_and_a_good_one_heals(new_db: NewDb) -> None:
    db = new_db("imageless")
    db.apply(image="localhost/postbase/postgres:nonsense")

    def named() -> str:
        ready = db.condition("Ready")
        said = "" if ready is None else f"{ready['reason']} {ready['message']}"
        return said if "postgres:nonsense" in said else ""

    said = eventually(named, "a condition that names the image", seconds=60)
    assert said.split()[0] in ("ErrImagePull", "ImagePullBackOff"), said
    db.patch(image="localhost/postbase/postgres:15")
    db.wait_ready(seconds=90)
    db.wait_answers()


def test_what_cannot_be_changed_is_refused_with_a_way_out(new_db: NewDb) -> None:
    db = new_db("early")
    db.apply(projectRef={"name": "nowhere"})
    manifest: dict[str, Any] = db.manifest(projectRef={"name": "nowhere"})
    patches = {
        '{"spec": {"postgresVersion": "17"}}': "Logical",
        '{"spec": {"storage": {"size": "512Mi"}}}': "at least 1Gi",
        '{"spec": {"podSecurity": {"runAsUser": 70}}}': "restore into a new Database",
        '{"spec": {"parameters": {"fsync": "off"}}}': "fsync",
    }
    for patch, way in patches.items():
        words = ("patch", "database", manifest["metadata"]["name"], "--type=merge")
        said = db.cluster.refused(*words, f"--namespace={db.namespace}", f"--patch={patch}")
        assert way in said


def test_a_namespace_goes_with_databases_in_it(new_db: NewDb) -> None:
    """Whatever the deletion policy: a finalizer that waits for a dead namespace hangs for ever."""
    template = new_db("main")
    cluster, namespace = template.cluster, f"{template.namespace}-doomed"
    with fresh_namespace(cluster, namespace):
        cluster.apply(project(namespace))
        made = [Db(cluster, namespace, name, template.folder) for name in ("kept", "unfinished")]
        made[0].apply(deletionPolicy="Retain")
        made[0].wait_ready()
        made[1].apply(deletionPolicy="Delete")
        started = time.monotonic()
        try:
            remove_namespace(cluster, namespace)
        except KubectlFailed as error:
            left = cluster.kubectl("get", "namespace", namespace, "-o", "yaml")
            raise AssertionError(f"{error}\n{left}") from error
        took = time.monotonic() - started
        assert took < DELETED_WITHIN * PATIENCE, f"{took:.0f} s"
    assert volumes_of(cluster, namespace) == []
