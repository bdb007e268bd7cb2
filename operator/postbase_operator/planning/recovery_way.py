"""From one base backup along the live branch: how far, and how a target is reached. PURE."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property
from typing import Protocol

from postbase_operator.api.restore_status import RestoreReason
from postbase_operator.archive.commits import LogRecord
from postbase_operator.archive.keys import BackupSegmentKey, ChunkKey, HeartbeatKey, SegmentKey
from postbase_operator.archive.log_path import ArchivedLog, Assembly, BaseLog, LogPath
from postbase_operator.archive.lsn import Lsn
from postbase_operator.archive.record import BackupRecord
from postbase_operator.archive.wal_index import Run
from postbase_operator.archive.wal_object import WalHeader
from postbase_operator.errors import PostbaseError

UNDER_WAY = timedelta(seconds=60)
"""How much older than what was sent after it an object may be that is still on its way."""


class Refused(PostbaseError):
    """It cannot be; `reason` is the word of the condition. `passing`: it may be in a moment."""

    def __init__(self, reason: RestoreReason, why: str, *, passing: bool = False) -> None:
        super().__init__(why)
        self.reason, self.passing = reason, passing


class LogReader(Protocol):
    """What lies in the archive's objects; each call may cost a request."""

    def header(self, key: SegmentKey | ChunkKey | HeartbeatKey) -> WalHeader:
        """Of one object."""

    def records(self, file: Assembly) -> Sequence[LogRecord]:
        """Of one file of the log, as far as it is there."""


@dataclass(frozen=True, slots=True)
class Span:
    """What could be restored when this was planned."""

    begin: datetime
    until: datetime


@dataclass(frozen=True, slots=True)
class Recovery:
    """How the target is reached."""

    base: BackupRecord
    timelines: tuple[int, ...]
    """On the way, the oldest first; the last one is PostgreSQL's recovery_target_timeline."""
    start: Lsn
    end: Lsn
    """Where the log is cut: what lies beyond is not read."""
    stop_at: datetime | None
    """PostgreSQL's recovery_target_time; None: all up to `end` is replayed."""
    last_commit: datetime | None
    """The last one that will be there; None where there is none since the backup."""
    span: Span
    bytes: int
    """To fetch: the backup as it is stored, the log unpacked."""
    log_bytes: int
    wal_files: int
    warnings: tuple[str, ...] = ()


def base_log(base: BackupRecord) -> BaseLog:
    """The log that a physical backup has with it."""
    keys = {}
    for each in base.objects:
        key = BackupSegmentKey.read(f"{base.place}{each.key}")
        if key is not None:
            keys[key.parsed(base.wal_segment_size)] = key
    start, stop = (Lsn.parse(text or "0/0") for text in (base.start_lsn, base.stop_lsn))
    return BaseLog(base.timeline or 1, start, stop, keys)


