"""A Database that begins with an archive: it is asked, and nothing begins empty."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from postbase_operator.planning import plan as steps
from postbase_operator.planning.archived import Offer, task_of
from postbase_operator.planning.backup_observed import JobState, RunState
from postbase_operator.planning.beginning_archive import needs_offer
from postbase_operator.planning.observed import Fill, Observed, VolumeRole
from unit.conftest import NOW, UID, database
from unit.planning.test_database import CURRENT, kinds, plan, verdict
from unit.planning.test_restore_recovery import OFFER, PLAN

RESTORE = {"restore": {"from": {"name": "old"}, "targetTime": "2026-11-23T11:00:00Z"}}
BEGUN = replace(CURRENT, role=VolumeRole.FILLING, restore=UID, system_id="")
WAYS = [RESTORE, {"latest": {}}]


@pytest.mark.parametrize("bootstrap", WAYS)
def test_a_volume_is_made_filled_recovered_and_promoted(bootstrap: dict[str, Any]) -> None:
    db = database(bootstrap=bootstrap)
    made = plan(Observed(source_archive=OFFER), db)
    assert kinds(made) == ["EnsureSecrets", "CreateVolume"]
    made = plan(Observed(volumes=(BEGUN,), source_archive=OFFER), db)
    fill = made.steps[-1]
    assert isinstance(fill, steps.FillVolume)
    assert fill.recovery is not None
    assert (fill.recovery.end, fill.recovery.keeps_archive) == (PLAN.target_lsn, False)
    ended = Fill(BEGUN.name, JobState(1, RunState.SUCCEEDED, NOW), CURRENT.system_id)
    made = plan(Observed(volumes=(BEGUN,), fill=ended), db)
    assert kinds(made) == ["EnsureSecrets", "PromoteVolume"]


@pytest.mark.parametrize("bootstrap", WAYS)
@pytest.mark.parametrize(
    ("offer", "said"),
    [
        (None, "Pending"),
        (Offer(reason="NoArchive", message="there is none"), "NoArchive"),
        (Offer(reason="TargetAfterWindow", message="…", passing=True), "WaitingForArchive"),
        (replace(OFFER, version="14.2"), "VersionMismatch"),
    ],
)
def test_nothing_is_made_while_the_archive_offers_nothing(
    bootstrap: dict[str, Any], offer: Offer | None, said: str
) -> None:
    made = plan(Observed(source_archive=offer), database(bootstrap=bootstrap))
    assert (made.steps, verdict(made)[1]) == ((), said)


def test_the_archive_is_asked_only_where_a_fill_is_to_begin() -> None:
    db = database(bootstrap=RESTORE)
    runs = Fill(BEGUN.name, JobState(1, RunState.RUNNING, NOW))
    assert needs_offer(db, Observed())
    assert not needs_offer(db, Observed(volumes=(BEGUN,), fill=runs))
    assert not needs_offer(db, Observed(volumes=(CURRENT,)))
    assert not needs_offer(database(), Observed())


def test_what_is_given_up_asks_no_archive_and_is_looked_at_seldom() -> None:
    db = database(bootstrap=RESTORE)
    job = JobState(1, RunState.FAILED, NOW, NOW, "RunLost")
    assert needs_offer(db, Observed(volumes=(BEGUN,), fill=Fill(BEGUN.name, job)))
    for last in (replace(job, attempt=3), replace(job, reason="WalGap")):
        seen = Observed(volumes=(BEGUN,), fill=Fill(BEGUN.name, last))
        assert not needs_offer(db, seen)
        made = plan(seen, db)
        assert verdict(made)[1] == last.reason
        assert (made.requeue_after or 0) >= 60


def test_a_copy_that_is_staged_is_recovered_by_another_step() -> None:
    """Where nothing can stand beside PostgreSQL (Railway): not before all is on the volume."""
    db = database(bootstrap=RESTORE)
    runs = Fill(BEGUN.name, JobState(1, RunState.RUNNING, NOW))
    assert "RecoverVolume" not in kinds(plan(Observed(volumes=(BEGUN,), fill=runs), db))
    staged = replace(runs, staged=True)
    made = plan(Observed(volumes=(BEGUN,), fill=staged), db)
    assert made.steps[-1] == steps.RecoverVolume(BEGUN.name, BEGUN.restore)
    assert verdict(made)[1] == "Recovering"
    failed = replace(staged, job=replace(runs.job, state=RunState.FAILED, reason="WalGap"))
    made = plan(Observed(volumes=(BEGUN,), fill=failed, source_archive=OFFER), db)
    assert "RecoverVolume" not in kinds(made)


def test_what_falls_short_of_what_the_attempt_was_told_is_never_served() -> None:
    """Also where the archive is not asked any more: the platform has kept what it was told."""
    task = task_of(PLAN, UID, in_place=False)
    assert task is not None
    assert task.last_commit is not None
    early = (task.last_commit - timedelta(seconds=1)).isoformat()
    job = JobState(1, RunState.SUCCEEDED, NOW)
    ended = Fill(BEGUN.name, job, CURRENT.system_id, early, task)
    made = plan(Observed(volumes=(BEGUN,), fill=ended), database(bootstrap=RESTORE))
    assert kinds(made) == ["EnsureSecrets"]  # and no further attempt
    assert verdict(made)[1] == "RecoveryFailed"
    whole = replace(ended, last_commit=task.last_commit.isoformat())
    made = plan(Observed(volumes=(BEGUN,), fill=whole), database(bootstrap=RESTORE))
    assert "PromoteVolume" in kinds(made)
