"""What the object store's catalogue has of a name. The store's methods block: for a thread."""

from __future__ import annotations

from postbase_operator.archive.keys import (
    CatalogueKey,
    DatabaseFolder,
    GivenUpKey,
    LogicalRecordKey,
    OwnerKey,
    parse,
)
from postbase_operator.archive.record import CatalogueEntry, UnreadableRecord
from postbase_operator.objectstore.store import ObjectStore


def restorable(store: ObjectStore, place: CatalogueKey) -> tuple[str, ...]:
    """UIDs of others of this name that have something in the store, and were not given up."""
    folder = str(place).rpartition("/")[0] + "/"
    keys = [parse(each.key) for each in store.list(folder)]
    given_up = {key.database_uid for key in keys if isinstance(key, GivenUpKey)}
    found = []
    for key in keys:
        if not isinstance(key, CatalogueKey) or key.database_uid in given_up | {place.database_uid}:
            continue
        try:
            entry = CatalogueEntry.from_bytes(store.get(str(key)))
        except UnreadableRecord:  # a later release's: it was worth an entry
            found.append(key.database_uid)
            continue
        if _has_any(store, entry):
            found.append(key.database_uid)
    return tuple(found)


def _has_any(store: ObjectStore, entry: CatalogueEntry) -> bool:
    own = store.list(str(DatabaseFolder(entry.database_uid)))
    if any(not isinstance(parse(each.key), OwnerKey) for each in own):
        return True
    dumps = store.list(f"{entry.project}/{entry.name}/")
    return any(isinstance(parse(each.key), LogicalRecordKey) for each in dumps)
