"""What a Database does about its backups: by schedule, on request, in the end; what it tells."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from postbase_operator.api.backup import Backup, BackupOrigin
from postbase_operator.api.database import Database
from postbase_operator.api.policies import BackupMethod
from postbase_operator.api.project import ProjectDefaults
from postbase_operator.planning.database_backups import (
    REQUEST,
    VERB,
    Backups,
    Outlook,
    outlook,
    request,
)
from postbase_operator.planning.plan import CreateBackup, ExpireBackup
from unit.conftest import NOW, UID, database
from unit.planning.test_retention import DAY, ago, backup

EARLIER = "4b1e4f5c-0000-4000-8000-00000000009f"
STORED = Backups(has_store=True)


def of(asked: str | None = None, spec: dict[str, Any] | None = None, **status: Any) -> Database:
    """One that was made yesterday at noon, with this request."""
    body = database(**(spec or {"backup": {"spread": "0s"}})).to_wire()
    body["metadata"]["creationTimestamp"] = ago(1).isoformat()
    body["metadata"]["annotations"] = {REQUEST: asked} if asked is not None else {}
    body["status"] = {"systemId": "7312345678901234567", "phase": "Running"} | status
    return Database.model_validate(body)


def told(db: Database, known: Backups = STORED, *, answers: bool = True) -> Outlook:
    return outlook(db, known, ProjectDefaults(), NOW, answers=answers)


def made(answer: Outlook) -> list[Backup]:
    return [step.backup for step in answer.steps if isinstance(step, CreateBackup)]


def test_of_a_private_database_a_physical_one_is_made_whatever_its_project_says() -> None:
    private = {"provider": "Railway", "expose": "Private", "backup": {"spread": "0s"}}
    defaults = ProjectDefaults.model_validate({"backup": {"method": "Logical"}})
    for db in (of(spec=private), of("now", spec=private)):
        answer = outlook(db, STORED, defaults, NOW, answers=True)
        assert {each.spec.method for each in made(answer)} == {BackupMethod.PHYSICAL}
        assert answer.summary.method is BackupMethod.PHYSICAL
    reached = outlook(of(), STORED, defaults, NOW, answers=True)
    assert {each.spec.method for each in made(reached)} == {BackupMethod.LOGICAL}


def test_what_is_due_is_made_once_it_answers_and_is_passed_over_without_a_store() -> None:
    (due,) = made(told(of()))
    assert due.metadata.name == "shop-main-202611230300"
    silent = told(of(), answers=False)
    assert made(silent) == []
    assert silent.summary.last_scheduled_time is None
    nowhere = told(of(), Backups())
    assert made(nowhere) == []
    assert nowhere.summary.last_scheduled_time is not None, "it would be made up for later"
    assert (nowhere.health.healthy, nowhere.health.reason) == (None, "NoObjectStore")
    assert nowhere.again is None


def test_a_request_makes_one_backup_a_value() -> None:
    asked = told(of("before the migration"))
    found = next(b for b in made(asked) if b.origin is BackupOrigin.MANUAL)
    assert found.spec.database_ref.name == "shop-main"
    assert found.spec.description == f"{REQUEST}: before the migration"
    assert found.spec.retention_days is None
    assert asked.requested == "before the migration"
    again = next(b for b in made(told(of("before the migration"))) if b == found)
    assert again.metadata.name == found.metadata.name, "two operators would make two"
    served = told(of("before the migration", requests={VERB: "before the migration"}))
    assert served.requested is None
    assert not any(b.origin is BackupOrigin.MANUAL for b in made(served))
    other = told(of("and after it", requests={VERB: "before the migration"}))
    assert other.requested == "and after it"
    assert found not in made(other)


def test_a_request_is_made_whatever_keeps_the_schedule_from_it() -> None:
    for spec in (
        {"backup": {"schedule": "0 0 31 2 *"}},
        {"backup": {"suspend": True}},
        {"backup": {"method": "Physical"}},
    ):
        asked = told(of("1", spec), Backups(), answers=False)
        (found,) = made(asked)
        assert found.spec.method == spec["backup"].get("method", "Logical")
        assert asked.requested == "1"


def test_a_database_that_has_never_run_is_asked_later() -> None:
    fresh = of("1", systemId=None, phase="Provisioning")
    assert request(fresh) is None
    assert told(fresh, answers=False).requested is None
    assert request(of("")) is None
    assert request(of(None)) is None


def test_another_database_of_the_name_makes_its_own() -> None:
    first = made(told(of("1")))[-1]
    body = of("1").to_wire()
    body["metadata"]["uid"] = EARLIER
    second = made(told(Database.model_validate(body)))[-1]
    assert first.metadata.name != second.metadata.name


@given(st.text(max_size=400))
def test_any_value_makes_an_object_that_the_api_server_takes(value: str) -> None:
    db = of(value, {"backup": {"suspend": True}})
    asked = told(db)
    for each in made(asked):
        assert len(each.metadata.name) <= 51
        assert each.metadata.name.replace("-", "").isalnum()
        Backup.model_validate(each.to_wire())
        assert asked.requested == value[:256]
        assert len(each.spec.description or "") <= 256
    assert bool(made(asked)) == bool(value)


def owned(uid: str | None, *backups: Backup) -> list[Backup]:
    return [
        each.model_copy(update={"status": each.status.model_copy(update={"database_uid": uid})})
        for each in backups
    ]


def test_an_earlier_database_of_the_name_lends_neither_health_nor_last_one() -> None:
    theirs = owned(EARLIER, backup("old", ago(40)), backup("failed", ago(1), phase="Failed"))
    alone = told(of(spec={"backup": {"suspend": True}}), Backups(theirs, has_store=True))
    assert not any(isinstance(step, ExpireBackup) for step in alone.steps)
    assert alone.health.reason == "Suspended"
    assert alone.summary.last_successful_time is None
    assert alone.summary.last_verified_time is None
    ours = owned(UID, backup("a", ago(40)), backup("b", ago(35)))
    both = told(of(), Backups([*theirs, *ours], has_store=True))
    assert [s.name for s in both.steps if isinstance(s, ExpireBackup)] == ["a"]


def test_when_one_was_last_read_back_is_told_and_kept() -> None:
    ours = owned(UID, backup("a", ago(3)), backup("b", ago(2)))
    summary = told(of(), Backups(ours, has_store=True)).summary
    assert summary.last_verified_time == max(
        each.status.verified_at for each in ours if each.status.verified_at is not None
    )
    held = of(backup=summary.to_wire())
    assert told(held, Backups([], has_store=True)).summary.last_verified_time == (
        summary.last_verified_time
    )


def test_what_a_restore_reads_does_not_expire() -> None:
    ours = owned(UID, backup("a", ago(40)), backup("b", ago(35)), backup("c", ago(1)))
    known = Backups(ours, has_store=True, pinned={"a"})
    steps = [s.name for s in told(of(), known).steps if isinstance(s, ExpireBackup)]
    assert steps == ["b"]


@pytest.mark.parametrize(
    ("held", "healthy", "reason"),
    [
        ((), None, "NoBackupYet"),
        ((backup("a", ago(1)),), True, "Completed"),
        ((backup("a", ago(2)), backup("b", ago(1), phase="Failed")), False, "BackupFailed"),
        ((backup("a", ago(2), phase="Failed"), backup("b", ago(1))), True, "Completed"),
        ((backup("a", ago(1), "manual", phase="Failed"),), None, "NoBackupYet"),
        ((backup("a", None, phase="Running"),), None, "NoBackupYet"),
    ],
)
def test_the_last_by_schedule_is_what_is_told(
    held: tuple[Backup, ...], healthy: bool | None, reason: str
) -> None:
    answer = told(of(), Backups(held, has_store=True))
    assert (answer.health.healthy, answer.health.reason) == (healthy, reason)


def test_a_project_that_may_have_no_more_is_told() -> None:
    known = Backups((backup("a", ago(1)),), has_store=True, over_quota="11 of 10 GiB")
    health = told(of(), known).health
    assert (health.healthy, health.reason, health.message) == (
        False,
        "PlanLimitExceeded",
        "11 of 10 GiB",
    )


def test_a_schedule_that_means_nothing_is_told_and_costs_what_was_held_nothing() -> None:
    held = {"schedule": "0 3 * * *", "lastSuccessfulTime": ago(3).isoformat()}
    answer = told(of(spec={"backup": {"schedule": "0 0 31 2 *"}}, backup=held))
    assert (answer.health.healthy, answer.health.reason) == (False, "InvalidSchedule")
    assert answer.summary.last_successful_time == NOW - 3 * DAY
    assert answer.steps == ()


def test_missed_nights_are_made_once() -> None:
    answer = told(of(backup={"lastScheduledTime": ago(9).isoformat()}))
    assert [b.metadata.name for b in made(answer)] == ["shop-main-202611230300"]
    at = answer.summary.last_scheduled_time
    assert at is not None
    assert NOW - at == timedelta(hours=9)
