"""What a backup's Job and pod tell, as API servers and kubelets write it."""

from __future__ import annotations

from typing import Any

import pytest

from postbase_operator.archive.run import LastWord
from postbase_operator.kube.backup_jobs import JOB_NAME, pod_of, source_bytes, state_of
from postbase_operator.planning.backup_observed import RunState
from unit.conftest import NOW

AT = "2026-11-23T12:00:00Z"
NAME = "nightly-4b1e4f5c-2"


def job(*conditions: dict[str, str], **meta: Any) -> dict[str, Any]:
    told = [{"status": "True", "lastTransitionTime": AT} | each for each in conditions]
    return {
        "metadata": {"name": NAME, "creationTimestamp": AT} | meta,
        "spec": {"template": {"spec": {"containers": [{"name": "backup"}]}}},
        "status": {"conditions": told},
    }


def pod(state: dict[str, Any] | None = None, **status: Any) -> dict[str, Any]:
    containers = [{"name": "backup", "state": state or {}}]
    labels = {JOB_NAME: NAME}
    return {"metadata": {"labels": labels}, "status": {"containerStatuses": containers} | status}


def ended(code: int, message: str = "", reason: str = "Error") -> dict[str, Any]:
    return {"terminated": {"exitCode": code, "reason": reason, "message": message}}


WORD = LastWord(reason="DumpFailed", message="pg_dump ended with 1").to_bytes().decode()
FAILED = {"type": "Failed", "reason": "BackoffLimitExceeded", "message": "Job has reached …"}
LATE = {"type": "Failed", "reason": "DeadlineExceeded", "message": "Job was active too long"}
UNPLACED = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "no"}
NO_IMAGE = [{"name": "dump", "state": {"waiting": {"reason": "ImagePullBackOff", "message": "x"}}}]
CASES = [
    (job(), None, RunState.WAITING, "Pending"),
    (job(), pod(), RunState.WAITING, "Starting"),
    (job(), pod({"waiting": {"reason": "PodInitializing"}}), RunState.WAITING, "Starting"),
    (job(), pod(conditions=[UNPLACED]), RunState.WAITING, "Unschedulable"),
    (job(), pod(initContainerStatuses=NO_IMAGE), RunState.WAITING, "ImagePullBackOff"),
    (job(), pod({"running": {"startedAt": AT}}), RunState.RUNNING, ""),
    (job(), pod(ended(1, WORD)), RunState.WAITING, "Starting"),  # the Job has not noticed yet
    (job({"type": "Complete"}), pod(ended(0)), RunState.SUCCEEDED, ""),
    (job({"type": "Complete"}), None, RunState.SUCCEEDED, ""),
    (job(FAILED), pod(ended(1, WORD)), RunState.FAILED, "DumpFailed"),
    (job(FAILED), pod(ended(137, reason="OOMKilled")), RunState.FAILED, "OOMKilled"),
    (job(FAILED), pod(ended(1, "Traceback …")), RunState.FAILED, "Error"),
    (job(FAILED), pod(ended(137), reason="Evicted"), RunState.FAILED, "Evicted"),
    (job(FAILED), None, RunState.FAILED, "BackoffLimitExceeded"),
    (job(LATE), pod(ended(137, WORD)), RunState.FAILED, "DeadlineExceeded"),
    (job(deletionTimestamp=AT), pod({"running": {}}), RunState.STOPPING, ""),
]


@pytest.mark.parametrize(("made", "its", "state", "reason"), CASES)
def test_each_state_of_a_job_and_its_pod(
    made: dict[str, Any], its: dict[str, Any] | None, state: RunState, reason: str
) -> None:
    told = state_of(made, its)
    assert (told.attempt, told.state, told.reason) == (2, state, reason)
    assert told.since == NOW
    assert (told.ended_at == NOW) is (state in (RunState.SUCCEEDED, RunState.FAILED))


def test_the_last_word_is_the_program_s_own() -> None:
    told = state_of(job(FAILED), pod(ended(1, WORD)))
    assert told.message == "pg_dump ended with 1"
    killed = state_of(job(FAILED), pod(ended(137, reason="OOMKilled")))
    assert killed.message == "the backup's program ended with 137"


def test_its_pod_is_found_among_others() -> None:
    other = {"metadata": {"labels": {JOB_NAME: "nightly-4b1e4f5c-1"}}}
    bare: dict[str, Any] = {"metadata": {}}
    assert pod_of(job(), [bare, other, pod()]) == pod()
    assert pod_of(job(), [bare, other]) is None


def test_how_much_there_is_to_read_is_what_the_run_was_told() -> None:
    assert source_bytes(job()) is None
    later = job()
    env = [{"name": "POSTBASE_RUN", "value": '{"version": 9}'}]
    later["spec"]["template"]["spec"]["containers"] = [{"name": "backup", "env": env}]
    assert source_bytes(later) is None
