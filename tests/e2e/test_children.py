"""Every child is deleted by hand and edited by hand, part by part, and is as it was in seconds.

PostgreSQL feels none of it: its postmaster is the same before and after.
"""

from __future__ import annotations

import json
import time

import pytest

from e2e.children import Child, Leaf, children_of, edit, ours, parts
from e2e.cluster import Body, KubectlFailed, eventually, promised
from e2e.conftest import NewDb
from e2e.database import Db

pytestmark = pytest.mark.timeout(900)

MENDED_WITHIN = 5
CHILDREN = children_of("main")
GIVEN_ANEW = ("clusterIP", "clusterIPs")
"""What the API server chooses for each new object."""


@pytest.fixture(scope="module")
def db(new_db: NewDb) -> Db:
    """Its pod is of the present template, with the image by digest: one that is of an older would
    be replaced by the controller itself as soon as somebody edits updateStrategy."""
    made = new_db("main")
    made.apply()
    made.wait_ready()

    def told() -> str:
        return str(made.live()["status"]["image"].get("digest"))

    eventually(lambda: "@sha256:" in told(), "a pin", seconds=20)
    made.restart_pod()
    made.wait_ready()
    return made


@pytest.fixture(params=CHILDREN, ids=str)
def child(request: pytest.FixtureRequest) -> Child:
    found: Child = request.param
    return found


def live(db: Db, child: Child) -> Body:
    found = child.live(db)
    assert found is not None, f"{child} is not there"
    return found


def test_each_part_that_is_edited_is_mended(db: Db, child: Child) -> None:
    before, started, ready = live(db, child), db.started_at(), ready_since(db)
    left, immutable, slowest = [], [], 0.0

    def mended() -> bool:
        return ours(live(db, child)) == ours(before)

    for part in parts(child.body):
        name = "/".join(map(str, part[0][0]))
        done = edit(db, child, part, before)
        if done is None:
            immutable.append(name)
            continue
        began = time.monotonic()
        try:
            promised(mended, name, seconds=MENDED_WITHIN)
        except AssertionError:
            put_back(db, child, before)
            left += again(db, child, part, before)
        slowest = max(slowest, time.monotonic() - began)
    print(f"{child}: slowest {slowest:.2f} s; the API server refuses to edit {immutable}")
    assert not left, f"edits that stayed: {left}"
    assert not [name for name in immutable if name.startswith(("metadata", "data"))]
    assert len(immutable) < len(list(parts({**child.body, "metadata": {"labels": {}}})))
    db.wait_answers(seconds=15)  # kube-proxy comes after a Service that was mended
    assert db.started_at() == started
    assert ready_since(db) == ready, "it counted as not ready meanwhile"


def again(db: Db, child: Child, part: list[Leaf], before: Body) -> list[str]:
    """Where it stays a second time: of hundreds of edits one met an operator that stood still."""
    done = edit(db, child, part, before)
    try:
        promised(lambda: ours(live(db, child)) == ours(before), f"{done}", seconds=MENDED_WITHIN)
    except AssertionError:
        put_back(db, child, before)
        return [str(done)]
    return []


def ready_since(db: Db) -> str:
    db.wait_ready(seconds=15)
    condition = db.condition("Ready")
    assert condition is not None
    return str(condition["lastTransitionTime"])


def put_back(db: Db, child: Child, before: Body) -> None:
    """So that one part that stays edited does not fail all that come after it."""
    meta = {k: v for k, v in before["metadata"].items() if k != "resourceVersion"}
    whole = json.dumps({**before, "metadata": meta})

    def replaced() -> bool:
        try:
            db.cluster.kubectl("replace", "-f", "-", stdin=whole)
        except KubectlFailed as error:
            if "Conflict" in str(error):  # the operator was at it in the same moment
                return False
            raise
        return True

    eventually(replaced, "it is put back", seconds=15)
    db.wait_ready(seconds=30)


def test_a_child_that_is_deleted_is_back(db: Db, child: Child) -> None:
    """A StatefulSet without its pod: what takes the pod along cannot spare PostgreSQL."""
    before, started = live(db, child), db.started_at()
    db.cluster.delete(child.resource, db.namespace, child.name, "--cascade=orphan", "--wait=false")

    def is_former(found: Body | None) -> bool:
        return found is not None and found["metadata"]["uid"] == before["metadata"]["uid"]

    def another() -> bool:
        found = child.live(db)
        return found is not None and not is_former(found)

    # Orphaning is the garbage collector's, who takes its own time; nothing can be made before.
    eventually(lambda: not is_former(child.live(db)), f"{child} is gone", seconds=30, every=0.05)
    promised(another, f"{child} is back", seconds=MENDED_WITHIN)
    assert lasting(live(db, child)) == lasting(before)
    db.wait_answers(seconds=15)
    assert db.started_at() == started


def lasting(body: Body) -> Body:
    held = ours(body)
    if "spec" in held:
        held["spec"] = {k: v for k, v in held["spec"].items() if k not in GIVEN_ANEW}
    return held


def test_a_statefulset_that_takes_its_pod_along_is_back_with_every_row(db: Db) -> None:
    db.fill("before the StatefulSet went")
    before = db.pod_uid()
    db.cluster.delete("statefulset", db.namespace, f"{db.name}-1", "--wait=false")
    eventually(lambda: db.pod_uid() not in ("", before), "another pod", seconds=60)
    db.wait_answers()
    assert "before the StatefulSet went" in db.notes()
    db.wait_ready(seconds=30)


def test_a_deleted_pod_is_back_with_every_row(db: Db) -> None:
    db.fill("before the pod went")
    db.restart_pod()
    assert "before the pod went" in db.notes()
    db.wait_ready(seconds=30)
