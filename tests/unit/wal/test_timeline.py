"""Histories of timelines, and the line that they make."""

from __future__ import annotations

import pytest

from postbase_operator.wal.lsn import Lsn
from postbase_operator.wal.protocol import ProtocolError
from postbase_operator.wal.timeline import Lineage, Switch, parse, written

HISTORY = b"""1\t0/3000060\tno recovery target specified

# a comment
10\t0/5000000\tbefore 2026-11-23 03:00:00+00
"""
SWITCHES = (
    Switch(1, Lsn(0x3000060), "no recovery target specified"),
    Switch(10, Lsn(0x5000000), "before 2026-11-23 03:00:00+00"),
)


def test_a_history_is_read_and_written() -> None:
    assert parse(HISTORY) == SWITCHES
    assert parse(written(SWITCHES)) == SWITCHES
    assert parse(b"") == ()


@pytest.mark.parametrize(
    "content", [b"x\t0/1\t", b"1\tnowhere\t", b"2\t0/1\t\n1\t0/2\t", b"1\n", b"0A\t0/1\t"]
)
def test_what_is_no_history_is_refused(content: bytes) -> None:
    with pytest.raises(ProtocolError):
        parse(content)


def test_each_byte_belongs_to_one_timeline() -> None:
    lineage = Lineage(11, SWITCHES)
    assert lineage.timelines == (1, 10, 11)
    assert [lineage.at(at) for at in (0, 0x300005F, 0x3000060, 0x4FFFFFF, 0x5000000)] == [
        1,
        1,
        10,
        10,
        11,
    ]
    assert lineage.end_of(1) == 0x3000060
    assert lineage.end_of(11) is None
    assert lineage.successor(1) == 10
    assert lineage.successor(10) == 11
