"""What an attempt comes to that the receiver's service takes: by order, deployment and word."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest

from postbase_operator.api.backup import Backup
from postbase_operator.archive.backup_order import BackupOrder, BackupWord
from postbase_operator.planning.backup import plan_backup
from postbase_operator.planning.backup_observed import BackupSeen, JobState, Limits, RunState
from postbase_operator.planning.backup_steps import StopRun
from postbase_operator.railway.backups import backup_state
from postbase_operator.railway.graphql.deployments import Deployment
from unit.conftest import NOW
from unit.desired.test_backup_job import run_of
from unit.planning.test_backup import POLICIES
from unit.planning.test_backup import backup as asked

HOUR = timedelta(hours=1)
ASKED = asked(method="Physical")
ORDER = BackupOrder(attempt=1, made_at=NOW, until=NOW + HOUR, run=run_of(ASKED))


def deployment(status: str = "SUCCESS", changed: datetime = NOW, **more: Any) -> Deployment:
    wire = {"id": "d1", "status": status, "statusUpdatedAt": changed.isoformat()}
    return Deployment.model_validate(wire | more)


def word(**more: Any) -> BackupWord:
    return BackupWord.model_validate({"id": ASKED.id, "attempt": 1, "at": NOW} | more)


def backup(*, deleted: bool = False, **told: Any) -> Backup:
    body = ASKED.to_wire() | {"status": told}
    if deleted:
        body["metadata"]["deletionTimestamp"] = NOW.isoformat()
    return Backup.model_validate(body)


@pytest.mark.parametrize(
    ("at", "said", "state", "reason"),
    [
        (None, None, RunState.WAITING, "Pending"),
        (deployment("BUILDING"), None, RunState.WAITING, "Pending"),
        (deployment("FAILED"), None, RunState.WAITING, "Pending"),
        (deployment(), None, RunState.WAITING, "Pending"),
        (deployment(), word(), RunState.RUNNING, ""),
        (deployment("CRASHED"), word(), RunState.FAILED, "Interrupted"),
        (deployment(deploymentStopped=True), word(), RunState.FAILED, "Interrupted"),
        (deployment(), word(ended=True), RunState.SUCCEEDED, ""),
        (deployment(), word(ended=True, reason="Denied"), RunState.FAILED, "Denied"),
        (deployment("CRASHED"), word(ended=True), RunState.SUCCEEDED, ""),
    ],
)
def test_how_it_does(
    at: Deployment | None, said: BackupWord | None, state: RunState, reason: str
) -> None:
    found = backup_state.of_order(ORDER, at, said)
    assert (found.attempt, found.state, found.reason) == (1, state, reason)
    assert bool(found.message) == (state is RunState.WAITING or reason == "Interrupted")


def test_a_process_that_comes_hours_later_has_not_waited_for_those() -> None:
    late = NOW + 3 * HOUR
    found = backup_state.of_order(ORDER, deployment(changed=late), None)
    assert found.since == late


@pytest.mark.parametrize(
    ("told", "left"),
    [
        ({"phase": "Completed"}, None),
        ({"phase": "Failed"}, RunState.RUNNING),
        ({"phase": "Completed", "deleted": True}, RunState.RUNNING),
        ({"phase": "Running", "deleted": True}, RunState.RUNNING),
    ],
)
def test_of_what_has_ended_only_an_order_that_could_be_taken_again_goes(
    told: dict[str, Any], left: RunState | None
) -> None:
    ended = backup(**told)
    found = backup_state.of_ended(ORDER, ended)
    assert (found.state if found else None) is left
    plan = plan_backup(ended, BackupSeen(job=found), POLICIES, Limits(), NOW)
    stops = [each for each in plan.steps if isinstance(each, StopRun)]
    assert len(stops) == (0 if left is None else 1)


def test_an_order_counts_for_its_backup_and_for_its_time() -> None:
    assert backup_state.counts(ORDER, backup(), NOW)
    assert not backup_state.counts(ORDER, backup(), NOW + HOUR)
    assert not backup_state.counts(None, backup(), NOW)
    of_another = ORDER.model_copy(update={"run": ORDER.run.model_copy(update={"id": "bkp_x"})})
    assert not backup_state.counts(of_another, backup(), NOW)


def test_one_that_railway_rejects_is_tried_again() -> None:
    told = backup(phase="Running", attempts=1, startedAt=NOW.isoformat())
    state = backup_state.rejected(1, NOW, "commit 'x': Invalid")
    plan = plan_backup(told, BackupSeen(job=state), POLICIES, Limits(), NOW)
    assert isinstance(state, JobState)
    assert "RailwayRefused" in str(plan.status.conditions)
    assert plan.requeue_after == 60.0
