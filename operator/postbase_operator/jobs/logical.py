"""A logical backup: what pg_dump writes, through gzip, into the store, and read back again.

pg_dump runs beside us in the database's own image and writes into pipes (dump.sh). Nothing lies on
a disk. The record is written last, and only once every stored byte has been read back, compared and
listed by pg_restore: with it there is a backup.
"""

from __future__ import annotations

import hashlib
import os
import time
import zlib
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from isal import isal_zlib

from postbase_operator import __version__
from postbase_operator.archive.keys import DumpKey, GlobalsKey, LogicalStem
from postbase_operator.archive.record import BackupRecord, RunPart, StoredObject, Tool
from postbase_operator.archive.run import BackupRun
from postbase_operator.desired import names
from postbase_operator.jobs import desk, passport
from postbase_operator.jobs.desk import Failed, Reporter
from postbase_operator.jobs.fifo import TURN, read_pipe, write_pipe
from postbase_operator.objectstore.store import NotFound, ObjectStore

FOLDER = Path(names.RUN_MOUNT)
PIPES = ("globals", "dump", "stored", "end")
GZIP = "gzip"
LEVEL = 1
SAID_WITHIN = 60.0
"""Seconds after a pipe's end within which dump.sh says how its program ended."""
ADMIN = "postbase_admin"


def prepare() -> None:
    """Pipes and a certificate, before pg_dump starts. Can be done again."""
    pipes()
    passport.issue(ADMIN, FOLDER)


def pipes() -> None:
    """All that pg_dump needs where it logs in by a password. Can be done again."""
    for name in PIPES:
        if not (FOLDER / name).exists():
            os.mkfifo(FOLDER / name, 0o600)


def back_up() -> None:
    LogicalBackup(desk.task(), desk.store(), FOLDER).make()


class LogicalBackup:
    """One attempt. What an attempt before it has left is thrown away; what it finished stays."""

    def __init__(self, run: BackupRun, store: ObjectStore, folder: Path) -> None:
        place = run.place
        if not isinstance(place, LogicalStem):
            raise Failed("BackupFailed", f"{run.method} is not logical")
        self._run, self._store, self._folder, self._place = run, store, folder, place
        self._reporter = Reporter(store, place.progress)
        self._read = 0

    def make(self) -> None:
        """Returns once the record is durable. Raises Failed, or what the store raises."""
        started = datetime.now(UTC)
        if is_recorded(self._store, str(self._place.record)):
            return self._reporter.close()
        clear(self._store, self._place.prefix)
        objects = (self._dump_globals(), self._dump())
        self._verify(objects[1])
        self._store.put(str(self._place.record), self._record(started, objects).to_bytes())
        self._reporter.close()

    def _dump_globals(self) -> StoredObject:
        body = b"".join(self._written("globals"))
        stored = self._store.put(str(GlobalsKey(self._place)), body)
        return self._object(stored.key, stored.size, stored.sha256)

    def _dump(self) -> StoredObject:
        expected = self._run.server.source_bytes
        stored = self._store.put_stream(
            str(DumpKey(self._place)),
            compressed(self._watched(self._written("dump"))),
            expected_size=expected,
        )
        return self._object(stored.key, stored.size, stored.sha256, self._read)

    def _watched(self, chunks: Iterator[bytes]) -> Iterator[bytes]:
        for chunk in chunks:
            self._read += len(chunk)
            self._reporter.tell(RunPart.COPYING, self._read, self._run.server.source_bytes)
            yield chunk

    def _written(self, name: str) -> Iterator[bytes]:
        """What the other container writes into a pipe; its end counts once it says so.

        Raises Failed where it says otherwise, so that half a dump never becomes an object.
        """
        yield from read_pipe(self._folder / name, self._status(name).exists)
        self._ended(name)

    def _status(self, name: str) -> Path:
        return self._folder / f"{name}.status"

    def _ended(self, name: str) -> None:
        deadline = time.monotonic() + SAID_WITHIN
        while not self._status(name).exists():
            if time.monotonic() > deadline:
                raise Failed("DumpFailed", f"{name}: nobody says how it ended")
            time.sleep(TURN)
        status = self._status(name).read_text().strip()
        if status != "0":
            why = f"{WRITER[name]} ended with {status}; the log of the container dump says why"
            raise Failed("DumpFailed", why)

    def _verify(self, dump: StoredObject) -> None:
        """Reads the dump back: the bytes are those that were written, and pg_restore lists them."""
        digest, done = hashlib.sha256(), 0

        def stored() -> Iterator[bytes]:
            nonlocal done
            for chunk in self._store.get_stream(str(DumpKey(self._place))):
                digest.update(chunk)
                done += len(chunk)
                self._reporter.tell(RunPart.VERIFYING, done, dump.size)
                yield chunk

        write_pipe(self._folder / "stored", decompressed(stored()), self._status("stored").exists)
        self._ended("stored")
        if digest.hexdigest() != dump.sha256:
            why = "what the store gave back is not what was written"
            raise Failed("ChecksumMismatch", why)

    def _object(self, key: str, size: int, sha256: str, raw: int | None = None) -> StoredObject:
        return StoredObject(
            key=key.removeprefix(str(self._place)),
            size=size,
            sha256=sha256,
            raw_size=raw,
            codec=GZIP if raw is not None else None,
        )

    def _record(self, started: datetime, objects: tuple[StoredObject, ...]) -> BackupRecord:
        return record_of(
            self._run,
            started,
            objects,
            source_bytes=self._read,
            sha256=objects[1].sha256,
        )


