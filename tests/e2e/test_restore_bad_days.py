"""What goes wrong while a restore out of the archive runs, on one Database that goes on serving.

Each restore goes to the same moment, so that the rows say whether it went there: whatever was
killed on the way.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import pytest

from e2e.bucket import Bucket
from e2e.cluster import OPERATOR_NAMESPACE, Body, Cluster, eventually
from e2e.conftest import NewDb
from e2e.database import Db
from e2e.runs import PREVIOUS, Run, restore
from e2e.test_pitr import PITR, window, zulu
from e2e.test_restores import claims
from node.bringup import NODE, ctr
from node.errors import NodeError

pytestmark = pytest.mark.timeout(900)

STORE = "app.kubernetes.io/component=object-store"
LOG_MEGABYTES = 384
"""Of log between the base backup and the moment: seconds of replay, in which to kill."""
LOG = (
    "INSERT INTO load SELECT n, repeat(md5(n::text), 30)"
    " FROM generate_series({first}, {first} + 15999) n"
)
SHORT: dict[str, Any] = {"keepPrevious": "3m"}


@dataclass(frozen=True)
class Past:
    """A moment, and what `notes` held then."""

    db: Db
    moment: datetime
    rows: list[str]

    def to(self, name: str) -> Run:
        return restore(self.db, name, {"targetTime": zulu(self.moment)}, **SHORT)


@contextmanager
def a_past(new_db: NewDb, cluster: Cluster, log_megabytes: int) -> Iterator[Past]:
    """A Database with a window, and that much log between its base backup and the moment."""
    db = new_db("main")
    db.apply(storage={"size": "2Gi"}, **PITR)
    db.wait_ready()
    db.rows("CREATE TABLE load (n int, body text)")
    db.wait_for("Archiving", "True", seconds=120)
    eventually(lambda: window(db).get("from"), "there is a recovery window", seconds=240)
    db.fill("before the moment")
    for number in range(log_megabytes // 16):
        db.rows(LOG.format(first=number * 16000))
    moment = db.value("SELECT clock_timestamp()")
    db.fill("after the moment")
    uid = db.live()["metadata"]["uid"]
    yield Past(db, moment, ["before the moment"])
    Bucket(cluster).clear(f"v1/{uid}/")


@pytest.fixture(scope="module")
def past(new_db: NewDb, cluster: Cluster) -> Iterator[Past]:
    with a_past(new_db, cluster, LOG_MEGABYTES) as found:
        yield found


def container(pod: Body | None, name: str) -> Body:
    """The status of one of a pod's; empty where it is not there yet."""
    status = (pod or {}).get("status") or {}
    all_ = [*(status.get("initContainerStatuses") or []), *(status.get("containerStatuses") or [])]
    return next((each for each in all_ if each["name"] == name), {})


def running(run: Run, name: str) -> str:
    """Its id, once the node's runtime has it; "" before. Not by the pod's status, which is up to
    some seconds behind: a replay may be over by then."""
    pod = run.pod()
    if pod is None:
        return ""
    labels = {"pod.uid": pod["metadata"]["uid"], "container.name": name}
    wanted = ",".join(f'labels."io.kubernetes.{key}"=={value}' for key, value in labels.items())
    found = set(ctr("containers", "ls", "--quiet", wanted).split())
    tasks = (line.split() for line in ctr("tasks", "ls").splitlines())
    return next((each for each, _, state, *_ in tasks if each in found and state == "RUNNING"), "")


def replays(run: Run) -> bool:
    """Some of the log has been given to PostgreSQL, and not all: by the file that the node keeps of
    the container's output."""
    pod = run.pod()
    if pod is None:
        return False
    metadata = pod["metadata"]
    folder = f"{metadata['namespace']}_{metadata['name']}_{metadata['uid']}"
    logs = (NODE.pod_logs / folder / "recover").glob("*.log")
    said = "".join(each.read_text(errors="replace") for each in logs)
    return said.count("restored log file") > 2


def kill(container_id: str) -> None:
    ctr("tasks", "kill", "--signal=SIGKILL", container_id)


def is_struck(run: Run, name: str) -> bool:
    """False where its container has ended by itself: we stood still, or it was too quick."""
    try:
        found = running(run, name)
        if found:
            kill(found)
    except NodeError:
        return False
    return bool(found)


def kill_store(cluster: Cluster) -> str:
    """Its id. A module beside this one kills it as well: the one that its pod names may be gone."""

    def killed() -> str:
        found = str(container(store_pod(cluster), "versitygw").get("containerID", ""))
        try:
            kill(found.rpartition("/")[2])
        except NodeError:
            return ""
        return found

    return eventually(killed, "the store is killed", seconds=60)


