"""Where the receiver goes on, in every state that a kill or a mishap leaves behind."""

from __future__ import annotations

import pytest

from postbase_operator.archive.wal_index import WalIndex
from postbase_operator.wal.lsn import Lsn, Segment
from postbase_operator.wal.origin import Origin, archived_end, last_whole, origins
from postbase_operator.wal.timeline import Lineage, Switch
from unit.archive.test_wal_index import SIZE, STEP, chunk, whole

ONE = Lineage(1)
TWO = Lineage(2, (Switch(1, Lsn(19 * STEP)),))
"""The second timeline began within the third segment (16 to 24)."""


def begins(timeline: int, begin: int, durable: int, *, fresh: bool = False) -> Origin:
    return Origin(timeline, Lsn(begin * STEP), Lsn(durable * STEP), fresh)


def at(steps: int | None) -> Lsn | None:
    return None if steps is None else Lsn(steps * STEP)


@pytest.mark.parametrize(
    ("what", "keys", "lineage", "kept", "wanted"),
    [
        ("an empty archive", [], ONE, 9, [begins(1, 8, 8, fresh=True)]),
        (
            "the end of the run that the slot is in",
            [whole(1), chunk(16, 18)],
            ONE,
            12,
            [begins(1, 16, 18), begins(1, 8, 8, fresh=True)],
        ),
        (
            "a hole that a kill has left: on from the hole, not from beyond it",
            [whole(1), chunk(16, 18), chunk(19, 21)],
            ONE,
            17,
            [begins(1, 16, 18), begins(1, 16, 16, fresh=True)],
        ),
        (
            "after a gap that was told: from the new run",
            [whole(1), chunk(24, 27)],
            ONE,
            25,
            [begins(1, 8, 16), begins(1, 16, 16), begins(1, 24, 27), begins(1, 24, 24, fresh=True)],
        ),
        (
            "a slot that is new, beyond the archive: the archive's end may still be there",
            [whole(1), chunk(16, 18)],
            ONE,
            33,
            [begins(1, 16, 18), begins(1, 32, 32, fresh=True)],
        ),
        (
            "the border of a segment: the one before is compared if it is there",
            [whole(1)],
            ONE,
            12,
            [begins(1, 8, 16), begins(1, 16, 16), begins(1, 8, 8, fresh=True)],
        ),
        (
            "a server that cannot tell: the first hole that it can fill",
            [whole(1), chunk(16, 18), chunk(19, 21)],
            ONE,
            None,
            [begins(1, 16, 18), begins(1, 32, 32, fresh=True)],
        ),
        (
            "a new slot within what a kill has left behind a hole: the hole first",
            [whole(1), chunk(16, 18), chunk(24, 27)],
            ONE,
            25,
            [begins(1, 16, 18), begins(1, 24, 27), begins(1, 24, 24, fresh=True)],
        ),
        (
            "nothing but what a kill has left behind a hole at the very beginning",
            [chunk(10, 12)],
            ONE,
            11,
            [begins(1, 8, 8, fresh=True)],
        ),
        (
            "the same, where a segment begins",
            [whole(2)],
            ONE,
            12,
            [begins(1, 8, 8, fresh=True)],
        ),
        (
            "all of the old timeline is there: the new one from the beginning of its segment",
            [whole(1), chunk(16, 19)],
            TWO,
            12,
            [begins(2, 16, 16), begins(1, 8, 8, fresh=True)],
        ),
        (
            "what the old timeline had beyond the switch is void",
            [whole(1), chunk(16, 22)],
            TWO,
            12,
            [begins(2, 16, 16), begins(1, 8, 8, fresh=True)],
        ),
        (
            "the old timeline is not all there",
            [whole(1), chunk(16, 18)],
            TWO,
            17,
            [begins(1, 16, 18), begins(1, 16, 16, fresh=True)],
        ),
        (
            "in the new timeline, while the slot's position on disk is of the old one",
            [whole(1), chunk(16, 19), chunk(16, 20, timeline=2)],
            TWO,
            12,
            [begins(2, 16, 20), begins(1, 8, 8, fresh=True)],
        ),
        (
            "another branch than the one that the archive has: from its own beginning",
            [whole(1), chunk(16, 19), chunk(16, 20, timeline=3)],
            TWO,
            21,
            [begins(2, 16, 16), begins(2, 16, 16, fresh=True)],
        ),
    ],
)
def test_the_receiver_goes_on(
    what: str, keys: list[object], lineage: Lineage, kept: int | None, wanted: list[Origin]
) -> None:
    index = WalIndex(keys, SIZE)  # type: ignore[arg-type]
    found = origins(index, lineage, at(kept), Lsn(33 * STEP))
    assert list(found) == wanted, what


def test_how_far_the_archive_knows_of_a_timeline() -> None:
    index = WalIndex([whole(1), chunk(16, 18), chunk(19, 21)], SIZE)
    assert archived_end(index, 1) == 21 * STEP
    assert archived_end(index, 2) == 0


@pytest.mark.parametrize(
    ("keys", "lineage", "wanted"),
    [
        ([], ONE, None),
        ([chunk(16, 18)], ONE, None),
        ([whole(0), whole(1), chunk(16, 18)], ONE, Segment(1, 1, SIZE)),
        # The second timeline has none yet: the last of the first one, but not what it has beyond.
        ([whole(0), whole(1), whole(2), chunk(16, 20, timeline=2)], TWO, Segment(1, 1, SIZE)),
        ([whole(1), whole(5, timeline=3), whole(2, timeline=2)], TWO, Segment(2, 2, SIZE)),
    ],
)
def test_the_last_whole_segment_is_that_of_this_line(
    keys: list[object], lineage: Lineage, wanted: Segment | None
) -> None:
    assert last_whole(WalIndex(keys, SIZE), lineage) == wanted  # type: ignore[arg-type]
