"""A restore into a new Database: it is made, and begins by itself with what is restored. PURE."""

from __future__ import annotations

from datetime import datetime

from postbase_operator.api.base import ObjectMeta, Reference
from postbase_operator.api.database import Database
from postbase_operator.api.database_spec import DatabaseSpec
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


OF_A_PROVIDER = (
    "region",
    "image",
    "expose",
    "allow_from",
    "tls",
    "disruptions",
    "on_node_loss",
    "pod_security",
    "scheduling",
    "service_account_name",
    "retain_volume_for",
)
"""Fields of a spec that say how one provider runs it, or are served by one of them."""


def like(db: Database, restore: PitrRestore, wanted: NewDatabase) -> Database:
    """As the source, but for what belongs to the source alone; no labels, which are Git's."""
    elsewhere = wanted.provider not in (None, db.spec.provider)
    held = db.spec.storage
    if elsewhere:
        held = held.model_copy(update={"storage_class_name": None})
    storage = held.model_copy(
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
            **(_moved(db) if elsewhere else {}),
            "provider": wanted.provider or db.spec.provider,
            **({"region": wanted.region} if wanted.region is not None else {}),
            "resources": wanted.resources or db.spec.resources,
            "bootstrap": recovery.bootstrap_of(restore, db),
            "adopt_volume": None,
            "paused": False,
            "deletion_protection": False,
        }
    )
    place = ObjectMeta(name=wanted.name, namespace=db.metadata.namespace)
    return Database(metadata=place, spec=spec)


def _moved(db: Database) -> dict[str, object]:
    """What another provider is not told: its own defaults count, and the stock image of the major
    version that the data is of."""
    fields = DatabaseSpec.model_fields
    told = {name: fields[name].get_default(call_default_factory=True) for name in OF_A_PROVIDER}
    major = (db.status.version or "").split(".")[0]
    return told | {"postgres_version": db.spec.postgres_version or major or None}
