"""Which branch of the log a recovery follows: the one that is written now, or one that is named.

A restore in place leaves one branch and begins another; an undo goes back to the first. PURE.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from postbase_operator.api.restore_status import RestoreReason
from postbase_operator.archive.keys import ChunkKey, HeartbeatKey, SegmentKey
from postbase_operator.archive.log_path import BrokenHistory, LogPath
from postbase_operator.archive.record import BackupRecord
from postbase_operator.archive.wal_index import WalIndex
from postbase_operator.planning.recovery_way import LogReader, Refused


@dataclass(frozen=True, slots=True)
class Archived:
    """One incarnation's archive: its base backups, the listing of its log, its histories."""

    bases: Sequence[BackupRecord]
    index: WalIndex
    histories: Mapping[int, bytes]
    live: int | None = None
    """The timeline that a server is known to write; None: the archive's own word is taken."""


def path_to(archived: Archived, reader: LogReader, timeline: int | None) -> LogPath:
    """To a timeline, else to the one that is written now. Raises Refused where the archive has
    nothing of it, or its history is missing."""
    if timeline is not None and timeline not in _known(archived):
        there = ", ".join(map(str, sorted(_known(archived)))) or "none"
        why = f"the archive has no timeline {timeline}; it has {there}"
        raise Refused(RestoreReason.TIMELINE_NOT_FOUND, why)
    try:
        return LogPath.to(timeline or _live(archived, reader), archived.histories)
    except BrokenHistory as error:
        raise Refused(RestoreReason.WAL_GAP, str(error)) from None


def other_paths(archived: Archived, path: LogPath) -> Iterator[LogPath]:
    """To every other timeline that has some log, by itself. One without a history is none."""
    for timeline in archived.index.timelines:
        if timeline != path.timeline:
            try:
                yield LogPath.to(timeline, archived.histories)
            except BrokenHistory:
                continue


def _known(archived: Archived) -> set[int]:
    of_bases = (base.timeline or 1 for base in archived.bases)
    return {*archived.index.timelines, *archived.histories, *of_bases}


def _live(archived: Archived, reader: LogReader) -> int:
    """What is known, else the timeline that was written last, by the server's clock: not the
    highest number, as a restore that was undone leaves a higher one. A heartbeat counts: a server
    that an undo brought back may write nothing for hours."""
    index = archived.index
    if archived.live is not None and archived.live in _known(archived):
        return archived.live
    written = [(_written_at(index, each, reader), each) for each in index.timelines]
    newest = max(archived.bases, key=lambda base: base.completed_at, default=None)
    of_backup = newest.timeline if newest is not None and newest.timeline is not None else 1
    return max(written)[1] if written else of_backup


def _written_at(index: WalIndex, timeline: int, reader: LogReader) -> datetime:
    keys: list[SegmentKey | ChunkKey | HeartbeatKey] = [_last_key(index, timeline)]
    beat = index.heartbeat(timeline)
    if beat is not None:
        keys.append(beat)
    return max(reader.header(key).sent_at for key in keys)


def _last_key(index: WalIndex, timeline: int) -> SegmentKey | ChunkKey:
    """The object that reaches furthest on a timeline which has some."""
    ends: list[tuple[int, SegmentKey | ChunkKey]] = [
        (segment.end, key)
        for segment, key in index.segments.items()
        if segment.timeline == timeline
    ]
    ends += [(chunk.end, chunk) for chunk in index.chunks(timeline)]
    return max(ends, key=lambda each: each[0])[1]
