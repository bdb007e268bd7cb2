"""The plan of a Project: it groups Databases and counts them. PURE."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from postbase_operator.api import conditions as cond
from postbase_operator.api.conditions import ConditionType
from postbase_operator.api.database import Database
from postbase_operator.api.ids import public_id
from postbase_operator.api.project import (
    Project,
    ProjectDeletionPolicy,
    ProjectPhase,
    ProjectStatus,
)
from postbase_operator.planning.acceptance import accepted
from postbase_operator.planning.plan import Plan

NAMED = 5
"""Databases that a message names; of the others it tells the number."""


def plan_project(
    project: Project,
    databases: Sequence[Database],
    now: datetime,
    usage: tuple[int, int] = (0, 0),
    refused: str = "",
) -> Plan[ProjectStatus]:
    """Ready as soon as it is seen: whether its Databases are is each one's own matter.

    `usage`: complete backups, and what they take in bytes: what spec.quota.backupGiB counts.
    `refused`: why a Database of a Project that goes was not let go.
    """
    ready = [db for db in databases if cond.is_true(db.status.conditions, ConditionType.READY)]
    message = f"{len(ready)} of {len(databases)} databases are ready"
    generation = project.metadata.generation
    held, phase = project.status.conditions, ProjectPhase.ACTIVE
    if project.metadata.is_deleting:
        phase, (reason, message) = ProjectPhase.DELETING, _waits(project, databases, refused)
        conditions = cond.set_reconciling(held, reason, message, now, generation)
    else:
        conditions = cond.set_ready(held, "Ready", message, now, generation)
    conditions = accepted(project, conditions, now)
    status = project.status.model_copy(
        update={
            "id": public_id("Project", project.metadata.uid),
            "phase": phase,
            "observed_generation": generation,
            "databases": len(databases),
            "databases_ready": len(ready),
            "backups": usage[0],
            "backup_bytes": usage[1],
            "conditions": conditions,
        }
    )
    return Plan(status=status)


def to_delete(project: Project, databases: Sequence[Database]) -> list[Database]:
    """Those that go with their Project, each by its own deletionPolicy."""
    with_it = project.spec.deletion_policy is ProjectDeletionPolicy.DELETE
    if not (project.metadata.is_deleting and with_it):
        return []
    return [db for db in databases if not db.metadata.is_deleting]


def _waits(project: Project, databases: Sequence[Database], refused: str) -> tuple[str, str]:
    """What a Project that is being deleted waits for: a reason, and what can be done."""
    names = sorted(db.metadata.name for db in databases)
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    who = f"{', '.join(names[:NAMED])}{more}"
    if refused:
        return "DeletionRefused", f"It goes once its databases are gone ({who}): {refused}"
    if project.spec.deletion_policy is ProjectDeletionPolicy.DELETE:
        return "DeletingDatabases", f"Its databases are deleted first: {who}"
    return (
        "DatabasesRemain",
        f"It goes once its databases are gone: {who}. Delete them, or set spec.deletionPolicy: "
        "Delete",
    )
