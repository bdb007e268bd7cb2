"""A tag that moves under a Database: starts run what it was made with, until asked to follow."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from e2e.cluster import ROOT, Body, eventually, throughout
from e2e.conftest import NewDb
from e2e.database import Db
from e2e.operators import on_our_node
from e2e.rebuilt import rebuilt
from node.bringup import ctr
from node.images import recipes

pytestmark = pytest.mark.timeout(900)

REPOSITORY = "localhost/postbase/e2e-moving"
MOVING = f"{REPOSITORY}:15"
REQUEST = "postbase.sh/request-upgrade"


@pytest.fixture(scope="module")
def digests(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, str]]:
    """Two builds that the tag means one after the other, both on the node; neither is known by
    any other name, because the kubelet would tell that one."""
    if not on_our_node():
        pytest.skip("moves a tag in the containerd of `make up`")
    folder, archive = tmp_path_factory.mktemp("images"), recipes(ROOT)["postgres-15"].archive
    known = []
    for build in ("first", "second"):
        digest = rebuilt(archive, f"{REPOSITORY}:{build}", build, folder / build)
        ctr("images", "import", folder / build)
        ctr("images", "tag", "--force", f"{REPOSITORY}:{build}", f"{REPOSITORY}@{digest}")
        known.append(digest)
    move("first")
    yield known[0], known[1]
    tags = (MOVING, f"{REPOSITORY}:first", f"{REPOSITORY}:second")
    ctr("images", "remove", *tags, *(f"{REPOSITORY}@{digest}" for digest in known))


def move(build: str) -> None:
    """As if somebody had pushed it."""
    ctr("images", "tag", "--force", f"{REPOSITORY}:{build}", MOVING)


@pytest.fixture(scope="module")
def moved(digests: tuple[str, str], new_db: NewDb) -> Db:
    """Made while the tag meant the first build; it means the second one by now."""
    db = new_db("moved")
    db.apply(image=MOVING)
    db.wait_ready()
    db.fill("of the first build")
    eventually(lambda: template(db).endswith(digests[0]), "the template by digest", seconds=30)
    move("second")
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
    assert db.notes() == ["of the first build"]


def test_a_request_restarts_once_and_learns_the_tag_anew(
    moved: Db, digests: tuple[str, str]
) -> None:
    db, (_, second) = moved, digests
    before = db.pod_uid()
    db.annotate(REQUEST, "1")
    eventually(lambda: db.pod_uid() not in ("", before), "another pod", seconds=120)
    db.wait_known_to_run()
    db.wait_ready(seconds=30)
    assert running(db) == second
    eventually(lambda: template(db).endswith(second), "the template by digest", seconds=30)

    def told() -> Body | None:
        """The status, once it tells of the second build and that the request was served."""
        status: Body = db.live()["status"]
        known = str(status["image"].get("digest")).endswith(second)
        return status if known and status.get("requests") else None

    status = eventually(told, "the status tells it", seconds=30)
    assert status["image"]["requested"] == MOVING
    assert status["requests"] == {"upgrade": "1"}
    assert db.notes() == ["of the first build"]


def test_the_same_request_again_does_nothing(moved: Db, digests: tuple[str, str]) -> None:
    db, (_, second) = moved, digests
    started, pod = db.started_at(), db.pod_uid()
    db.annotate(REQUEST, "1")
    db.patch(parameters={"work_mem": "5MB"})  # something to look at
    eventually(lambda: db.value("SHOW work_mem") == "5MB", "looked at", seconds=30)
    throughout(lambda: db.pod_uid() != pod, "restarted for a request of before", seconds=8)
    assert db.started_at() == started
    assert template(db).endswith(second)
