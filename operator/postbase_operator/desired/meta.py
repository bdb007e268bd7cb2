"""Labels and ownership of children.

Labels are an allow-list of our own. A parent's labels are never copied: Argo's label tracking
would take the children for its own and prune them; it has cost others their volumes.
"""

from __future__ import annotations

from kubernetes.client import V1ObjectMeta, V1OwnerReference

from postbase_operator.api.base import API_VERSION
from postbase_operator.api.database import Database
from postbase_operator.desired import names
from postbase_operator.desired.names import Names


def names_of(db: Database) -> Names:
    return Names(db.metadata.namespace, db.metadata.name)


def selector(db: Database) -> dict[str, str]:
    """What picks the pods of one instance. Immutable in a StatefulSet, so it says only this."""
    return {
        names.LABEL_DATABASE: db.metadata.name,
        names.LABEL_INSTANCE: str(names.INSTANCE),
    }


def labels(db: Database) -> dict[str, str]:
    return {
        "app.kubernetes.io/name": "postgresql",
        "app.kubernetes.io/component": "database",
        "app.kubernetes.io/part-of": "postbase",
        names.LABEL_MANAGED_BY: names.MANAGED_BY,
        **selector(db),
    }


def owner(db: Database) -> V1OwnerReference:
    """Controller and blocking: Flux leaves such children alone, Argo draws them in the tree."""
    return V1OwnerReference(
        api_version=API_VERSION,
        kind="Database",
        name=db.metadata.name,
        uid=db.metadata.uid,
        controller=True,
        block_owner_deletion=True,
    )


def child(
    db: Database, name: str, *, owned: bool = True, annotations: dict[str, str] | None = None
) -> V1ObjectMeta:
    """Metadata of a child; `owned` False for what must outlive the Database."""
    return V1ObjectMeta(
        name=name,
        namespace=db.metadata.namespace,
        labels=labels(db),
        annotations=annotations or None,
        owner_references=[owner(db)] if owned else None,
    )