WRITER = {"globals": "pg_dumpall", "dump": "pg_dump", "stored": "pg_restore --list"}


def record_of(
    run: BackupRun,
    started: datetime,
    objects: tuple[StoredObject, ...],
    *,
    source_bytes: int,
    sha256: str,
    **physical: object,
) -> BackupRecord:
    """All that is said of the backup, by what the run was told and what it has done."""
    facts = run.server.model_dump(exclude={"source_bytes"})
    named = run.model_dump(
        include={
            "id",
            "method",
            "database_uid",
            "project",
            "namespace",
            "name",
            "backup_name",
            "spec_hash",
            "incarnation",
            "image_digest",
        }
    )
    return BackupRecord.model_validate(
        facts
        | named
        | physical
        | {
            "started_at": started,
            "completed_at": datetime.now(UTC),
            "size_bytes": sum(each.size for each in objects),
            "source_bytes": source_bytes,
            "sha256": sha256,
            "objects": objects,
            "tool": Tool(version=__version__),
        }
    )


def is_recorded(store: ObjectStore, key: str) -> bool:
    """The backup is there: a run before this one was killed after its last step."""
    try:
        store.stat(key)
    except NotFound:
        return False
    return True


def clear(store: ObjectStore, prefix: str) -> None:
    """Throws away what an attempt without a record has left."""
    store.delete_many(each.key for each in list(store.list(prefix)))


def compressed(chunks: Iterator[bytes]) -> Iterator[bytes]:
    """As a gzip file (RFC 1952)."""
    compressor = isal_zlib.compressobj(LEVEL, isal_zlib.DEFLATED, 16 + zlib.MAX_WBITS)
    for chunk in chunks:
        if data := compressor.compress(chunk):
            yield data
    yield compressor.flush()


def decompressed(chunks: Iterator[bytes]) -> Iterator[bytes]:
    """Raises Failed (ChecksumMismatch) for what is no gzip file, or half of one."""
    decompressor = isal_zlib.decompressobj(16 + zlib.MAX_WBITS)
    try:
        for chunk in chunks:
            if data := decompressor.decompress(chunk):
                yield data
    except isal_zlib.error as error:  # type: ignore[misc]  # its stub says an instance
        raise Failed("ChecksumMismatch", f"the dump is damaged: {error}") from error
    if not decompressor.eof:
        raise Failed("ChecksumMismatch", "the dump is cut short")
