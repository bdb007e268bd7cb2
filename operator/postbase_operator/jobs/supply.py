"""Which files of the log a recovery may have, and their bytes: along one path, to a pinned end.

The answer "there is no such file" ends a recovery and promotes it, so it is given only for what
provably lies beyond the end. Everything else is there, is waited for, or is an error.
"""

from __future__ import annotations

import re
import threading
from contextlib import suppress
from dataclasses import dataclass
from enum import Enum

from postbase_operator.archive.keys import Archive, HistoryKey, RecoveryEndKey
from postbase_operator.archive.log_path import ArchivedLog, Assembly, Leg, LogPath
from postbase_operator.archive.lsn import Lsn, Segment
from postbase_operator.archive.record import BackupRecord
from postbase_operator.archive.run import LogEnd, RecoveryTask
from postbase_operator.archive.wal_index import WalIndex
from postbase_operator.jobs.desk import Failed
from postbase_operator.objectstore.archive_log import StoredLog, listed
from postbase_operator.objectstore.store import NotFound, ObjectStore
from postbase_operator.planning.recovery_way import base_log

_HISTORY = re.compile(r"([0-9A-F]{8})\.history")
STUB = b"# a timeline that a restore took and that was never written\n"
"""PostgreSQL asks of the timelines above its own only whether there are any."""


class Answer(Enum):
    """What is not bytes."""

    ABSENT = "absent"
    """There is none, and there will be none."""
    LATER = "later"
    """It is not whole yet, and the end is not known."""


@dataclass(frozen=True, slots=True)
class File:
    """A file of the log, whole or padded."""

    name: str
    data: bytes


class Supply:
    """The files of one recovery. Its methods block, and are called from several threads."""

    def __init__(self, store: ObjectStore, base: BackupRecord, task: RecoveryTask) -> None:
        self._store, self._base, self._task = store, base, task
        self._size = base.wal_segment_size
        self._archive = Archive(base.database_uid, base.incarnation)
        self._log = StoredLog(store, self._size)
        self._lock = threading.Lock()
        self._end = Lsn.parse(task.end) if task.end is not None else None
        self._read()
        self.first = Lsn.parse(base.start_lsn or "0/0") // self._size

    @property
    def archive(self) -> Archive:
        return self._archive

    @property
    def is_pinned(self) -> bool:
        return self._end is not None

    def name(self, number: int) -> str:
        return self._path.file(number, self._size).name

    def histories(self) -> tuple[str, ...]:
        """Of the timelines that are known: PostgreSQL takes a number that has none."""
        with self._lock:
            known = (*self._index.timelines, *self._index.histories, self._task.timeline)
        return tuple(f"{timeline:08X}.history" for timeline in range(2, max(known) + 1))

    def is_beyond(self, number: int) -> bool:
        """PostgreSQL will find nothing there; False as long as the end is not known."""
        return self._end is not None and number * self._size >= self._end

    def answer(self, name: str) -> File | Answer:
        """Raises Failed, Damaged, and what the store raises."""
        history = _HISTORY.fullmatch(name)
        if history is not None:
            return self._history(name, int(history[1], 16))
        try:
            segment = Segment.parse(name, self._size)
        except ValueError:
            return Answer.ABSENT  # PostgreSQL asks for backup labels of old releases, too
        return self.segment(segment)

    def segment(self, segment: Segment) -> File | Answer:
        if segment.timeline not in self._path.timelines or self.is_beyond(segment.number):
            return Answer.ABSENT
        for _ in range(2):
            file = self._assembled(segment)
            if file is None and not self.is_pinned:
                return Answer.LATER
            if file is not None:
                try:
                    return File(segment.name, self._log.file(file))
                except NotFound:
                    pass  # chunks have become a segment since they were listed
            self.refresh()
        raise Failed("WalGap", f"the archive lacks {segment.name}, or a part of it")

    def refresh(self) -> None:
        """Looks again what is there, and where the end is."""
        if self._end is None:
            key = RecoveryEndKey(self._archive, self._task.restore)
            with suppress(NotFound):
                self._end = Lsn.parse(LogEnd.from_bytes(self._store.get(str(key))).end)
        with self._lock:
            self._read()

    def _read(self) -> None:
        keys = listed(self._store, self._archive)
        self._index = WalIndex(keys, self._size)
        timeline = self._task.timeline
        histories = {}
        if timeline != 1 and timeline in self._index.histories:
            histories[timeline] = self._store.get(str(self._index.histories[timeline]))
        alone = LogPath((Leg(timeline, Lsn()),))
        self._path = alone if self._task.alone else LogPath.to(timeline, histories)

    def _assembled(self, segment: Segment) -> Assembly | None:
        """As far as the end, or whole; None where that is not there."""
        with self._lock:
            index, path = self._index, self._path.up_to(segment.timeline)
        file = ArchivedLog(index, path, base_log(self._base)).file(segment.number)
        end = segment.end if self._end is None else Lsn(min(segment.end, self._end))
        return file.cut(end) if file.end >= end else None

    def _history(self, name: str, timeline: int) -> File | Answer:
        """Asked of the store anew: another restore may have taken a number since."""
        try:
            return File(name, self._store.get(str(HistoryKey(self._archive, timeline))))
        except NotFound:
            pass
        return File(name, STUB) if name in self.histories() else Answer.ABSENT

    def keep_history(self, name: str, data: bytes) -> None:
        """The timeline that the recovered database begins. Conflict where somebody was first."""
        history = _HISTORY.fullmatch(name)
        if history is None:
            raise Failed("RecoveryFailed", f"{name!r} is no history of a timeline")
        self._store.put(str(HistoryKey(self._archive, int(history[1], 16))), data)
