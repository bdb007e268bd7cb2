"""Chunks that are durable, joined to whole segments: from memory, or read back after a crash."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from postbase_operator.archive.keys import SegmentKey
from postbase_operator.archive.template import Key
from postbase_operator.archive.wal_index import Piece, WalIndex
from postbase_operator.archive.wal_object import (
    Codec,
    Commits,
    WalHeader,
    decode,
    encode_frames,
    pack,
    unpacked,
)
from postbase_operator.wal.lsn import Segment
from postbase_operator.wal.uploader import Packed, Uploader

MOST_FRAMES = 16
"""From more frames than this a segment is packed anew: small ones compress badly."""


@dataclass(frozen=True, slots=True)
class Merged:
    """A segment that is in the store as one object; its chunks are of no more use."""

    segment: Segment
    chunks: tuple[Key, ...]
    held: int = 0
    """Bytes of parts that were in memory for it."""


class Assembly:
    """The chunks of segments that are not whole yet."""

    def __init__(self) -> None:
        self._parts: dict[Segment, dict[int, Packed]] = {}
        self.held = 0
        """Bytes that are kept in memory for it."""

    def add(self, part: Packed) -> list[Packed] | None:
        """All parts of the segment, in order, once they make it up."""
        segment = part.place.segment
        parts = self._parts.setdefault(segment, {})
        parts[part.place.start] = part
        self.held += len(part.frame)
        if sum(each.header.size for each in parts.values()) < segment.size:
            return None
        del self._parts[segment]
        self.held -= sum(len(each.frame) for each in parts.values())
        return [parts[start] for start in sorted(parts)]


def merge(uploader: Uploader, parts: list[Packed], needless: tuple[Key, ...]) -> Merged:
    """Writes a segment from its parts' frames; durable when it returns."""
    segment, last = parts[0].place.segment, parts[-1].header
    held = sum(len(part.frame) for part in parts)
    header = last.model_copy(
        update={
            "start": str(segment.start),
            "size": segment.size,
            "sha256": last.prefix_sha256,
            "commits": joined([part.header.commits for part in parts]),
        }
    )
    frames = [part.frame for part in parts]
    if len(frames) > MOST_FRAMES:
        body, _ = pack(header, unpacked(b"".join(frames), Codec.ZSTD))
    else:
        body = encode_frames(header, frames, Codec.ZSTD)
    uploader.write(SegmentKey(uploader.place.archive, segment.name), header, body)
    return Merged(segment, needless, held)


def joined(parts: list[Commits | None]) -> Commits | None:
    """The first and the last of them all."""
    there = [part for part in parts if part is not None]
    if not there:
        return None
    return there[-1].model_copy(update={"first": there[0].first})


def unmerged(index: WalIndex, until: Segment) -> tuple[Segment, ...]:
    """Segments that are whole only in chunks, but for those of `until`'s timeline from it on."""
    found = {
        Segment.containing(chunk.start, timeline, index.segment_size)
        for timeline in index.timelines
        for chunk in index.chunks(timeline)
    }
    return tuple(
        segment
        for segment in sorted(found - set(index.segments))
        if (segment.timeline != until.timeline or segment < until) and index.is_whole(segment)
    )


def needless(index: WalIndex, segment: Segment) -> tuple[Key, ...]:
    """The chunks within a segment."""
    return tuple(
        chunk
        for chunk in index.chunks(segment.timeline)
        if segment.start <= chunk.start < segment.end
    )


def replaced(index: WalIndex) -> tuple[Key, ...]:
    """Chunks of segments that are there as one object: a receiver had no time to delete them."""
    return tuple(
        chunk
        for timeline in index.timelines
        for chunk in index.chunks(timeline)
        if Segment.containing(chunk.start, timeline, index.segment_size) in index.segments
    )


def merge_stored(uploader: Uploader, index: WalIndex, segment: Segment) -> Merged:
    """Reads a segment's chunks back and writes it as one; raises Damaged where one is not whole."""
    pieces = index.cover(segment)
    read = [decode(uploader.get(piece.key)) for piece in pieces]
    data = b"".join(
        _trimmed(each.raw(), each.header, piece) for each, piece in zip(read, pieces, strict=True)
    )
    digest = hashlib.sha256(data).hexdigest()
    header = read[-1].header.model_copy(
        update={
            "start": str(segment.start),
            "size": segment.size,
            "sha256": digest,
            "prefix_sha256": digest,
            "commits": joined([each.header.commits for each in read]),
        }
    )
    body, _ = pack(header, data)
    uploader.write(SegmentKey(uploader.place.archive, segment.name), header, body)
    return Merged(segment, needless(index, segment))


def _trimmed(data: bytes, header: WalHeader, piece: Piece) -> bytes:
    begin = piece.start - header.start_lsn
    return data[begin : begin + (piece.end - piece.start)]