def row(run: Run) -> dict[str, str]:
    """What `kubectl get pbrestore` shows of it, by column; "" for an empty cell."""
    head, line = run.db.cluster.kubectl(
        "get", "pbrestore", run.name, f"--namespace={run.db.namespace}"
    ).splitlines()
    columns = [(found.group(), found.start()) for found in re.finditer(r"\S+", head)]
    ends = [start for _, start in columns[1:]] + [len(line)]
    return {name: line[start:end].strip() for (name, start), end in zip(columns, ends, strict=True)}


@contextmanager
def watched(run: Run) -> Iterator[list[dict[str, str]]]:
    """Its rows, one after the other, as somebody sees them who asks again and again; and how many
    attempts there are (`JOBS`)."""
    rows: list[dict[str, str]] = []
    over = threading.Event()

    def look() -> None:
        while not over.wait(1.0):
            rows.append({**row(run), "JOBS": str(len(run.jobs()))})

    with ThreadPoolExecutor(1) as pool:
        looking = pool.submit(look)
        try:
            yield rows
        finally:
            over.set()
        looking.result()


def operators(cluster: Cluster) -> set[str]:
    return {pod["metadata"]["uid"] for pod in cluster.operator_pods()}


def undo(past: Past, name: str) -> None:
    restore(past.db, name, PREVIOUS, **SHORT).apply().wait()
    past.db.wait_answers()
    assert past.db.notes() == ["after the moment", *past.rows]


def tries(past: Past, name: str) -> Iterator[str]:
    """Names of restores, until one was met in its middle; each that was not is undone."""
    for number in range(1, 4):
        yield f"{name}-{number}"
        past.db.wait_answers()
        undo(past, f"{name}-{number}-undone")
    raise AssertionError("none was met in its middle")


def wait_replay(run: Run) -> None:
    eventually(lambda: replays(run) or run.is_completed(), "it replays", seconds=150, every=0.05)


def test_the_sidecar_is_killed_in_the_middle_of_the_replay(past: Past) -> None:
    """It begins anew beside PostgreSQL, which waits for it: the attempt goes on. All the while
    `kubectl get pbrestore` tells where to, how far it is and when it will be done."""
    operated = operators(past.db.cluster)
    for name in tries(past, "without-sidecar"):
        asked = past.to(name).apply()
        with watched(asked) as rows:
            wait_replay(asked)
            struck = is_struck(asked, "prefetch")
            asked.wait(seconds=240)
        if struck:
            break
    assert {each["TARGET-TIME"] for each in rows} == {zulu(past.moment)}
    on_its_way = [each for each in rows if each["DONE"] not in ("", "0", "100")]
    assert any(each["ESTIMATED-END"] for each in on_its_way), rows
    assert {each["PHASE"] for each in on_its_way} == {"Running"}
    assert (row(asked)["PHASE"], row(asked)["DONE"]) == ("Completed", "100")
    past.db.wait_answers()
    assert past.db.notes() == past.rows
    # A failed Job stays beside the next one.
    assert {each["JOBS"] for each in rows} <= {"0", "1"}, "it took more than one attempt"
    # An operator that a neighbour kills between the marks and the status tells no times.
    assert "measured" in asked.status() or operators(past.db.cluster) != operated
    undo(past, "back-1")


def test_the_recovery_s_pod_is_killed_in_the_middle_of_the_replay(past: Past) -> None:
    """Another attempt, from an empty folder; the Database serves on meanwhile."""
    db = past.db
    for name in tries(past, "without-pod"):
        started = db.started_at()
        asked = past.to(name).apply()
        wait_replay(asked)
        if is_struck(asked, "recover"):
            break
        asked.wait(seconds=240)
    eventually(lambda: len(asked.jobs()) == 2, "a second attempt", seconds=120)
    assert db.started_at() == started
    asked.wait(seconds=240)
    db.wait_answers()
    assert db.notes() == past.rows
    assert [each for each in claims(db).values() if each == "current"] == ["current"]
    undo(past, "back-2")


def store_pod(cluster: Cluster) -> Body:
    (found,) = cluster.listed("pods", OPERATOR_NAMESPACE, STORE)
    return found


def test_the_store_s_process_is_killed_in_the_middle_of_the_fill(
    past: Past, cluster: Cluster
) -> None:
    """It is asked again until it answers."""
    asked = past.to("without-store").apply()
    eventually(
        lambda: running(asked, "fill") or replays(asked) or asked.is_completed(),
        "it fills",
        seconds=120,
        every=0.05,
    )
    killed = kill_store(cluster)
    asked.wait(seconds=240)
    # Not by the number of its restarts: a module beside this one kills it as well.
    eventually(
        lambda: container(store_pod(cluster), "versitygw").get("containerID") != killed,
        "another process of the store",
        seconds=60,
    )
    past.db.wait_answers()
    assert past.db.notes() == past.rows
    undo(past, "back-3")
