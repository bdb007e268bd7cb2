"""The plan of a Project: it groups Databases and counts them. PURE."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from postbase_operator.api import conditions as cond
from postbase_operator.api.conditions import ConditionType
from postbase_operator.api.database import Database
from postbase_operator.api.ids import public_id
from postbase_operator.api.project import Project, ProjectPhase, ProjectStatus
from postbase_operator.planning.acceptance import accepted
from postbase_operator.planning.plan import Plan


def plan_project(
    project: Project, databases: Sequence[Database], now: datetime, usage: tuple[int, int] = (0, 0)
) -> Plan[ProjectStatus]:
    """Ready as soon as it is seen: whether its Databases are is each one's own matter.

    `usage`: complete backups, and what they take in bytes: what spec.quota.backupGiB counts.
    """
    ready = [db for db in databases if cond.is_true(db.status.conditions, ConditionType.READY)]
    message = f"{len(ready)} of {len(databases)} databases are ready"
    generation = project.metadata.generation
    conditions = cond.set_ready(project.status.conditions, "Ready", message, now, generation)
    conditions = accepted(project, conditions, now)
    status = project.status.model_copy(
        update={
            "id": public_id("Project", project.metadata.uid),
            "phase": ProjectPhase.ACTIVE,
            "observed_generation": generation,
            "databases": len(databases),
            "databases_ready": len(ready),
            "backups": usage[0],
            "backup_bytes": usage[1],
            "conditions": conditions,
        }
    )
    return Plan(status=status)
