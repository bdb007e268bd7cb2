"""The log in an archive, read: its listing, headers, records, and whole files of it, verified."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import zstandard

from postbase_operator.archive.commits import LogRecord, records
from postbase_operator.archive.keys import (
    Archive,
    BackupSegmentKey,
    ChunkKey,
    HeartbeatKey,
    HistoryKey,
    PhysicalRecordKey,
    SegmentKey,
    WalFolder,
    parse,
)
from postbase_operator.archive.log_path import Assembly, Slice
from postbase_operator.archive.lsn import SEGMENT_SIZE, Lsn
from postbase_operator.archive.record import BackupRecord, StoredObject, UnreadableRecord
from postbase_operator.archive.template import Key
from postbase_operator.archive.wal_index import WalIndex
from postbase_operator.archive.wal_object import Damaged, WalHeader, decode, header_of
from postbase_operator.objectstore.store import NotFound, ObjectStore
from postbase_operator.planning.recovery_branch import Archived

HEAD = 4096
"""Bytes that hold any header."""


def load(store: ObjectStore, archive: Archive) -> Archived:
    """What there is to recover from. A backup whose record cannot be read is none."""
    bases = list(_bases(store, archive))
    size = bases[-1].wal_segment_size if bases else SEGMENT_SIZE
    keys = listed(store, archive)
    histories = {key.timeline: store.get(str(key)) for key in keys if isinstance(key, HistoryKey)}
    return Archived(bases, WalIndex(keys, size), histories)


def listed(store: ObjectStore, archive: Archive) -> list[Key]:
    """The keys of an archive's log."""
    found = (parse(each.key) for each in store.list(str(WalFolder(archive))))
    return [key for key in found if key is not None]


def _bases(store: ObjectStore, archive: Archive) -> list[BackupRecord]:
    found: list[BackupRecord] = []
    for each in store.list(f"{archive}base/"):
        key = parse(each.key)
        if isinstance(key, PhysicalRecordKey):
            try:
                found.append(BackupRecord.from_bytes(store.get(each.key)))
            except (NotFound, UnreadableRecord):
                continue  # expired in this moment, or of a later release
    return found


class StoredLog:
    """Reads objects of the log. Each header is asked for once: objects do not change."""

    def __init__(self, store: ObjectStore, size: int = SEGMENT_SIZE) -> None:
        self._store, self._size = store, size
        self._headers: dict[str, WalHeader] = {}

    def header(self, key: SegmentKey | ChunkKey | HeartbeatKey) -> WalHeader:
        """NotFound, Damaged."""
        name = str(key)
        held = self._headers.get(name)
        if held is None:
            held = header_of(self._store.get_head(name, HEAD))
            if not isinstance(key, HeartbeatKey):
                self._headers[name] = held
        return held

    def records(self, file: Assembly) -> Sequence[LogRecord]:
        data = b"".join(self.read(each) for each in file.slices)
        return tuple(records(data, file.segment.start, self._size))

    def file(self, file: Assembly) -> bytes:
        """With zeros where it ends before the segment does. NotFound, Damaged."""
        data = b"".join(self.read(each) for each in file.slices)
        return data.ljust(file.segment.size, b"\0")

    def read(self, part: Slice) -> bytes:
        """The bytes of a slice, once they are those that were written. NotFound, Damaged."""
        if isinstance(part.key, BackupSegmentKey):
            start, data = part.start - part.start % self._size, self._of_base(part.key)
        else:
            found = decode(self._store.get(str(part.key)))
            start, data = found.header.start_lsn, found.raw()
        piece = data[part.start - start : part.end - start]
        if len(piece) != part.end - part.start:
            raise Damaged(str(part.key), f"does not hold {Lsn(part.start)} to {Lsn(part.end)}")
        return piece

    def _of_base(self, key: BackupSegmentKey) -> bytes:
        """A base backup's segment, held against the backup's own record."""
        record = BackupRecord.from_bytes(self._store.get(str(key.backup.record)))
        named = str(key).removeprefix(str(key.backup))
        listed = {each.key: each for each in record.objects}
        return _unpacked(self._store.get(str(key)), listed.get(named), str(key))


def _unpacked(body: bytes, listed: StoredObject | None, key: str) -> bytes:
    if listed is None or hashlib.sha256(body).hexdigest() != listed.sha256:
        raise Damaged(key, "is not what was stored")
    return zstandard.ZstdDecompressor().decompressobj().decompress(body)
