"""What a Project tells, and what goes with it."""

from __future__ import annotations

from typing import Any

import pytest

from postbase_operator.api.conditions import find_condition, is_true
from postbase_operator.api.database import Database
from postbase_operator.api.project import Project, ProjectPhase
from postbase_operator.planning.project import plan_project, to_delete
from unit.conftest import NOW, UID, database


def project(*, deleted: bool = True, **spec: Any) -> Project:
    metadata: dict[str, Any] = {"name": "shop", "namespace": "team", "uid": UID, "generation": 3}
    if deleted:
        metadata["deletionTimestamp"] = "2026-11-28T03:00:00Z"
    return Project.model_validate({"metadata": metadata, "spec": spec})


def going(db: Database) -> Database:
    return db.model_copy(
        update={"metadata": db.metadata.model_copy(update={"deletion_timestamp": NOW})}
    )


DATABASES = tuple(database(name=name) for name in ("main", "other"))


def told(of: Project, databases: tuple[Database, ...] = DATABASES, refused: str = "") -> Any:
    status = plan_project(of, databases, NOW, refused=refused).status
    assert status.observed_generation == 3
    return status, find_condition(status.conditions, "Ready")


def test_one_that_stays_is_ready_whatever_its_databases_do() -> None:
    status, ready = told(project(deleted=False))
    assert (status.phase, status.databases, ready.status) == (ProjectPhase.ACTIVE, 2, "True")


def test_a_deleted_one_names_what_it_waits_for() -> None:
    status, ready = told(project())
    assert (status.phase, ready.status, ready.reason) == (
        ProjectPhase.DELETING,
        "False",
        "DatabasesRemain",
    )
    assert "main, other" in ready.message
    assert "spec.deletionPolicy: Delete" in ready.message
    assert is_true(status.conditions, "Reconciling")


def test_many_are_counted() -> None:
    _, ready = told(project(), tuple(database(name=f"db-{n}") for n in range(9)))
    assert "db-0, db-1, db-2, db-3, db-4 and 4 more" in ready.message


def test_one_that_is_not_let_go_is_named_with_its_reason() -> None:
    _, ready = told(project(deletionPolicy="Delete"), refused="deletionProtection is true")
    assert ready.reason == "DeletionRefused"
    assert "deletionProtection is true" in ready.message


@pytest.mark.parametrize(
    ("of", "names"),
    [
        (project(deletionPolicy="Delete"), ["other"]),
        (project(deletionPolicy="Retain"), []),
        (project(), []),
        (project(deleted=False, deletionPolicy="Delete"), []),
    ],
    ids=["delete", "retain", "default", "not deleted"],
)
def test_what_goes_with_it(of: Project, names: list[str]) -> None:
    main, other = DATABASES
    assert [db.metadata.name for db in to_delete(of, (going(main), other))] == names
