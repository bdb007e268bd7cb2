"""Which of a Database's services it is to its clients, before, in and after a switch."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from postbase_operator.planning.observed import VolumeRole
from postbase_operator.railway import fill_service, services
from postbase_operator.railway.generations import FENCE, Part, family, has_ended
from postbase_operator.railway.graphql.models import ServiceInstance
from unit.conftest import database

UNTIL = datetime(2026, 11, 23, 12, tzinfo=UTC)
RUNS = {"id": "d", "status": "SUCCESS", "instances": [{"status": "RUNNING"}]}
STOPPED = {"id": "d", "status": "SUCCESS", "deploymentStopped": True}
DRAINS = {"id": "d", "status": "SUCCESS", "instances": [{"status": "REMOVING"}]}


def service(name: str, latest: dict[str, Any] | None = None, **more: Any) -> ServiceInstance:
    given = {"serviceId": name, "serviceName": name, "latestDeployment": latest or RUNS}
    return ServiceInstance.model_validate(given | more)


def part(
    name: str, marks: dict[str, str], latest: dict[str, Any] | None = None, **more: Any
) -> Part:
    return Part(service(name, latest, **more), marks)


FIRST = part("first", {})
FILLED = part("second", fill_service.begun("uid", 2))
SERVES = part("second", fill_service.back("uid", "73", 2))


def front(*parts: Part) -> str:
    found = family(list(parts), "db").front
    return found.service_id if found is not None else ""


def test_what_is_filled_in_place_is_nobodys_address() -> None:
    assert front(FIRST, FILLED) == "first"
    assert front(FILLED) == ""
    assert front(part("first", fill_service.begun("db"))) == "first"  # it begins with a backup


def test_what_leaves_is_the_database_until_nothing_of_it_runs_or_can_be_started() -> None:
    found = family([SERVES, FIRST], "db")
    assert (found.current, found.leaving) == (SERVES, (FIRST,))
    assert front(FIRST, SERVES) == "first"
    for state in (RUNS, DRAINS):
        assert front(part("first", {}, state, startCommand=FENCE), SERVES) == "first"
    assert front(part("first", {}, STOPPED), SERVES) == "first"  # Railway may start it again
    assert front(part("first", {}, STOPPED, startCommand=FENCE), SERVES) == "second"
    assert front(part("first", fill_service.left(UNTIL)), SERVES) == "second"


def test_what_comes_back_has_the_highest_generation() -> None:
    back = part("first", fill_service.back("undo", "73", 3), STOPPED, startCommand=FENCE)
    found = family([SERVES, back], "db")
    assert (found.current, found.front, found.highest) == (back, SERVES, 3)


def test_the_marks_of_one_that_was_replaced() -> None:
    left = part("first", fill_service.left(UNTIL))
    assert (left.role, left.keep_until, left.generation) == (VolumeRole.PREVIOUS, UNTIL, 1)
    assert part("first", fill_service.left(None)).keep_until is None
    assert part("first", fill_service.back("undo", "73", 3)).keep_until is None


@pytest.mark.parametrize(
    ("latest", "active", "ended"),
    [
        (RUNS, [], False),
        (DRAINS, [], False),
        (STOPPED, [], True),
        ({"id": "d", "status": "FAILED"}, [], True),
        ({"id": "d", "status": "FAILED"}, [{"id": "older", "status": "SUCCESS"}], False),
        ({"id": "d", "status": "REMOVING"}, [], False),
        ({"id": "d", "status": "QUEUED"}, [], False),
        ({"id": "d", "status": "CRASHED", "instances": [{"status": "CRASHED"}]}, [], False),
        ({"id": "d", "status": "A_NEW_WORD"}, [], False),
    ],
)
def test_what_counts_as_ended(
    latest: dict[str, Any], active: list[dict[str, str]], ended: bool
) -> None:
    assert has_ended(service("s", latest, activeDeployments=active)) is ended


def test_whose_a_service_is_by_its_name() -> None:
    db = database()
    for number in (1, 2, 12):
        name = services.generation_name(db, "c", number)
        assert services.is_of(name, db, "c")
        assert len(name) <= services.LONGEST_NAME
    assert services.generation_name(db, "c", 1) == services.service_name(db, "c")
    assert not services.is_of(services.receiver_name(db, "c"), db, "c")
    assert not services.is_of(services.generation_name(db, "c", 2), db, "another")
    long = database().model_copy(
        update={"metadata": db.metadata.model_copy(update={"name": "a" * 40})}
    )
    assert services.is_of(services.generation_name(long, "c", 2), long, "c")
