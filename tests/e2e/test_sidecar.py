"""A sick sidecar is the sidecar's trouble alone: clients find the database as before.

A pod counts as ready only with all its containers, and a Service leaves out pods that are not
ready. A second Service beside ours, as anybody would write it, shows that the trouble is real.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator

import pytest

from e2e.cluster import Body, KubectlFailed, eventually, throughout
from e2e.database import Db

pytestmark = pytest.mark.timeout(900)

SIDECAR = "wal-receiver"
PLAIN = "plain"
SICK_FOR = 12
UNPULLABLE = "localhost/postbase/operator:nonsense"
ENDED = ("not found", "not running", "code 137", "CONTAINER_EXITED", "stopped", "deleted state")
"""Words of kubelet, containerd and runc about an exec in a container that has just ended."""


@pytest.fixture(scope="module")
def plain(db: Db) -> str:
    """A Service on the same pod that publishes ready addresses only."""
    ours = db.cluster.get("service", db.namespace, db.name)["spec"]
    spec = {key: ours[key] for key in ("selector", "ports")}
    meta = {"name": PLAIN, "namespace": db.namespace}
    db.cluster.apply({"apiVersion": "v1", "kind": "Service", "metadata": meta, "spec": spec})
    eventually(lambda: addresses(db, PLAIN), "the plain Service has the pod", seconds=30)
    return PLAIN


def addresses(db: Db, service: str) -> list[str]:
    """Where a Service sends its clients."""
    slices = db.cluster.listed(
        "endpointslices", db.namespace, f"kubernetes.io/service-name={service}"
    )
    return [
        address
        for each in slices
        for endpoint in each["endpoints"] or []
        if endpoint["conditions"]["ready"]
        for address in endpoint["addresses"]
    ]


def sidecar(db: Db) -> Body:
    statuses = db.cluster.get("pod", db.namespace, db.pod)["status"]["initContainerStatuses"]
    found: Body = next(status for status in statuses if status["name"] == SIDECAR)
    return found


def runs(db: Db) -> bool:
    return "running" in sidecar(db)["state"]


def crash(db: Db) -> None:
    """Ends its process where it runs, whatever image it has and whatever the operator thinks."""
    signal = "import os, signal; os.kill(1, signal.SIGTERM)"
    if not runs(db):
        return
    try:
        db.cluster.run_in(db.namespace, db.pod, SIDECAR, "python3", "-c", signal)
    except KubectlFailed as error:  # it may have ended in between, or before the answer came
        if not any(words in str(error) for words in ENDED):
            raise


def happened(db: Db) -> str:
    """What the kubelet has told of the pod."""
    events = db.cluster.listed("events", db.namespace)
    return "\n".join(e["message"] for e in events if e["involvedObject"]["name"] == db.pod)


@pytest.fixture
def served(db: Db, plain: str) -> Iterator[Callable[[], list[str]]]:
    """What is wrong with the database, as clients see it."""
    started, uid = db.started_at(), db.pod_uid()
    address = db.cluster.get("pod", db.namespace, db.pod)["status"]["podIP"]

    def wrong() -> list[str]:
        found = []
        if addresses(db, db.name) != [address]:
            found.append(f"the Service has {addresses(db, db.name)}")
        if not db.answers():
            found.append("no answer through the Service")
        ready = db.condition("Ready")
        if ready is None or ready["status"] != "True":
            found.append(f"Ready: {ready}")
        return found

    yield wrong
    assert wrong() == []
    assert db.pod_uid() == uid
    assert db.started_at() == started


def image_of(db: Db) -> str:
    containers = db.cluster.get("pod", db.namespace, db.pod)["spec"]["initContainers"]
    return next(str(each["image"]) for each in containers if each["name"] == SIDECAR)


def set_image(db: Db, image: str) -> None:
    patch = {"spec": {"initContainers": [{"name": SIDECAR, "image": image}]}}
    words = ("patch", "pod", db.pod, f"--namespace={db.namespace}", "--type=strategic")
    db.cluster.kubectl(*words, f"--patch={json.dumps(patch)}")


def test_a_sidecar_whose_image_cannot_be_pulled(
    db: Db, plain: str, served: Callable[[], list[str]]
) -> None:
    """Set again and again: the operator puts the right one back."""
    right = image_of(db)

    def cannot_be_pulled() -> bool:
        set_image(db, UNPULLABLE)
        return "ErrImagePull" in happened(db) and not runs(db)

    eventually(cannot_be_pulled, "it cannot be pulled", seconds=60)

    def wrong() -> list[str]:
        set_image(db, UNPULLABLE)
        return served()

    eventually(lambda: wrong() or not addresses(db, plain), "a plain Service loses it", seconds=60)
    throughout(wrong, "while the sidecar is missing", seconds=SICK_FOR, every=0.3)

    def lost() -> bool:
        set_image(db, UNPULLABLE)  # the right one, put back a moment ago, may just run
        return not addresses(db, plain)

    eventually(lost, "a plain Service has lost it to the end", seconds=60)
    set_image(db, right)
    eventually(lambda: addresses(db, plain), "the pod is ready again", seconds=60)


def test_a_sidecar_that_crashes_again_and_again(
    db: Db, plain: str, served: Callable[[], list[str]]
) -> None:
    """From its second end on the kubelet waits longer and longer before the next start."""

    def crash_loops() -> bool:
        crash(db)
        return sidecar(db)["restartCount"] >= 1 and not runs(db)

    eventually(crash_loops, "the kubelet waits before the next start", seconds=60)

    def lost() -> bool:
        crash(db)  # after its first end it starts again at once, before anybody has noticed
        return not addresses(db, plain)

    eventually(lost, "a plain Service loses the pod", seconds=60)

    def wrong() -> list[str]:
        crash(db)
        return served()

    throughout(wrong, "while the sidecar crashes", seconds=SICK_FOR, every=0.5)
