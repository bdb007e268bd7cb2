"""Conditions: times that mean something, and the three states that kstatus knows."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from postbase_operator.api.conditions import (
    Condition,
    KStatus,
    find_condition,
    is_true,
    kstatus,
    remove_condition,
    set_condition,
    set_ready,
    set_reconciling,
    set_stalled,
)

NOW = datetime(2026, 11, 23, 14, 30, 0, 500_000, tzinfo=UTC)
LATER = NOW + timedelta(minutes=5)


def ready(status: bool | None, now: datetime = NOW, message: str = "") -> tuple[Condition, ...]:
    return set_condition((), "Ready", status, "Why", message, now, 3)


def test_a_new_message_is_no_transition() -> None:
    after = set_condition(ready(False), "Ready", False, "Other", "still", LATER, 4)
    (condition,) = after
    assert condition.last_transition_time == NOW.replace(microsecond=0)
    assert (condition.reason, condition.message) == ("Other", "still")
    assert condition.observed_generation == 4


@pytest.mark.parametrize("status", [True, None])
def test_another_status_is_a_transition(status: bool | None) -> None:
    (condition,) = set_condition(ready(False), "Ready", status, "Why", "", LATER, 3)
    assert condition.last_transition_time == LATER.replace(microsecond=0)


def test_nothing_changes_where_nothing_changed() -> None:
    """Equal conditions are no reason to write a status."""
    assert set_condition(ready(True), "Ready", True, "Why", "", LATER, 3) == ready(True)


def test_keeps_places_and_others() -> None:
    both = set_condition(ready(True), "Degraded", False, "Fine", "", NOW)
    after = set_condition(both, "Ready", False, "Broken", "", LATER)
    assert [c.type for c in after] == ["Ready", "Degraded"]
    assert after[1] is both[1]
    assert remove_condition(after, "Ready") == (both[1],)
    assert find_condition(after, "Archiving") is None
    assert not is_true(after, "Archiving")


def test_wire_form_is_metav1() -> None:
    assert ready(None, message="x")[0].to_wire() == {
        "type": "Ready",
        "status": "Unknown",
        "reason": "Why",
        "message": "x",
        "lastTransitionTime": "2026-11-23T14:30:00Z",
        "observedGeneration": 3,
    }


@pytest.mark.parametrize(
    ("setter", "verdict", "types"),
    [
        (set_ready, KStatus.CURRENT, {"Ready"}),
        (set_reconciling, KStatus.IN_PROGRESS, {"Ready", "Reconciling"}),
        (set_stalled, KStatus.FAILED, {"Ready", "Stalled"}),
    ],
)
@pytest.mark.parametrize("before", [(), set_ready, set_reconciling, set_stalled])
def test_each_state_replaces_any_other(setter, verdict, types, before) -> None:  # type: ignore[no-untyped-def]
    start = before((), "Was", "", NOW, 1) if before else ()
    conditions = setter(start, "Is", "", LATER, 2)
    assert {c.type for c in conditions} == types
    assert kstatus(conditions, generation=2, observed=2, deleting=False) is verdict


def test_kstatus_asks_in_its_order() -> None:
    done = set_ready((), "Is", "", NOW, 2)
    assert kstatus(done, generation=2, observed=2, deleting=True) is KStatus.TERMINATING
    assert kstatus(done, generation=3, observed=2, deleting=False) is KStatus.IN_PROGRESS
    assert kstatus((), generation=1, observed=-1, deleting=False) is KStatus.IN_PROGRESS
    assert kstatus((), generation=1, observed=None, deleting=False) is KStatus.CURRENT
