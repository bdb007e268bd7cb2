"""What the object store has of a Backup: its record, how far a run is; and how its bytes go.

The store's methods block: what is called from the loop runs in a thread.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import timedelta

from postbase_operator.archive.keys import (
    LogicalRecordKey,
    LogicalStem,
    PhysicalFolder,
    PhysicalRecordKey,
    parse,
)
from postbase_operator.archive.record import BackupRecord, Progress, UnreadableRecord
from postbase_operator.errors import InvalidSpec
from postbase_operator.kube.stores import Source, Stores
from postbase_operator.objectstore.store import (
    NotFound,
    ObjectStore,
    StoreDenied,
    StoreUnavailable,
)
from postbase_operator.planning.backup_observed import Trouble

Place = PhysicalFolder | LogicalStem
NO_STORE = Trouble(
    "NoObjectStore",
    "There is no object store: set spec.objectStore of the Project, or objectStore of the chart",
)
ORPHANED = timedelta(0)
"""Age of the uploads that an attempt before this one has left: all of them."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a store says of one Backup; `unknown` is why it cannot say whether there is a record."""

    record: BackupRecord | None = None
    earlier: BackupRecord | None = None
    """Of the Backup that fulfilled the same wish before."""
    progress: Progress | None = None
    unknown: str = ""
    trouble: Trouble | None = None
    """What somebody has to mend."""


SILENT = Answer()
NOWHERE = Answer(unknown=NO_STORE.message, trouble=NO_STORE)


async def ask(
    stores: Stores, where: Source, place: Place, earlier: Place | None, *, runs: bool
) -> Answer:
    """How far it is, while it runs; else its record, or that of `earlier`. Raises what the cluster
    raises where the store's Secrets cannot be read; what the store raises is told."""
    try:
        store = await stores.client(where)
        if runs:
            return Answer(progress=await asyncio.to_thread(_progress, store, str(place.progress)))
        record = await asyncio.to_thread(_record, store, str(place.record))
        if record is not None or earlier is None:
            return Answer(record)
        return Answer(earlier=await asyncio.to_thread(_record, store, str(earlier.record)))
    except InvalidSpec as error:
        return Answer(unknown=str(error), trouble=Trouble(error.reason, str(error)))
    except StoreDenied as error:
        return Answer(unknown=str(error), trouble=Trouble(error.reason.value, str(error)))
    except StoreUnavailable as error:
        trouble = None if error.passing else Trouble(error.reason.value, str(error))
        return Answer(unknown=str(error), trouble=trouble)
    except UnreadableRecord as error:  # damaged, or a later release's: it may well be complete
        return Answer(unknown=str(error))


def _record(store: ObjectStore, key: str) -> BackupRecord | None:
    try:
        return BackupRecord.from_bytes(store.get(key))
    except NotFound:
        return None


def _progress(store: ObjectStore, key: str) -> Progress | None:
    """Where that cannot be read, nothing is said of it."""
    try:
        return Progress.from_bytes(store.get(key))
    except (NotFound, UnreadableRecord):
        return None


def clear(store: ObjectStore, prefix: str) -> None:
    """Takes away what an unfinished attempt has left. With a record it is no such thing."""
    keys = [each.key for each in store.list(prefix)]
    if any(_is_record(key) for key in keys):
        return
    store.abort_orphans(prefix, ORPHANED)
    store.delete_many(keys)


def delete(store: ObjectStore, prefix: str) -> None:
    """Takes away a backup. Its record first: what a kill leaves is none that lacks a piece."""
    keys = [each.key for each in store.list(prefix)]
    for key in filter(_is_record, keys):
        store.delete(key)
    store.delete_many(key for key in keys if not _is_record(key))
    store.abort_orphans(prefix, ORPHANED)


def _is_record(key: str) -> bool:
    return isinstance(parse(key), LogicalRecordKey | PhysicalRecordKey)
