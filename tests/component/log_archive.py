"""An archive of a server's log, written by the test out of the server's own files.

Whole segments, and the last one in chunks, in the format that the receiver writes.
"""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime

from component.servers import Server
from postbase_operator.archive.commits import records
from postbase_operator.archive.keys import Archive, ChunkKey, HistoryKey, SegmentKey
from postbase_operator.archive.lsn import SEGMENT_SIZE, Lsn, Segment
from postbase_operator.archive.wal_object import Commits, WalHeader, pack
from postbase_operator.objectstore.s3 import S3Store

CHUNK = 300_000
"""Bytes of a chunk: no multiple of a page."""


def archive_log(
    store: S3Store, archive: Archive, server: Server, end: Lsn | None = None, *, chunked: int = 1
) -> Lsn:
    """All of the present timeline that lies in pg_wal, up to what is flushed (or `end`); how far.

    `chunked`: how many of the last segments are in chunks and not whole.
    """
    timeline, flushed = server.sql(
        "SELECT timeline_id, pg_current_wal_flush_lsn()::text FROM pg_control_checkpoint()"
    )[0]
    until = end if end is not None else Lsn.parse(flushed)
    folder = server.data / "pg_wal"
    history = folder / f"{timeline:08X}.history"
    if history.exists():
        store.put(str(HistoryKey(archive, timeline)), history.read_bytes())
    last = Segment.containing(until - 1, timeline)
    for path in sorted(folder.glob(f"{timeline:08X}????????????????")):
        segment = Segment.parse(path.name)
        if segment.start < until:
            data = path.read_bytes()[: until - segment.start]
            whole = len(data) == SEGMENT_SIZE and segment.number <= last.number - chunked
            _store(store, archive, server, segment, data, whole=whole)
    return until


def _store(
    store: S3Store,
    archive: Archive,
    server: Server,
    segment: Segment,
    data: bytes,
    *,
    whole: bool,
) -> None:
    if whole:
        key = SegmentKey(archive, segment.name)
        store.put(str(key), wal_object(server, segment, data, 0), if_absent=False)
        return
    for at in range(0, len(data), CHUNK):
        piece = data[at : at + CHUNK]
        start = segment.start + at
        chunk = ChunkKey(archive, segment.timeline, start, start + len(piece))
        store.put(str(chunk), wal_object(server, segment, piece, at, data), if_absent=False)


def wal_object(
    server: Server, segment: Segment, piece: bytes, at: int, whole: bytes | None = None
) -> bytes:
    """The object of `piece`, which lies at `at` in the segment, whose bytes are `whole`."""
    start, end = Lsn(segment.start + at), Lsn(segment.start + at + len(piece))
    ended = [
        each
        for each in records(whole if whole is not None else piece, segment.start)
        if each.ended_at is not None and start < each.end <= end
    ]
    commits = None
    if ended:
        first, last = ended[0], ended[-1]
        assert first.ended_at is not None
        assert last.ended_at is not None
        commits = Commits(first=first.ended_at, last=last.ended_at, last_end=str(last.end))
    (system_id,) = server.sql("SELECT system_identifier::text FROM pg_control_system()")[0]
    header = WalHeader(
        system_id=system_id,
        timeline=segment.timeline,
        start=str(start),
        end=str(end),
        size=len(piece),
        sha256=hashlib.sha256(piece).hexdigest(),
        commits=commits,
        sent_at=datetime.now(UTC),
        writer="test",
    )
    return pack(header, piece)[0]
