"""A receiver that is no sidecar is restarted by an annotation, once a value."""

from __future__ import annotations

from typing import Any

from postbase_operator.api.database import Database
from postbase_operator.planning import plan as steps
from postbase_operator.planning.judgement import reconciling
from postbase_operator.planning.receiver_restart import REQUEST, VERB
from postbase_operator.planning.status import finish
from postbase_operator.settings import Settings
from unit.conftest import NOW, database
from unit.planning.test_database import HEALTHY, plan

RAILWAY = {"provider": "Railway", "region": "europe-west4-drams3a"}
SERVED = Settings(sidecar_image="i", railway_token="t")


def asked(value: str, **spec: Any) -> Database:
    db = database(**spec)
    metadata = db.metadata.model_copy(update={"annotations": {REQUEST: value}})
    return db.model_copy(update={"metadata": metadata})


def test_each_value_counts_once_and_is_noted_with_its_step() -> None:
    db = asked("one", **RAILWAY)
    made = plan(HEALTHY, db, settings=SERVED)
    assert steps.RestartReceiver("one") in made.steps
    assert made.status.requests[VERB] == "one"
    again = plan(HEALTHY, db.model_copy(update={"status": made.status}), settings=SERVED)
    assert steps.RestartReceiver("one") not in again.steps


def test_a_sidecar_is_not_asked_so() -> None:
    made = plan(HEALTHY, asked("one"))
    assert steps.RestartReceiver("one") not in made.steps
    assert VERB not in made.status.requests


def test_a_run_that_failed_has_not_served_it() -> None:
    db = asked("one", **RAILWAY)
    told = finish(db, HEALTHY, reconciling("Running", "Unavailable", "no answer"), NOW)
    assert VERB not in told.status.requests


def test_a_long_value_counts_as_far_as_the_status_takes_it() -> None:
    made = plan(HEALTHY, asked("x" * 300, **RAILWAY), settings=SERVED)
    assert made.status.requests[VERB] == "x" * 256
