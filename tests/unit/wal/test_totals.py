"""How much has come, where a timeline begins of which no object tells it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from postbase_operator.archive.keys import Archive, ChunkKey, SegmentKey
from postbase_operator.archive.wal_index import WalIndex
from postbase_operator.archive.wal_object import Codec, Totals, encode
from postbase_operator.objectstore.store import NotFound, ObjectInfo, Stored
from postbase_operator.wal.claim import totals_before
from postbase_operator.wal.lsn import SEGMENT_SIZE, Lsn, Segment
from postbase_operator.wal.origin import Origin
from unit.archive.test_wal_object import header

ARCHIVE = Archive("4b1e4f5c-0000-4000-8000-000000000001", "7-1")
SECOND = Lsn(SEGMENT_SIZE * 2)


def whole(timeline: int, number: int) -> SegmentKey:
    return SegmentKey(ARCHIVE, Segment(timeline, number).name)


def chunk(timeline: int, start: int, end: int) -> ChunkKey:
    return ChunkKey(ARCHIVE, timeline, SEGMENT_SIZE * 2 + start, SEGMENT_SIZE * 2 + end)


class Held:
    """Each object says how many were there before it; those in `lost` are gone meanwhile."""

    def __init__(self, *keys: SegmentKey | ChunkKey, lost: bool = False) -> None:
        self.keys, self._lost = keys, lost

    def get(self, key: str) -> bytes:
        if self._lost:
            raise NotFound(key)
        number = [str(each) for each in self.keys].index(key)
        totals = Totals(received=number, segments=number)
        return encode(header(b"log", totals=totals), b"log", Codec.NONE)

    def put(self, key: str, body: bytes, *, if_absent: bool = True) -> Stored:
        raise NotImplementedError

    def list(self, prefix: str) -> Iterator[ObjectInfo]:
        raise NotImplementedError

    def delete(self, key: str) -> None:
        raise NotImplementedError


def known(held: Held, durable: int = 0) -> int | None:
    origin = Origin(2, SECOND, Lsn(SECOND + durable))
    totals = totals_before(held, WalIndex(list(held.keys), SEGMENT_SIZE), origin)
    return None if totals is None else totals.segments


def test_of_an_empty_archive_there_is_nothing() -> None:
    assert known(Held()) == 0


def test_the_timeline_before_tells_it() -> None:
    assert known(Held(whole(1, 0), whole(1, 1), chunk(1, 0, 10))) == 2


@pytest.mark.parametrize("behind", [chunk(2, 5, 10), whole(2, 3)], ids=["in its segment", "after"])
def test_what_lies_behind_a_hole_is_sent_again(behind: SegmentKey | ChunkKey) -> None:
    assert known(Held(whole(1, 0), whole(1, 1), behind)) == 1


def test_log_before_a_gap_counts() -> None:
    assert known(Held(whole(1, 0), whole(2, 1))) == 1


def test_what_has_been_merged_since_the_listing_tells_nothing() -> None:
    assert known(Held(whole(1, 0), lost=True)) is None
    assert known(Held(whole(1, 0), chunk(2, 0, 10)), durable=10) is None
