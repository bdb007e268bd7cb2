"""Kinds that this release knows and does not act on: each object says so itself. PURE."""

from __future__ import annotations

from datetime import datetime

from postbase_operator.api import conditions as cond
from postbase_operator.api.backup import Backup, BackupStatus
from postbase_operator.api.conditions import ConditionType
from postbase_operator.api.pitr_restore import PitrRestore
from postbase_operator.api.restore_status import PitrRestoreStatus
from postbase_operator.planning.plan import Plan


def plan_unserved(
    resource: Backup | PitrRestore, now: datetime
) -> Plan[BackupStatus | PitrRestoreStatus]:
    """Pending for ever, with the reason in Ready and Accepted; a later release takes it up."""
    kind, generation = resource.definition.kind, resource.metadata.generation
    message = f"This release does not run {kind} objects; a later one will take this up"
    conditions = resource.status.conditions
    for type in (ConditionType.READY, ConditionType.ACCEPTED):
        conditions = cond.set_condition(
            conditions, type, False, "NotImplemented", message, now, generation
        )
    update = {"conditions": conditions, "observed_generation": generation}
    return Plan(status=resource.status.model_copy(update=update))
