"""When PostgreSQL is restarted: on request once a value, by itself only where the spec lets it."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from postbase_operator.api.conditions import find_condition
from postbase_operator.api.database import Database, DatabaseStatus
from postbase_operator.api.upkeep import MaintenanceWindow
from postbase_operator.planning import plan as steps
from postbase_operator.planning.observed import Observed, Server
from postbase_operator.planning.plan import Plan
from postbase_operator.planning.restart import REQUEST, opening
from unit.conftest import NOW, database
from unit.planning.test_database import FACTS, HEALTHY, RUNNING, plan

LONG_AGO = NOW - timedelta(days=3)
RESTART = steps.RestartProcess("pod-1")


def waiting(*parameters: str, since: datetime = LONG_AGO, **facts: Any) -> Observed:
    said = replace(FACTS, pending_restart=parameters, started_at=since, **facts)
    return replace(HEALTHY, server=Server(said, access_right=True))


def condition(made: Plan[DatabaseStatus]) -> tuple[str, str]:
    found = find_condition(made.status.conditions, "RestartPending")
    return (found.reason, found.message) if found else ("", "")


def asked(value: str, status: DatabaseStatus | None = None, **spec: Any) -> Database:
    db = database(**spec)
    metadata = db.metadata.model_copy(update={"annotations": {REQUEST: value}})
    return db.model_copy(update={"metadata": metadata, "status": status or db.status})


def test_a_parameter_that_needs_it_restarts_at_once_without_a_window() -> None:
    made = plan(waiting("max_connections"))
    assert RESTART in made.steps
    assert "max_connections" in condition(made)[1]


def test_never_means_never() -> None:
    made = plan(waiting("max_connections"), database(restartPolicy="Never"))
    assert RESTART not in made.steps
    assert "spec.restartPolicy is Never" in condition(made)[1]
    assert REQUEST in condition(made)[1]


def test_it_waits_for_its_window_and_wakes_up_for_it() -> None:
    window = {"start": "13:00", "timeZone": "UTC"}  # NOW is noon
    opens = NOW.replace(hour=13, minute=0, second=0, microsecond=0)
    made = plan(waiting("max_connections"), database(maintenanceWindow=window))
    assert RESTART not in made.steps
    assert f"{opens:%Y-%m-%dT%H:%M:%SZ}" in condition(made)[1]
    assert made.requeue_after is not None
    assert made.requeue_after <= (opens - NOW).total_seconds()
    made = plan(waiting("max_connections"), database(maintenanceWindow=window), now=opens)
    assert RESTART in made.steps


@pytest.mark.parametrize(
    "seen",
    [
        waiting("shared_buffers"),  # derived from the memory, which changes without a restart
        waiting("max_connections", rejected=("work_mem: nonsense",)),  # it would start as it was
        waiting("max_connections", since=NOW - timedelta(seconds=5)),  # not for ever and ever
        replace(HEALTHY, process=replace(RUNNING, waiting_changes=("image of postgres",))),
    ],
)
def test_what_never_restarts_by_itself(seen: Observed) -> None:
    made = plan(seen)
    assert RESTART not in made.steps
    assert condition(made)[0]


def test_a_request_is_written_down_then_done_then_over() -> None:
    first = plan(HEALTHY, asked("one"))
    assert RESTART not in first.steps  # a kill now must not lose what was not written down
    assert first.status.requests == {"restart": "one"}
    assert first.status.restarting == "pod-1"
    assert first.requeue_after is not None
    assert 0 < first.requeue_after < 1
    second = plan(HEALTHY, asked("one", first.status))
    assert RESTART in second.steps
    again = plan(HEALTHY, asked("one", second.status))
    assert RESTART in again.steps  # killed after the step: done until it shows
    new = replace(HEALTHY, process=replace(RUNNING, identity="pod-2"))
    third = plan(new, asked("one", second.status))
    assert [s for s in third.steps if isinstance(s, steps.RestartProcess)] == []
    assert third.status.restarting is None
    assert third.status.requests == {"restart": "one"}
    fourth = plan(new, asked("two", third.status))
    assert fourth.status.restarting == "pod-2"


def test_a_request_on_a_paused_database_is_served_by_its_next_start() -> None:
    made = plan(replace(HEALTHY, process=replace(RUNNING, identity="")), asked("one", paused=True))
    assert made.status.requests == {"restart": "one"}
    assert made.status.restarting is None
    assert [s for s in made.steps if isinstance(s, steps.RestartProcess)] == []


@given(
    days=st.sets(st.sampled_from(["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"])),
    hour=st.integers(0, 23),
    minutes=st.integers(1, 60 * 24 * 2),
    zone=st.sampled_from(["UTC", "Europe/Paris", "America/New_York", "Pacific/Chatham"]),
    now=st.integers(0, 63_000_000).map(
        lambda s: datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=s)
    ),
)
def test_a_window_opens_when_it_says_and_within_eight_days(
    days: set[str], hour: int, minutes: int, zone: str, now: datetime
) -> None:
    window = MaintenanceWindow.model_validate(
        {
            "days": sorted(days),
            "start": f"{hour:02}:30",
            "duration": f"{minutes}m",
            "timeZone": zone,
        }
    )
    opens = opening(window, now)
    if opens is None:
        return
    assert now < opens <= now + timedelta(days=8)
    assert opening(window, opens) is None
    assert opening(window, opens - timedelta(seconds=1)) == opens


def test_a_window_that_began_yesterday_is_still_open_after_midnight() -> None:
    window = MaintenanceWindow.model_validate({"days": ["Sat"], "start": "23:00", "duration": "4h"})
    sunday = datetime(2026, 11, 29, 1, 0, tzinfo=UTC)
    assert opening(window, sunday) is None
    assert opening(window, sunday + timedelta(hours=3)) == datetime(2026, 12, 5, 23, tzinfo=UTC)
