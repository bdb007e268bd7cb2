"""From a pod's status, as a real kubelet writes it, to what the planner knows."""

from __future__ import annotations

from typing import Any

import pytest

from postbase_operator.kube.observe import process, volume, volumes
from postbase_operator.planning.observed import ProcessState, VolumeRole

WAITING = {"waiting": {"reason": "PodInitializing"}}
RUNNING = {"running": {"startedAt": "2026-11-23T12:00:00Z"}}


def pod(
    main: dict[str, Any] | None = None,
    init: dict[str, Any] | None = None,
    meta: dict[str, Any] | None = None,
    **status: Any,
) -> dict[str, Any]:
    base = {"name": "postgres", "state": WAITING, "image": "p:15", "imageID": "sha256:1"}
    return {
        "metadata": {"name": "db-1-0"} | (meta or {}),
        "status": {
            "podIP": "10.0.0.9",
            "containerStatuses": [base | (main or {})],
            "initContainerStatuses": [{"name": "initdb", "state": WAITING} | (init or {})],
        }
        | status,
    }


def ended(code: int, message: str = "") -> dict[str, Any]:
    return {"terminated": {"exitCode": code, "reason": "Error", "message": message}}


@pytest.mark.parametrize(
    ("seen", "state", "reason", "code"),
    [
        (None, ProcessState.ABSENT, "", None),
        (pod({"state": RUNNING, "started": False}), ProcessState.STARTING, "", None),
        (pod({"state": RUNNING, "started": True}), ProcessState.RUNNING, "", None),
        (
            pod(
                {"state": RUNNING, "started": True},
                meta={"deletionTimestamp": "2026-11-23T12:05:00Z"},
            ),
            ProcessState.STOPPING,
            "Terminating",
            None,
        ),
        (pod(), ProcessState.WAITING, "PodInitializing", None),
        (
            pod({"state": {"waiting": {"reason": "CrashLoopBackOff"}}, "lastState": ended(75)}),
            ProcessState.FAILED,
            "Error",
            75,
        ),
        (pod({"state": ended(64)}), ProcessState.FAILED, "Error", 64),
        (
            pod({"state": {"waiting": {"reason": "ImagePullBackOff"}}}),
            ProcessState.WAITING,
            "ImagePullBackOff",
            None,
        ),
        (
            pod(init={"state": {"waiting": {"reason": "CrashLoopBackOff"}}, "lastState": ended(1)}),
            ProcessState.FAILED,
            "Error",
            1,
        ),
        (pod(init={"state": ended(0)}), ProcessState.WAITING, "PodInitializing", None),
        (
            pod(
                conditions=[{"type": "PodScheduled", "status": "False", "reason": "Unschedulable"}],
                containerStatuses=[],
                initContainerStatuses=[],
            ),
            ProcessState.WAITING,
            "Unschedulable",
            None,
        ),
    ],
)
def test_process(
    seen: dict[str, Any] | None, state: ProcessState, reason: str, code: int | None
) -> None:
    found = process(seen)
    assert (found.state, found.reason, found.exit_code) == (state, reason, code)


def test_a_crash_that_is_over_is_not_told() -> None:
    found = process(pod({"state": RUNNING, "started": True, "lastState": ended(1)}))
    assert found.state is ProcessState.RUNNING


def test_the_last_line_of_a_container_is_its_message() -> None:
    found = process(pod({"state": ended(64, "LOG: one\nstart.sh: DataMissing: gone\n")}))
    assert found.message == "start.sh: DataMissing: gone"


@pytest.mark.parametrize(
    ("pods", "update", "seen", "outdated"),
    [("a", "b", 2, True), ("a", "a", 2, False), ("a", "b", 1, False)],
)
def test_outdated_is_judged_by_a_template_that_the_controller_has_seen(
    pods: str, update: str, seen: int, outdated: bool
) -> None:
    workload = {
        "metadata": {"generation": 2},
        "spec": {"template": {"spec": {}}},
        "status": {"observedGeneration": seen, "updateRevision": update},
    }
    body = {**pod(meta={"labels": {"controller-revision-hash": pods}}), "spec": {}}
    assert process(body, workload).outdated is outdated
    assert not process(body).outdated


def claim(uid: str = "mine", **annotations: str) -> dict[str, Any]:
    marks = {"database-uid": uid, "generation": "2", "role": "current"} | annotations
    return {
        "metadata": {
            "name": "db-1-2",
            "annotations": {f"postbase.sh/{name}": value for name, value in marks.items()},
        },
        "spec": {"resources": {"requests": {"storage": "1Gi"}}},
        "status": {"capacity": {"storage": "2Gi"}},
    }


def test_volume() -> None:
    found = volume(claim(**{"system-id": "73"}))
    assert (found.generation, found.role, found.system_id) == (2, VolumeRole.CURRENT, "73")
    assert (found.requested_bytes, found.capacity_bytes) == (2**30, 2**31)


@pytest.mark.parametrize("role", ["", "king"])
def test_a_role_that_is_none_is_none(role: str) -> None:
    assert volume(claim(role=role)).role is None


def test_volumes_of_another_database_are_told_apart() -> None:
    own, foreign = volumes([claim(), claim(uid="theirs")], "mine")
    assert len(own) == 1
    assert foreign == ("db-1-2",)
