"""The PersistentVolumeClaim of one volume generation.

Named by us and not by a template: templates are immutable, and this way storage grows by one
patch, and a restore can fill the next volume while this one serves. It has no owner reference: a
volume goes by deletionPolicy, never by garbage collection.
"""

from __future__ import annotations

from kubernetes.client import (
    V1PersistentVolumeClaim,
    V1PersistentVolumeClaimSpec,
    V1VolumeResourceRequirements,
)

from postbase_operator.api.database import Database
from postbase_operator.desired import meta, names


def labels(db: Database) -> dict[str, str]:
    """A protected Database's volume is labelled so: an admission policy refuses its deletion."""
    protected = {names.LABEL_PROTECTED: "true"} if db.spec.deletion_protection else {}
    return {**meta.labels(db), **protected}


def claim(db: Database, generation: int, role: str, restore: str = "") -> V1PersistentVolumeClaim:
    """The claim as it is created; its annotations are kept by whoever learns more."""
    metadata = meta.child(
        db,
        meta.names_of(db).volume(generation),
        owned=False,
        annotations={
            names.ANNOTATION_DATABASE_UID: db.metadata.uid,
            names.ANNOTATION_GENERATION: str(generation),
            names.ANNOTATION_VOLUME_ROLE: role,
            **({names.ANNOTATION_RESTORE: restore} if restore else {}),
        },
    )
    metadata.labels = labels(db)
    return V1PersistentVolumeClaim(
        api_version="v1",
        kind="PersistentVolumeClaim",
        metadata=metadata,
        spec=V1PersistentVolumeClaimSpec(
            access_modes=["ReadWriteOnce"],
            storage_class_name=db.spec.storage.storage_class_name,
            resources=V1VolumeResourceRequirements(requests={"storage": db.spec.storage.size}),
        ),
    )
