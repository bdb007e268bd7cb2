"""To an operator whose pod template is another: PostgreSQL runs on, what waits is listed, and the
next stop applies it."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import pytest

from e2e.cluster import Cluster, eventually, throughout
from e2e.conftest import NewDb
from e2e.database import Db
from e2e.operators import on_our_node
from e2e.release import Release, changed_image
from e2e.test_upgrade import unharmed, wait_mended
from e2e.test_without_restart import sidecar, sidecar_runs

pytestmark = pytest.mark.timeout(900)

FILE = "operator/postbase_operator/desired/statefulset.py"
BEFORE, AFTER = "GRACE_SECONDS = 300", "GRACE_SECONDS = 301"
"""What no pod can be given while it runs."""


@pytest.fixture
def release(cluster: Cluster) -> Iterator[Release]:
    """Afterwards it is as `make up` leaves it."""
    if not on_our_node():
        pytest.skip("the changed image is loaded into the node of `make up` only")
    made = Release(cluster)
    yield made
    made.to_current()


def grace(db: Db) -> int:
    """Seconds that the running pod has for its stop."""
    pod = db.cluster.get("pod", db.namespace, db.pod)
    return int(pod["spec"]["terminationGracePeriodSeconds"])


def sidecar_is(image: str, db: Db) -> bool:
    return bool(sidecar(db)["image"] == image)


def test_another_template_waits_for_the_next_stop_and_is_listed(
    release: Release, db: Db, new_db: NewDb
) -> None:
    other = new_db("other")
    other.apply()
    other.wait_ready()
    both = (db, other)
    before = [unharmed(each) for each in both]

    image = changed_image(FILE, BEFORE, AFTER)
    release.to_image(image)
    for each in both:
        told = each.wait_for("RestartPending", "True", "PodTemplateChanged", seconds=60)
        assert "terminationGracePeriodSeconds" in told["message"]
        assert "postbase.sh/request-restart" in told["message"]
        eventually(partial(sidecar_is, image, each), "its sidecar", seconds=90)
        eventually(partial(sidecar_runs, each), "it runs", seconds=60)
        wait_mended(each)
    throughout(
        lambda: [unharmed(each) for each in both] != before, "restarted for a template", seconds=6
    )
    assert [grace(each) for each in both] == [300, 300]

    db.restart_pod()
    assert grace(db) == 301
    db.wait_ready(seconds=30)
    eventually(lambda: db.condition("RestartPending") is None, "nothing waits", seconds=30)
    assert other.condition("RestartPending") is not None
    assert unharmed(other) == before[1]
