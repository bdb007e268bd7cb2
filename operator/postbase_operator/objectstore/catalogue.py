"""Databases that the bucket knows, those that are gone among them, and their archives."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

from postbase_operator.archive.keys import (
    Archive,
    CatalogueKey,
    DatabaseFolder,
    OwnerKey,
    parse,
)
from postbase_operator.archive.record import CatalogueEntry, Owner, UnreadableRecord
from postbase_operator.objectstore.store import NotFound, ObjectStore

FOLDER = "v1/catalogue/"


def entries(store: ObjectStore, prefix: str = FOLDER) -> Iterator[CatalogueEntry]:
    """In the order of their keys. One that this release cannot read is left out."""
    for each in store.list(prefix):
        if isinstance(parse(each.key), CatalogueKey):
            try:
                yield CatalogueEntry.from_bytes(store.get(each.key))
            except (NotFound, UnreadableRecord):
                continue


def youngest(
    store: ObjectStore, cluster: str, namespace: str, name: str, but: str = ""
) -> str | None:
    """UID of the Database of that name that was made last, `but` not counted."""
    nobody = "00000000-0000-0000-0000-000000000000"
    key = str(CatalogueKey(cluster, namespace, name, nobody))
    folder = key.removesuffix(f"{nobody}.json")
    found = [each for each in entries(store, folder) if each.database_uid != but]
    latest = max(found, key=lambda each: each.created_at, default=None)
    return latest.database_uid if latest is not None else None


def archives(store: ObjectStore, uid: str) -> Iterator[Archive]:
    """The lives of a Database: one request each."""
    folder = str(DatabaseFolder(uid))
    after: str | None = None
    while True:
        first = next(iter(store.list(folder, after)), None)
        if first is None:
            return
        incarnation = first.key.removeprefix(folder).partition("/")[0]
        archive = Archive.read(f"{folder}{incarnation}/")
        if archive is not None:
            yield archive
        after = f"{folder}{incarnation}0"  # the next character after "/"


def newest_archive(store: ObjectStore, uid: str) -> Archive | None:
    """The life that began last."""
    return max(archives(store, uid), key=lambda each: _began(store, each), default=None)


def _began(store: ObjectStore, archive: Archive) -> tuple[datetime, str]:
    try:
        began = Owner.from_bytes(store.get(str(OwnerKey(archive)))).created_at
    except (NotFound, UnreadableRecord):
        began = datetime.min.replace(tzinfo=UTC)
    return began, archive.incarnation
