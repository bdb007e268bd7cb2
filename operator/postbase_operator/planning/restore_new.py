"""A restore into a new Database: it is made, and begins by itself with what is restored. PURE."""

from __future__ import annotations

from datetime import datetime

from postbase_operator.api.base import ObjectMeta, Reference
from postbase_operator.api.database import Database
from postbase_operator.api.pitr_restore import NewDatabase, PitrRestore
from postbase_operator.api.restore_status import PitrRestoreStatus, RestoreStep
from postbase_operator.planning import plan as steps
from postbase_operator.planning import restore_recovery as recovery
from postbase_operator.planning import restore_status as tell
from postbase_operator.planning.plan import Plan, Step

AGAIN = 10.0
SOON = 2.0


def into_new(
    restore: PitrRestore,
    wanted: NewDatabase,
    made: Database | None,
    db: Database,
    now: datetime,
) -> Plan[PitrRestoreStatus]:
    if made is None:
        make: Step = steps.CreateDatabase(like(db, restore, wanted))
        plan = restore.status.plan
        after = tell.running(restore, plan, RestoreStep.FILLING, "Is being made", now)
        return Plan(after, (make,), SOON, tell.notices(restore.status, after))
    ready = tell.ready_of(made)
    if ready is not None and ready.status == "True":
        after = tell.completed(restore, Reference(name=wanted.name), (), now)
        return Plan(after, notices=tell.notices(restore.status, after))
    message = f"{ready.reason}: {ready.message}" if ready is not None else "Is being made"
    after = tell.running(restore, restore.status.plan, RestoreStep.FILLING, message, now)
    return Plan(after, (), AGAIN, tell.notices(restore.status, after))


def like(db: Database, restore: PitrRestore, wanted: NewDatabase) -> Database:
    """As the source, but for what belongs to the source alone; no labels, which are Git's."""
    storage = db.spec.storage.model_copy(
        update={
            key: value
            for key, value in {
                "size": wanted.size,
                "storage_class_name": wanted.storage_class_name,
            }.items()
            if value is not None
        }
    )
    spec = db.spec.model_copy(
        update={
            "storage": storage,
            "resources": wanted.resources or db.spec.resources,
            "bootstrap": recovery.bootstrap_of(restore, db),
            "adopt_volume": None,
            "paused": False,
            "deletion_protection": False,
        }
    )
    place = ObjectMeta(name=wanted.name, namespace=db.metadata.namespace)
    return Database(metadata=place, spec=spec)
