"""The native sidecar of a recovery: fetches the log ahead of PostgreSQL, and hands it over.

The stock image beside it has no Python, and an interpreter for each file of the log would cost more
than its replay. So both talk by files in a folder that they share: restore.sh makes `ask/<name>`
and finds `have/<name>`, or `none/<name>`, or `failed`. What is there has its name by a rename, so
that a kill of either leaves nothing half.
"""

from __future__ import annotations

import logging
import os
import signal
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar

from postbase_operator.archive.keys import (
    PhysicalFolder,
    RecoveryEndKey,
    RecoveryProgressKey,
    parse_backup,
)
from postbase_operator.archive.record import BackupRecord
from postbase_operator.archive.run import FillRun, RecoveryProgress
from postbase_operator.archive.wal_object import Damaged
from postbase_operator.desired import names
from postbase_operator.errors import PostbaseError
from postbase_operator.jobs import desk
from postbase_operator.jobs.desk import Failed
from postbase_operator.jobs.supply import Answer, File, Supply
from postbase_operator.objectstore.store import ObjectStore, StoreUnavailable

T = TypeVar("T")
logger = logging.getLogger(__name__)
WORKERS = 4
RING = 8
"""Files that are there or on their way before PostgreSQL has asked for them."""
TICK = 0.02
"""Seconds between two looks at what was asked."""
LOOK_AGAIN = 1.0
"""Seconds between two looks at an archive that is still written."""
PATIENCE = 600.0
"""Seconds for which a store that does not answer is asked again."""
TOLD_EVERY = 3.0
FOLDERS = ("ask", "have", "none", "new", "stored")


def prefetch() -> None:
    # As the first process of its container it would not hear of an end that it has not asked for.
    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
    run, store = desk.fill_task(), desk.store()
    Prefetch(run, store, Path(names.RUN_MOUNT)).serve()


class Prefetch:
    """Serves one recovery until it is killed. What cannot be is left as `failed`, for good."""

    def __init__(self, run: FillRun, store: ObjectStore, folder: Path) -> None:
        if run.recovery is None:
            raise Failed("InvalidSpec", "there is nothing to recover")
        self._run, self._task, self._store, self._folder = run, run.recovery, store, folder
        for name in FOLDERS:
            (folder / name).mkdir(exist_ok=True)
        self._pool = ThreadPoolExecutor(WORKERS, thread_name_prefix="fetch")
        self._fetching: dict[str, Future[None]] = {}
        self._later: dict[str, float] = {}
        self._next = 0
        self._handed: set[str] = set()
        self._bytes = 0
        self._told = 0.0

    def serve(self) -> None:
        """Never returns but by `failed`."""
        try:
            supply = self._patiently(self._supply)
            self._next = supply.first
            while not (self._folder / "failed").exists():
                self._step(supply)
                time.sleep(TICK)
        except PostbaseError as error:
            self._fail(error)
        finally:
            self._pool.shutdown(cancel_futures=True)

    def _supply(self) -> Supply:
        place = parse_backup(self._run.object_key)
        if not isinstance(place, PhysicalFolder):
            raise Failed("BackupNotPhysical", f"{self._run.object_key} is no physical backup")
        record = BackupRecord.from_bytes(self._store.get(str(place.record)))
        return Supply(self._store, record, self._task)

    def _step(self, supply: Supply) -> None:
        asked, there = self._names("ask"), self._names("have")
        for name in [name for name, future in self._fetching.items() if future.done()]:
            self._settle(name, asked=name in asked)
        for name in asked:
            self._handed.add(name)
            if name not in there and not (self._folder / "none" / name).exists():
                self._begin(supply, name)
        while len(there) + len(self._fetching) < RING and not supply.is_beyond(self._next):
            name = supply.name(self._next)
            if name in self._later:
                break  # not whole yet: whoever asks for it waits
            self._next += 1
            if name not in there:
                self._begin(supply, name)
        for path in sorted((self._folder / "new").iterdir()):
            self._keep(supply, path)
        self._tell(supply)

    def _settle(self, name: str, *, asked: bool) -> None:
        """What nobody has asked for may not be needed: its trouble is told when it is."""
        error = self._fetching.pop(name).exception()
        if isinstance(error, PostbaseError) and not asked:
            logger.warning("%s was not fetched ahead: %s", name, error)
        elif error is not None:
            raise error

    def _names(self, folder: str) -> set[str]:
        return {path.name for path in (self._folder / folder).iterdir()}

    def _begin(self, supply: Supply, name: str) -> None:
        if name in self._fetching or time.monotonic() < self._later.get(name, 0.0):
            return
        again = name in self._later
        self._fetching[name] = self._pool.submit(self._fetch, supply, name, refresh=again)

    def _fetch(self, supply: Supply, name: str, *, refresh: bool) -> None:
        """In a thread. Leaves have/<name>, none/<name>, or a note to look again."""

        def once() -> File | Answer:
            if refresh:
                supply.refresh()
            return supply.answer(name)

        match self._patiently(once):
            case File(data=data):
                part = self._folder / f"{name}.part"
                part.write_bytes(data)
                part.rename(self._folder / "have" / name)
                self._bytes += len(data)
                self._later.pop(name, None)
            case Answer.ABSENT:
                (self._folder / "none" / name).touch()
                self._later.pop(name, None)
            case Answer.LATER:
                self._later[name] = time.monotonic() + LOOK_AGAIN

    def _patiently(self, work: Callable[[], T]) -> T:
        """Again and again while the store does not answer; and once more after damage, which a
        cut connection looks like."""
        until, damaged, pause = time.monotonic() + PATIENCE, 0, 0.5
        while True:
            try:
                return work()
            except Damaged as error:
                damaged += 1
                if damaged > 1:
                    raise Failed("ChecksumMismatch", str(error)) from None
            except StoreUnavailable as error:
                if not error.passing or time.monotonic() > until:
                    raise
                logger.warning("the store is asked again: %s", error)
                time.sleep(pause)
                pause = min(10.0, pause * 2)

    def _waits(self) -> bool:
        """PostgreSQL has asked for a file that is not whole yet."""
        return any(name in self._later for name in self._names("ask"))

    def _keep(self, supply: Supply, path: Path) -> None:
        """The history of the timeline that was begun; then all that told of the recovery goes."""
        name = path.name
        if self._task.keeps_archive:
            self._patiently(lambda: supply.keep_history(name, path.read_bytes()))
        for key in (RecoveryProgressKey, RecoveryEndKey):
            self._store.delete(str(key(supply.archive, self._task.restore)))
        (self._folder / "stored" / name).touch()
        path.unlink()

    def _tell(self, supply: Supply) -> None:
        """How far it is, every few seconds. That it cannot fails nothing."""
        if time.monotonic() - self._told < TOLD_EVERY or self._names("stored"):
            return
        self._told = time.monotonic()
        given = sum(not name.endswith(".history") for name in self._handed)
        now = RecoveryProgress(
            wal_files=given, bytes=self._bytes, waits=self._waits(), at=datetime.now(UTC)
        )
        key = RecoveryProgressKey(supply.archive, self._task.restore)
        try:
            self._store.put(str(key), now.to_bytes(), if_absent=False)
        except PostbaseError as error:
            logger.warning("progress could not be told: %s", error)

    def _fail(self, error: PostbaseError) -> None:
        """restore.sh ends with 255 then, and PostgreSQL gives up instead of promoting."""
        word = desk.last_word(error)
        logger.error("%s: %s", word.reason, word.message)
        part = self._folder / "failed.part"
        part.write_bytes(word.to_bytes())
        part.rename(self._folder / "failed")
