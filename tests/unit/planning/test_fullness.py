"""A volume that fills: told before, named when it is full, and taken up again when it has grown."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from postbase_operator.api.conditions import KStatus, find_condition
from postbase_operator.api.database import Database
from postbase_operator.planning.observed import Observed, Process, ProcessState
from postbase_operator.planning.plan import Plan
from postbase_operator.planning.status import NEARLY_FULL
from unit.conftest import database
from unit.planning.test_database import CURRENT, GIB, HEALTHY, kinds, plan, verdict

FULL = Process(
    state=ProcessState.FAILED,
    exit_code=1,
    identity="pod-1",
    message="PANIC: could not write to file: No space left on device",
)


def using(percent: int) -> Observed:
    assert HEALTHY.server is not None
    return replace(HEALTHY, server=replace(HEALTHY.server, used_bytes=GIB * percent // 100 + 1))


def after(made: Plan, **spec: Any) -> Database:  # type: ignore[type-arg]  # of any status
    return database(**spec).model_copy(update={"status": made.status})


def test_it_is_told_before_and_once() -> None:
    assert find_condition(plan(using(79)).status.conditions, NEARLY_FULL) is None
    made = plan(using(81))
    told = find_condition(made.status.conditions, NEARLY_FULL)
    assert told is not None
    assert "80 % of 1Gi" in told.message
    assert "spec.storage.size" in told.message
    assert [n.reason for n in made.notices if n.type == "Warning"] == [NEARLY_FULL]
    assert verdict(made)[2] is KStatus.CURRENT  # it works, and nobody's sync is held up

    again = plan(using(83), after(made))
    assert again.status == made.status  # no write for a figure that moved
    assert not again.notices


def test_it_is_told_until_there_is_room() -> None:
    told = after(plan(using(81)))
    assert find_condition(plan(using(76), told).status.conditions, NEARLY_FULL) is not None
    assert find_condition(plan(using(74), told).status.conditions, NEARLY_FULL) is None


def test_a_full_volume_waits_for_a_person() -> None:
    full = replace(HEALTHY, process=FULL, server=None)
    made = plan(full)
    assert verdict(made) == ("Failed", "VolumeFull", KStatus.FAILED)
    ready = find_condition(made.status.conditions, "Ready")
    assert ready is not None
    assert "spec.storage.size" in ready.message
    assert "ReplaceProcess" not in kinds(made)


def test_once_grown_it_is_started_again_and_not_before() -> None:
    small = replace(HEALTHY, process=FULL, server=None)
    db = after(plan(small), storage={"size": "2Gi"})
    assert "GrowVolume" in kinds(plan(small, db))

    growing = replace(small, volumes=(replace(CURRENT, requested_bytes=2 * GIB),))
    made = plan(growing, db)
    assert verdict(made) == ("Running", "VolumeGrowing", KStatus.IN_PROGRESS)
    assert "ReplaceProcess" not in kinds(made)

    grown = replace(CURRENT, requested_bytes=2 * GIB, capacity_bytes=2 * GIB)
    made = plan(replace(small, volumes=(grown,)), after(made, storage={"size": "2Gi"}))
    assert "ReplaceProcess" in kinds(made)
    made = plan(replace(small, volumes=(grown,)), after(made, storage={"size": "2Gi"}))
    assert "ReplaceProcess" not in kinds(made)  # the kubelet goes on from there


@pytest.mark.parametrize("message", ["", "FATAL: could not map anonymous shared memory"])
def test_no_memory_is_told_with_its_remedy(message: str) -> None:
    process = replace(FULL, reason="OOMKilled", exit_code=137, message=message)
    made = plan(replace(HEALTHY, process=process, server=None))
    assert verdict(made) == ("Running", "OutOfMemory", KStatus.IN_PROGRESS)
    ready = find_condition(made.status.conditions, "Ready")
    assert ready is not None
    assert "spec.resources.memory" in ready.message


def test_a_full_dev_shm_is_no_full_volume() -> None:
    said = (
        "connection failed: FATAL:  could not resize shared memory segment "
        '"/PostgreSQL.123" to 16777216 bytes: No space left on device'
    )
    made = plan(replace(HEALTHY, server=None, server_error=f"PostgreSQL: {said}"))
    assert verdict(made) == ("Running", "ServerUnreachable", KStatus.IN_PROGRESS)


@pytest.mark.parametrize(
    "said",
    [
        "connection failed: FATAL:  could not write init file",
        "connection failed: FATAL:  could not write init file: No space left on device",
    ],
)
def test_one_that_runs_on_a_full_volume_and_lets_nobody_in_waits_for_a_person(said: str) -> None:
    made = plan(replace(HEALTHY, server=None, server_error=f"PostgreSQL: {said}"))
    assert verdict(made) == ("Failed", "VolumeFull", KStatus.FAILED)
    ready = find_condition(made.status.conditions, "Ready")
    assert ready is not None
    assert "spec.storage.size" in ready.message
