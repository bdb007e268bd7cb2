"""What kstatus and Argo CD's interpreter say of objects that were recorded on a cluster.

The files are `kubectl get -o json` of that moment, whole. One that a later release would write
otherwise is recorded anew; `unseen` is what the API server makes of a manifest by itself.
"""

from __future__ import annotations

import copy
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

import verdicts
from postbase_operator.api import conditions as cond
from postbase_operator.api.conditions import Condition

RECORDED = Path(__file__).parent / "recorded"
NOW = datetime(2026, 11, 24, tzinfo=UTC)

EXPECTED = {
    "account-unseen": ("InProgress", "Progressing", "has not seen"),
    "apitoken": ("Current", "Healthy", ""),
    "backup-not-run": ("InProgress", "Suspended", "does not run Backup objects"),
    "database-changed": ("InProgress", "Progressing", "has not seen"),
    "database-deleting": ("Terminating", "Progressing", "is being deleted"),
    "database-paused": ("InProgress", "Suspended", "spec.paused is true"),
    "database-pausing": ("InProgress", "Progressing", "is being stopped"),
    "database-provisioning": ("InProgress", "Progressing", "Roles and the database"),
    "database-ready": ("Current", "Healthy", "answers. Without effect in this release: spec.ba"),
    "database-rejected": ("Failed", "Degraded", "PostgreSQL refuses"),
    "database-reloading": ("InProgress", "Progressing", "new settings are being loaded"),
    "database-stalled": ("Failed", "Degraded", "'16' is not known here; known: 15, 17"),
    "database-unseen": ("InProgress", "Progressing", "has not seen"),
    "database-waiting": ("InProgress", "Progressing", "there is no Project 'ledger' here"),
    "pitrrestore-not-run": ("InProgress", "Suspended", "does not run PitrRestore objects"),
    "project-ready": ("Current", "Healthy", "databases are ready"),
    "project-unseen": ("InProgress", "Progressing", "has not seen"),
    "project-with-store": ("Current", "Healthy", "spec.defaults.backup, spec.objectStore"),
}
"""kstatus' word, Argo CD's, and words of the message that Argo CD shows."""

Body = dict[str, Any]


def recorded(name: str) -> Body:
    body: Body = json.loads((RECORDED / f"{name}.json").read_text())
    return body


def test_nothing_recorded_is_left_out() -> None:
    assert {file.stem for file in RECORDED.glob("*.json")} == set(EXPECTED)


@pytest.mark.parametrize("name", EXPECTED)
def test_what_is_said_of_it(name: str) -> None:
    body = recorded(name)
    kstatus, health, words = EXPECTED[name]
    assert verdicts.kstatus(body).status == kstatus
    told = verdicts.health(body)
    assert told.status == health
    assert words in told.message


@pytest.mark.parametrize("name", EXPECTED)
def test_our_own_kstatus_is_kstatus(name: str) -> None:
    """Unit tests hold the planners to the function of `api`; this holds the function."""
    body = recorded(name)
    meta, status = body["metadata"], body.get("status", {})
    conditions = tuple(map(Condition.model_validate, status.get("conditions", [])))
    said = cond.kstatus(
        conditions,
        generation=meta["generation"],
        observed=status.get("observedGeneration"),
        deleting="deletionTimestamp" in meta,
    )
    assert said == verdicts.kstatus(body).status


def ended(name: str, phase: str) -> Body:
    """As a release that runs it will leave it: no recording has that yet."""
    body = copy.deepcopy(recorded(name))
    told = tuple(map(Condition.model_validate, body["status"]["conditions"]))
    kept = cond.remove_condition(told, "Ready", "Accepted")
    put = cond.set_ready if phase == "Completed" else cond.set_stalled
    conditions = put(kept, phase, f"It is {phase}", NOW, body["metadata"]["generation"])
    body["status"] |= {"phase": phase, "conditions": [c.to_wire() for c in conditions]}
    return body


@pytest.mark.parametrize("name", ["backup-not-run", "pitrrestore-not-run"])
@pytest.mark.parametrize(
    ("phase", "kstatus", "health"),
    [("Completed", "Current", "Healthy"), ("Failed", "Failed", "Degraded")],
)
def test_a_run_that_has_ended(name: str, phase: str, kstatus: str, health: str) -> None:
    body = ended(name, phase)
    assert verdicts.kstatus(body).status == kstatus
    assert verdicts.health(body) == verdicts.Verdict(health, f"It is {phase}")


def test_a_run_that_failed_without_a_word_of_stalled_is_degraded_too() -> None:
    body = ended("backup-not-run", "Failed")
    body["status"]["conditions"] = [
        condition for condition in body["status"]["conditions"] if condition["type"] == "Ready"
    ]
    assert verdicts.health(body).status == "Degraded"


@pytest.mark.parametrize("kind", ["account", "database", "project"])
def test_the_schemas_default_keeps_an_unseen_object_from_looking_done(kind: str) -> None:
    body = recorded(f"{kind}-unseen")
    assert body["status"] == {"observedGeneration": -1}
    del body["status"]["observedGeneration"]
    assert verdicts.kstatus(body).status == "Current"
    assert verdicts.health(body).status == "Healthy"
