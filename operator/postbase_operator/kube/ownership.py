"""Whose an object is. What is not a Database's own is neither changed nor deleted by it."""

from __future__ import annotations

from typing import NoReturn

from postbase_operator.api.database import Database
from postbase_operator.desired import names
from postbase_operator.errors import InvalidSpec, NotReady
from postbase_operator.kube.apply import INTENT
from postbase_operator.kube.kinds import Body


def is_owned(live: Body, db: Database) -> bool:
    """True where this very Database (by UID) is the owner, or was until somebody struck it out.

    An object without an owner that bears our label and the mark of our own apply was ours: an
    application's Service has neither.
    """
    if any(owner["uid"] == db.metadata.uid for owner in _owners(live)):
        return True
    meta = live["metadata"]
    labelled = (meta.get("labels") or {}).get(names.LABEL_DATABASE) == db.metadata.name
    applied = INTENT in (meta.get("annotations") or {})
    return labelled and applied and not _owners(live)


def refuse_stranger(live: Body, what: str, db: Database) -> NoReturn:
    """NotReady for what a namesake has left and garbage collection will take; else InvalidSpec."""
    going = "deletionTimestamp" in live["metadata"]
    namesake = any(
        owner["kind"] == "Database" and owner["name"] == db.metadata.name for owner in _owners(live)
    )
    if going or namesake:
        raise NotReady(f"{what} of an earlier Database of this name is still being deleted", 1.0)
    raise InvalidSpec(
        "metadata.name",
        f"a {what} is already there and not this Database's; rename the Database, or the other",
        reason="NameTaken",
    )


def _owners(live: Body) -> list[Body]:
    return list(live["metadata"].get("ownerReferences") or [])
