"""What stands in the queue: the name of an object to be looked at, never the object itself."""

from __future__ import annotations

from dataclasses import dataclass

from postbase_operator.desired.names import LABEL_BACKUP
from postbase_operator.kube.cache import database_of, place_of
from postbase_operator.kube.kinds import BACKUP, DATABASE, Body


@dataclass(frozen=True, slots=True, order=True)
class Key:
    """Kind, namespace and name of a custom resource."""

    kind: str
    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.kind}/{self.namespace}/{self.name}"


def key_of(kind: str, body: Body) -> Key:
    return Key(kind, *place_of(body))


def owner_key(child: Body) -> Key | None:
    """Whom a child concerns, by its label: a Backup, where it is of its Job, else a Database."""
    meta = child["metadata"]
    backup = (meta.get("labels") or {}).get(LABEL_BACKUP)
    if backup is not None:
        return Key(BACKUP.kind, meta.get("namespace", ""), backup)
    place = database_of(child)
    return None if place is None else Key(DATABASE.kind, *place)


def project_key(database: Body) -> Key:
    """The Project that a Database is in."""
    namespace, _ = place_of(database)
    return Key("Project", namespace, database["spec"]["projectRef"]["name"])


def database_key(run: Body) -> Key:
    """The Database that a Backup or a PitrRestore is of."""
    namespace, _ = place_of(run)
    return Key(DATABASE.kind, namespace, run["spec"]["databaseRef"]["name"])