class Way:
    """From one base backup along the live branch, as far as the log goes without a hole."""

    def __init__(self, base: BackupRecord, log: ArchivedLog, reader: LogReader) -> None:
        self.base, self._log, self._reader = base, log, reader
        self.start = Lsn.parse(base.start_lsn or "0/0")
        self.stop = Lsn.parse(base.stop_lsn or "0/0")
        self._times: dict[int, datetime | None] = {}

    @cached_property
    def files(self) -> list[Assembly]:
        """From the one with the backup's start on."""
        return [each for each in self._log.files(self.start) if each.slices]

    @cached_property
    def end(self) -> Lsn:
        """How far the log is there. Never less than the backup needs by itself."""
        return max(self.stop, self.files[-1].end) if self.files else self.stop

    @cached_property
    def beyond(self) -> Run | None:
        """The first that the archive has of this branch behind a hole."""
        index, legs = self._log.index, self._log.path.legs
        found = [
            run
            for leg in legs
            for run in index.runs(leg.timeline)
            if (min(run.end, leg.end) if leg.end is not None else run.end) > self.end
        ]
        return min(found, key=lambda run: run.start, default=None)

    def is_filling(self, now: datetime) -> bool:
        """Whether the hole may be filled in a moment.

        Uploads end in any order: who lists the archive between two of them sees the later one only.
        What was sent right after the hole is then of this minute. By a clock of ours that is wrong
        the hole is a gap at once, as it is for whoever comes later.
        """
        key = self._log.index.first_of(self.beyond) if self.beyond is not None else None
        return key is not None and abs(now - self._reader.header(key).sent_at) < UNDER_WAY

    @cached_property
    def until(self) -> datetime:
        """Up to this moment of the server's clock nothing is missing."""
        last = self.files[-1].slices[-1].key if self.files else None
        moments = [self.base.completed_at]
        if isinstance(last, SegmentKey | ChunkKey):
            moments = [self._reader.header(last).sent_at]
        beat = self._log.index.heartbeat(self._log.path.timeline)
        if beat is not None and beat.lsn == self.end:
            moments.append(self._reader.header(beat).sent_at)
        return max(moments)

    @property
    def span(self) -> Span:
        return Span(self.base.completed_at, max(self.until, self.base.completed_at))

    def to_end(self) -> Recovery:
        return self._made(self.end, None, self._last(len(self.files) - 1), len(self.files))

    def to_lsn(self, lsn: Lsn, now: datetime) -> Recovery:
        if lsn > self.end:
            why = f"the log is there from {self.stop} to {self.end}, not to {lsn}"
            if self.beyond is not None:
                raise Refused(RestoreReason.WAL_GAP, why, passing=self.is_filling(now))
            raise Refused(RestoreReason.TARGET_AFTER_WINDOW, why)
        number = bisect_left(self.files, lsn, key=lambda file: file.end)
        count = min(number + 1, len(self.files))
        last = self._last(count - 2) if count > 1 else None
        for record in self._records(count - 1):
            if record.ended_at is not None and self.stop < record.end <= lsn:
                last = record.ended_at
        return self._made(lsn, None, last, count)

    def to_time(self, time: datetime, now: datetime) -> Recovery:
        """Without a target time where no commit follows: PostgreSQL would refuse to end there."""
        if time > self.span.until:
            if self.beyond is not None:
                why = f"the log has a hole at {self.end}, before {text(time)}"
                raise Refused(RestoreReason.WAL_GAP, why, passing=self.is_filling(now))
            why = f"{text(time)} lies after the window"
            raise Refused(RestoreReason.TARGET_AFTER_WINDOW, why, passing=True)
        first = self.stop // self._log.size - self.start // self._log.size
        number = bisect_left(
            range(len(self.files)), 1, lo=min(first, len(self.files)), key=self._is_after(time)
        )
        if number == len(self.files):
            return self._made(self.end, None, self._last(number - 1), number)
        last = self._last(number - 1)
        stop: LogRecord | None = None
        for record in self._records(number):
            if record.ended_at is None or record.end <= self.stop:
                continue
            if record.ended_at > time:
                stop = record
                break
            last = record.ended_at
        at = stop.start if stop is not None else self.files[number].end
        return self._made(self.end, time, last, number + 1, at)

    def _end_on(self, path: LogPath) -> Lsn:
        """How far the log of an older timeline goes: its target comes before it was left."""
        log = ArchivedLog(self._log.index, path, self._log.base)
        return max((each.end for each in log.files(self.start)), default=self.stop)

    def _is_after(self, time: datetime) -> Callable[[int], int]:
        def key(number: int) -> int:
            last = self._last(number)
            return int(last is not None and last > time)

        return key

    def _last(self, number: int) -> datetime | None:
        """Time of the last commit up to the end of that file, since the backup."""
        at = number
        while at >= 0 and self.files[at].end > self.stop:
            if at not in self._times:
                self._times[at] = self._last_in(self.files[at])
            if self._times[at] is not None:
                return self._times[at]
            at -= 1
        return None

    def _last_in(self, file: Assembly) -> datetime | None:
        """By the headers; record by record where an object reaches beyond what is of this way."""
        for each in reversed(file.slices):
            if isinstance(each.key, BackupSegmentKey):
                return None
            header = self._reader.header(each.key)
            if header.end_lsn > each.end:
                return self._walked(file)
            if header.commits is not None and Lsn.parse(header.commits.last_end) > self.stop:
                return header.commits.last
        return None

    def _walked(self, file: Assembly) -> datetime | None:
        times = [
            each.ended_at
            for each in self._reader.records(file)
            if each.ended_at is not None and each.end > self.stop
        ]
        return times[-1] if times else None

    def _records(self, number: int) -> Sequence[LogRecord]:
        return self._reader.records(self.files[number]) if number < len(self.files) else ()

    def _made(
        self,
        end: Lsn,
        stop_at: datetime | None,
        last: datetime | None,
        count: int,
        stops: Lsn | None = None,
    ) -> Recovery:
        """`stops`: about where PostgreSQL will find its target; else it reads up to `end`."""
        path = self._log.path
        there = stops if stops is not None else end
        timeline = path.at(max(there - 1, self.stop - 1, 0)).timeline
        if stops is not None:
            timeline = path.at(max(there, self.stop)).timeline
        if timeline != path.timeline and stops is not None:
            end = self._end_on(path.up_to(timeline))
        log = max(0, there - self.start)
        size = self.base.size_bytes + log
        return Recovery(
            base=self.base,
            timelines=path.up_to(timeline).timelines,
            start=self.start,
            end=end,
            stop_at=stop_at,
            last_commit=last,
            span=self.span,
            bytes=size,
            log_bytes=log,
            wal_files=count,
        )


def window(span: Span) -> str:
    return f"what can be restored is {text(span.begin)} to {text(span.until)}"


def text(moment: datetime) -> str:
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
