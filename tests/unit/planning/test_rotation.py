"""A password is rotated once a request, in steps that each may be the last before a kill."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from postbase_operator.api.database import Database
from postbase_operator.planning import plan as steps
from postbase_operator.planning.next_look import AT_ONCE
from postbase_operator.planning.observed import Observed, Server
from postbase_operator.planning.rotation import REQUEST
from unit.conftest import NOW, database
from unit.planning.test_database import FACTS, HEALTHY, kinds, plan

PENDING = Server(FACTS, access_right=True, login_pending=True, rotation="one")


def asked(value: str) -> Database:
    db = database()
    metadata = db.metadata.model_copy(update={"annotations": {REQUEST: value}})
    return db.model_copy(update={"metadata": metadata})


def seen(server: Server) -> Observed:
    return replace(HEALTHY, server=server)


def test_a_request_is_begun_set_up_finished_and_told() -> None:
    first = plan(HEALTHY, asked("one"))
    assert steps.BeginRotation("one") in first.steps
    assert first.requeue_after == AT_ONCE
    assert first.status.requests == {}
    noted = plan(seen(replace(PENDING, access_right=False)), asked("one"))
    assert "SetUpAccess" in kinds(noted)
    assert "FinishRotation" not in kinds(noted)  # nobody is sent to a login that is not open
    ready = plan(seen(PENDING), asked("one"))
    assert "FinishRotation" in kinds(ready)
    done = plan(seen(replace(PENDING, login_pending=False)), asked("one"))
    assert kinds(done) == ["ApplyWorkload"]
    assert done.status.requests == {"rotate": "one"}
    told = asked("one").model_copy(update={"status": done.status})
    assert kinds(plan(seen(Server(FACTS, access_right=True)), told)) == ["ApplyWorkload"]


def test_it_is_due_as_often_as_the_spec_says() -> None:
    db = database(credentials={"rotateEvery": "720h"})
    young = Server(FACTS, access_right=True, rotated_at=NOW - timedelta(hours=719))
    assert "BeginRotation" not in kinds(plan(seen(young), db))
    old = replace(young, rotated_at=NOW - timedelta(hours=720))
    assert "BeginRotation" in kinds(plan(seen(old), db))
