"""PostgreSQL's history files, as it writes them."""

from __future__ import annotations

import pytest

from postbase_operator.archive.history import Fork, parse_history
from postbase_operator.archive.lsn import Lsn
from postbase_operator.archive.record import UnreadableRecord


def test_a_history_as_postgresql_writes_it() -> None:
    content = b"1\t0/A000198\tbefore 2026-11-23 12:00:00+00\n\n2\t1/0\tno recovery target\n"
    assert parse_history(content) == (Fork(1, Lsn(0xA000198)), Fork(2, Lsn(1 << 32)))
    assert parse_history(b"# a comment\n\n") == ()


@pytest.mark.parametrize("content", [b"one\t0/1\n", b"1\n", b"1\tA000198\n", b"2\t0/1\n1\t0/2\n"])
def test_what_is_no_history_is_refused(content: bytes) -> None:
    with pytest.raises(UnreadableRecord):
        parse_history(content)
