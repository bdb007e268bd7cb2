"""A process whose node is gone: told with the remedy, and given up only where the spec says so."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from postbase_operator.api.conditions import ConditionType, KStatus, find_condition
from postbase_operator.planning import plan as steps
from postbase_operator.planning.judgement import OVERDUE, is_lost
from postbase_operator.planning.next_look import STOP_AGAIN
from postbase_operator.planning.observed import Process, ProcessState
from unit.conftest import NOW, database
from unit.planning.test_database import HEALTHY, kinds, plan, verdict

JUST_OVERDUE = NOW - OVERDUE - timedelta(seconds=1)
STUCK = Process(
    state=ProcessState.STOPPING, reason="Terminating", identity="pod-1", ends_by=JUST_OVERDUE
)
GONE = replace(HEALTHY, process=STUCK, server=None)


@pytest.mark.parametrize(
    ("ends_by", "lost"),
    [
        (None, False),  # nobody has told it to end
        (NOW + timedelta(seconds=300), False),  # within its grace
        (NOW, False),
        (NOW - OVERDUE, False),  # the kubelet's own kill takes a moment
        (JUST_OVERDUE, True),
    ],
)
def test_it_is_lost_a_minute_after_its_last_moment(ends_by: datetime | None, lost: bool) -> None:
    assert is_lost(replace(STUCK, ends_by=ends_by), NOW) is lost


def test_it_is_told_with_both_ways_out_and_left_alone() -> None:
    made = plan(GONE, database(onNodeLoss="Wait"))
    assert verdict(made) == ("Running", "NodeLost", KStatus.IN_PROGRESS)
    told = find_condition(made.status.conditions, ConditionType.READY)
    assert told is not None
    assert "node.kubernetes.io/out-of-service" in told.message
    assert "spec.onNodeLoss: Replace" in told.message
    assert [notice.reason for notice in made.notices] == ["NodeLost"]
    assert not {"AbandonProcess", "ReplaceProcess", "RestartProcess"} & set(kinds(made))


def test_to_wait_is_what_happens_where_nothing_is_said() -> None:
    assert "AbandonProcess" not in kinds(plan(GONE))


def test_it_is_given_up_where_the_spec_says_so() -> None:
    made = plan(GONE, database(onNodeLoss="Replace"))
    assert made.steps[-1] == steps.AbandonProcess("pod-1")
    assert verdict(made) == ("Running", "NodeLost", KStatus.IN_PROGRESS)


def test_one_that_is_only_stopping_is_never_given_up() -> None:
    stopping = replace(STUCK, ends_by=NOW + timedelta(seconds=200))
    made = plan(replace(GONE, process=stopping), database(onNodeLoss="Replace"))
    assert "AbandonProcess" not in kinds(made)
    assert verdict(made)[1] == "Restarting"


def test_no_event_will_come_so_it_is_looked_at_again() -> None:
    stopping = replace(STUCK, ends_by=NOW + timedelta(seconds=200))
    for process in (stopping, STUCK):
        assert plan(replace(GONE, process=process)).requeue_after == STOP_AGAIN


def test_a_pause_hides_no_lost_node() -> None:
    made = plan(GONE, database(paused=True))
    assert verdict(made)[1] == "NodeLost"
    assert "AbandonProcess" in kinds(plan(GONE, database(paused=True, onNodeLoss="Replace")))


def test_the_next_process_is_another() -> None:
    """The step bears the lost one's identity; once the next runs there is nothing to give up."""
    made = plan(HEALTHY, database(onNodeLoss="Replace"))
    assert "AbandonProcess" not in kinds(made)
    assert verdict(made) == ("Running", "Running", KStatus.CURRENT)
