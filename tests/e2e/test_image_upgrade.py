"""A tag that moves under a Database: starts run what it was made with, until asked to follow."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from e2e.cluster import ROOT, eventually, throughout
from e2e.conftest import NewDb
from e2e.database import Db
from e2e.operators import on_our_node
from node.bringup import ctr

pytestmark = [pytest.mark.timeout(300), pytest.mark.usefixtures("steady")]

MOVING = "localhost/postbase/moving:15"
REQUEST = "postbase.sh/request-upgrade"
UID = 70
"""Of the second image; what either of them runs as is the Database's choice."""


def images() -> tuple[str, str]:
    """Two images of the same major, of different makes."""
    known = json.loads((ROOT / ".cluster" / "images.json").read_text())["postgres"]
    return known["15"], known["postgis-15"]


def digest(image: str) -> str:
    for row in ctr("images", "list").splitlines():
        reference, _, rest = row.partition(" ")
        if reference == image:
            return rest.split()[1]
    raise AssertionError(f"{image} is not on the node")


def move(image: str) -> str:
    """The tag means this image from now on, as if somebody had pushed it; answers its digest."""
    meant = digest(image)
    ctr("images", "tag", "--force", image, MOVING)
    ctr("images", "tag", "--force", image, f"{MOVING.rpartition(':')[0]}@{meant}")
    return meant


@pytest.fixture(scope="module")
def digests() -> Iterator[tuple[str, str]]:
    if not on_our_node():
        pytest.skip("moves a tag in the containerd of `make up`")
    first, second = images()
    known = (move(first), digest(second))
    yield known
    repository = MOVING.rpartition(":")[0]
    ctr("images", "remove", MOVING, *(f"{repository}@{each}" for each in known))


@pytest.fixture(scope="module")
def moved(digests: tuple[str, str], new_db: NewDb) -> Db:
    """Made while the tag meant the first image; it means the second one by now."""
    db = new_db("moved")
    db.apply(image=MOVING, podSecurity={"runAsUser": UID})
    db.wait_ready()
    db.fill("of the first image")
    eventually(lambda: template(db).endswith(digests[0]), "the template by digest", seconds=30)
    move(images()[1])
    return db


def template(db: Db) -> str:
    """The image that the next start would run."""
    workload = db.cluster.get("statefulset", db.namespace, f"{db.name}-1")
    (container,) = workload["spec"]["template"]["spec"]["containers"]
    return str(container["image"])


def running(db: Db) -> str:
    """Digest of the image that the container runs."""
    pod = db.cluster.get("pod", db.namespace, db.pod)
    (found,) = [c for c in pod["status"]["containerStatuses"] if c["name"] == "postgres"]
    return str(found["imageID"]).rpartition("@")[2]


def test_a_start_runs_the_digest_that_the_tag_meant_at_first(
    moved: Db, digests: tuple[str, str]
) -> None:
    db, (first, _) = moved, digests
    told = db.live()["status"]["image"]
    assert told["requested"] == MOVING
    assert told["digest"].endswith(first)
    db.restart_pod()
    assert running(db) == first
    db.wait_ready(seconds=30)
    assert db.condition("RestartPending") is None
    assert db.notes() == ["of the first image"]


def test_a_request_restarts_once_and_learns_the_tag_anew(
    moved: Db, digests: tuple[str, str]
) -> None:
    db, (_, second) = moved, digests
    before = db.pod_uid()
    db.annotate(REQUEST, "1")
    eventually(lambda: db.pod_uid() not in ("", before), "another pod", seconds=60)
    db.wait_answers()
    db.wait_ready(seconds=30)
    assert running(db) == second
    eventually(lambda: template(db).endswith(second), "the template by digest", seconds=30)
    status = db.live()["status"]
    assert status["image"]["digest"].endswith(second)
    assert status["image"]["requested"] == MOVING
    assert status["requests"] == {"upgrade": "1"}
    assert db.notes() == ["of the first image"]


def test_the_same_request_again_does_nothing(moved: Db, digests: tuple[str, str]) -> None:
    db, (_, second) = moved, digests
    started, pod = db.started_at(), db.pod_uid()
    db.annotate(REQUEST, "1")
    db.patch(parameters={"work_mem": "5MB"})  # something to look at
    eventually(lambda: db.value("SHOW work_mem") == "5MB", "looked at", seconds=30)
    throughout(lambda: db.pod_uid() != pod, "restarted for a request of before", seconds=8)
    assert db.started_at() == started
    assert template(db).endswith(second)
