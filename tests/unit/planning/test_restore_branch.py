"""Which branch is the present one when a restore is asked for, and whether to wait for the word."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from postbase_operator.api.database_status import ReceiverState
from postbase_operator.archive.receiver import ReceiverConfig, ReceiverReport
from postbase_operator.archive.wish import NOTHING, ArchivingWish
from postbase_operator.planning.archive_observed import ArchiveSeen
from postbase_operator.planning.observed import Observed, Process, ProcessState
from postbase_operator.planning.recovery import PATIENCE
from postbase_operator.planning.restore_branch import is_unsaid, written_timeline
from postbase_operator.planning.restore_recovery import bootstrap_of, has_begun, wish_of
from unit.archive.test_receiver import OWNER
from unit.conftest import NOW, database
from unit.planning.test_restore_recovery import PLAN, TO_TIME, told, wish

ARCHIVES = database(pitr={"enabled": True})
TOLD = ArchivingWish(ReceiverConfig(enabled=True, owner=OWNER))
"""By its own spec, or by its Project's default."""
SERVES = Observed(process=Process(state=ProcessState.RUNNING), archiving=TOLD)


def test_the_receiver_says_it() -> None:
    report = ReceiverReport(state=ReceiverState.RUNNING, writer="1", started_at=NOW, timeline=3)
    assert written_timeline(replace(SERVES, archive=ArchiveSeen(report=report))) == 3
    assert written_timeline(replace(SERVES, archive=ArchiveSeen())) is None
    assert written_timeline(SERVES) is None


def test_it_is_waited_for_and_not_for_long() -> None:
    assert is_unsaid(wish(), SERVES, NOW)
    assert is_unsaid(wish(), SERVES, NOW + PATIENCE - timedelta(seconds=1))
    assert not is_unsaid(wish(), SERVES, NOW + PATIENCE)


@pytest.mark.parametrize("state", [each for each in ProcessState if each != ProcessState.RUNNING])
def test_nobody_says_it_where_postgresql_does_not_run(state: ProcessState) -> None:
    assert not is_unsaid(wish(), replace(SERVES, process=Process(state=state)), NOW)


def test_nobody_says_it_where_nothing_is_archived() -> None:
    assert not is_unsaid(wish(), replace(SERVES, archiving=NOTHING), NOW)


def test_a_branch_that_is_named_needs_no_word() -> None:
    assert not is_unsaid(wish({**TO_TIME, "timeline": 1}), SERVES, NOW)


@pytest.mark.parametrize("source", [TO_TIME, {"lsn": "0/5000000"}])
def test_a_branch_that_is_named_is_meant_also_by_the_new_database(source: dict[str, Any]) -> None:
    named = wish({**source, "timeline": 2}, target={"newDatabase": {"name": "twin"}})
    wanted = wish_of(named.spec.source)
    assert wanted is not None
    assert wanted.timeline == 2
    begun = bootstrap_of(named, ARCHIVES).restore
    assert begun is not None
    assert begun.timeline == 2


@pytest.mark.parametrize("source", [TO_TIME, {"lsn": "0/5000000"}, {"latest": {}}])
def test_the_new_database_follows_the_branch_that_was_planned(source: dict[str, Any]) -> None:
    """It asks the archive itself, which may look otherwise than to who hears the receiver."""
    asked = wish(source, target={"newDatabase": {"name": "twin"}})
    planned = told(asked, asked.status.model_copy(update={"plan": PLAN}))
    made = bootstrap_of(planned, ARCHIVES)
    assert made.restore is not None
    assert made.restore.timeline == PLAN.timelines[-1]
    assert has_begun(planned, ARCHIVES, made)
    assert has_begun(asked, ARCHIVES, made), "a status that was lost has no plan"
    assert has_begun(planned, ARCHIVES, bootstrap_of(asked, ARCHIVES)), "of an earlier release"
    named = wish({**TO_TIME, "timeline": 1}, target={"newDatabase": {"name": "twin"}})
    assert not has_begun(named, ARCHIVES, made)
