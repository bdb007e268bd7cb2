"""What is written beside a Secret's data: whose it is, and what it opens."""

from __future__ import annotations

from collections.abc import Mapping

from postbase_operator.api.database import Database
from postbase_operator.desired import meta, names
from postbase_operator.kube.apply import MANAGER, body_of
from postbase_operator.kube.kinds import SECRET, Body
from postbase_operator.kube.session import Session


def annotations_of(secret: Body) -> dict[str, str]:
    return dict(secret["metadata"].get("annotations") or {})


def made_for(secret: Body) -> str:
    """The UID of the Database that a Secret belongs to."""
    return annotations_of(secret).get(names.ANNOTATION_DATABASE_UID, "")


async def bequeath(session: Session, db: Database, *more: str) -> None:
    """Gives these Secrets, and the credentials, to the Database, so that they go with it.

    The operator has no right to delete Secrets; garbage collection does, and only these.
    """
    known = meta.names_of(db)
    for name in (known.credentials, *more):
        live = await session.find(SECRET, known.namespace, name)
        if live is not None and made_for(live) == db.metadata.uid:
            owned = {**live["metadata"], "ownerReferences": [body_of(meta.owner(db))]}
            await session.replace(SECRET, known.namespace, {**live, "metadata": owned}, MANAGER)


async def annotate(session: Session, db: Database, name: str, marks: Mapping[str, str]) -> None:
    """Writes these beside what a Secret of the Database has; not where it is gone."""
    namespace = db.metadata.namespace
    live = await session.find(SECRET, namespace, name)
    if live is None or made_for(live) != db.metadata.uid:
        return
    held = annotations_of(live)
    if not marks.items() <= held.items():
        metadata = {**live["metadata"], "annotations": {**held, **marks}}
        await session.replace(SECRET, namespace, {**live, "metadata": metadata}, MANAGER)
