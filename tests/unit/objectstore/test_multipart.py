"""How a stream is cut into parts."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from postbase_operator.objectstore.multipart import MIB, MOST_PARTS, PART_SIZE, part_size, parts


@given(chunks=st.lists(st.binary(max_size=40)), size=st.integers(1, 64))
def test_parts_are_alike_but_the_last_and_are_the_same_bytes(
    chunks: list[bytes], size: int
) -> None:
    cut = list(parts(chunks, size))
    assert b"".join(cut) == b"".join(chunks)
    assert all(len(part) == size for part in cut[:-1])
    assert all(cut)


@pytest.mark.parametrize("expected", [0, 1, 100 << 30, 140 << 30, 150 << 30, 5 << 40])
def test_there_are_parts_enough_with_a_tenth_to_spare(expected: int) -> None:
    size = part_size(expected)
    assert size * MOST_PARTS >= expected * 1.1
    assert size % MIB == 0
    assert size >= PART_SIZE
    assert size == PART_SIZE or expected > 140 << 30
