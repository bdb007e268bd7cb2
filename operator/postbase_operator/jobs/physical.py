"""A physical backup: the data folder in pieces, with the log that makes it whole, read back.

The record is written last, and only once every stored byte has been read back and compared: with
it there is a backup, and it can be restored from its own folder alone.
"""

from __future__ import annotations

import hashlib
import os
import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

from postbase_operator.archive.keys import PhysicalFolder
from postbase_operator.archive.record import BackupRecord, RunPart, StoredObject
from postbase_operator.archive.run import BackupRun
from postbase_operator.desired import names
from postbase_operator.jobs import desk, passport
from postbase_operator.jobs.desk import Failed, Reporter
from postbase_operator.jobs.logical import clear, is_recorded, record_of
from postbase_operator.objectstore.store import ObjectStore, Stored
from postbase_operator.wal.base_backup import Options
from postbase_operator.wal.client import RECEIVER, Replication, by_password, over_tls
from postbase_operator.wal.physical import Connect, PhysicalBackup, Plan, take
from postbase_operator.wal.shelf import digest

READERS = 2


def back_up() -> None:
    run, folder = desk.task(), Path(names.RUN_MOUNT)
    password = os.environ.get("PGPASSWORD")
    if password is None:
        passport.issue(RECEIVER, folder)

    def connect() -> Replication:
        if password is not None:  # the server is elsewhere, and trusts no certificate of ours
            told = by_password(run.host, run.port, password, "postbase backup")
            return Replication.connect(told)
        address = socket.getaddrinfo(run.host, run.port, type=socket.SOCK_STREAM)[0][4][0]
        conninfo = over_tls(run.host, str(address), folder, "postbase backup", port=run.port)
        return Replication.connect(conninfo)

    make(run, desk.store(), connect)


def make(run: BackupRun, store: ObjectStore, connect: Connect) -> None:
    """One attempt. Returns once the record is durable."""
    started, place = datetime.now(UTC), run.place
    if not isinstance(place, PhysicalFolder):
        raise Failed("BackupFailed", f"{run.method} is not physical")
    reporter = Reporter(store, place.progress)
    if is_recorded(store, str(place.record)):
        return reporter.close()
    clear(store, place.prefix)
    copy(run, started, place, store, connect, reporter)


def copy(
    run: BackupRun,
    started: datetime,
    place: PhysicalFolder,
    store: ObjectStore,
    connect: Connect,
    reporter: Reporter,
) -> None:
    """Into a place where nothing lies of what it writes. Returns once the record is durable."""

    def sink(key: str, chunks: Iterator[bytes]) -> Stored:
        return store.put_stream(key, chunks)

    options = Options(
        label=run.id,
        max_rate_kib=run.max_rate_kib,
        verify_checksums=run.verify_page_checksums,
    )
    taken = take(
        connect,
        sink,
        Plan(place, options),
        lambda done, total: reporter.tell(RunPart.COPYING, done, total),
    )
    if taken.system_id != run.server.system_id:
        raise Failed("WrongServer", f"the server is of system {taken.system_id}")
    verify(store, place, taken.objects, reporter)
    store.put(str(place.record), _record(run, started, taken).to_bytes())
    reporter.close()


def verify(
    store: ObjectStore, place: PhysicalFolder, objects: tuple[StoredObject, ...], reporter: Reporter
) -> None:
    """Reads everything back. Raises Failed (ChecksumMismatch)."""
    total, done = sum(each.size for each in objects), 0
    with ThreadPoolExecutor(READERS, thread_name_prefix="verify") as pool:
        for each, found in zip(
            objects, pool.map(lambda each: _hash(store, f"{place}{each.key}"), objects), strict=True
        ):
            if found != each.sha256:
                why = f"what the store gave back of {each.key} is not what was written"
                raise Failed("ChecksumMismatch", why)
            done += each.size
            reporter.tell(RunPart.VERIFYING, done, total)


def _hash(store: ObjectStore, key: str) -> str:
    found = hashlib.sha256()
    for chunk in store.get_stream(key):
        found.update(chunk)
    return found.hexdigest()


def _record(run: BackupRun, started: datetime, taken: PhysicalBackup) -> BackupRecord:
    return record_of(
        run,
        started,
        taken.objects,
        source_bytes=taken.source_bytes,
        sha256=digest(taken.objects),
        timeline=taken.timeline,
        start_lsn=str(taken.start),
        stop_lsn=str(taken.stop),
        checksums_verified=taken.checksums_verified,
    )
