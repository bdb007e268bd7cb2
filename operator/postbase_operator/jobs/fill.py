"""Fills a new volume with a physical backup: fetched, verified, and ready to be recovered.

Another run over what a kill has left gives the same. The folder gets its name when it is whole:
what starts on the volume before finds nothing.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from postbase_operator.archive.keys import PhysicalFolder, parse_backup
from postbase_operator.archive.record import BackupRecord, StoredObject
from postbase_operator.archive.run import FillRun
from postbase_operator.desired import names
from postbase_operator.jobs import desk
from postbase_operator.jobs.desk import Failed
from postbase_operator.objectstore.store import NotFound, ObjectStore
from postbase_operator.wal.lsn import Segment
from postbase_operator.wal.manifest import Manifest
from postbase_operator.wal.unpack import place_segment, unpack

WORKERS = 2


def fill() -> None:
    make(desk.fill_task(), desk.store(), Path(names.MOUNT))


def make(run: FillRun, store: ObjectStore, volume: Path) -> None:
    """Raises Failed, ChecksumMismatch, or what the store raises; the volume is then not usable."""
    place = parse_backup(run.object_key)
    if not isinstance(place, PhysicalFolder):
        raise Failed("BackupNotPhysical", f"{run.object_key} is no physical backup")
    data, part = volume / "pgdata", volume / "pgdata.part"
    if data.exists():
        return  # whole, by its name: a run before this one came so far
    record = record_of(place, store)
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(mode=0o700)
    fetch = partial(verified, store, str(place))
    objects = {each.key: each for each in record.objects}
    manifest = Manifest.parse(b"".join(fetch(objects["backup_manifest"])))
    for segment in manifest.segments(record.wal_segment_size):
        place_log(segment, fetch, objects, part)
    pieces = [each for key, each in objects.items() if key.startswith("pieces/")]
    unpack([partial(fetch, each) for each in pieces], manifest, part, WORKERS)
    settle_in(part)
    part.rename(data)
    sync(volume)


def record_of(place: PhysicalFolder, store: ObjectStore) -> BackupRecord:
    try:
        return BackupRecord.from_bytes(store.get(str(place.record)))
    except NotFound:
        raise Failed("BackupMissing", f"the store has no {place.record}") from None


Fetch = Callable[[StoredObject], Iterator[bytes]]


def place_log(segment: Segment, fetch: Fetch, objects: dict[str, StoredObject], to: Path) -> None:
    key = f"wal/{segment.name}.zst"
    if key not in objects:
        raise Failed("WalGap", f"the backup lacks the segment {segment.name} of its log")
    place_segment(fetch(objects[key]), segment, to)


def verified(store: ObjectStore, folder: str, each: StoredObject) -> Iterator[bytes]:
    """The object's bytes; at its end, whether they are those that were stored."""
    found = hashlib.sha256()
    for chunk in store.get_stream(f"{folder}{each.key}"):
        found.update(chunk)
        yield chunk
    if found.hexdigest() != each.sha256:
        raise Failed("ChecksumMismatch", f"{each.key} is not what was stored")


def settle_in(data: Path) -> None:
    """The copy's own ALTER SYSTEM settings are left behind; it is to recover, and branches off."""
    (data / "postgresql.auto.conf").write_bytes(b"")
    (data / "recovery.signal").write_bytes(b"")
    for name in ("postgresql.auto.conf", "recovery.signal", "."):
        sync(data / name)


def sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
