"""Sizes that follow from the volume, values that survive quoting, settings that cannot be taken."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from postbase_operator.api.parameters import OWNED
from postbase_operator.desired.postgresql_conf import (
    MIB,
    Sizes,
    owned,
    postgresql_conf,
    quoted,
    revision,
)

GIB = 1024 * MIB


def settings(text: str) -> dict[str, str]:
    """The file as PostgreSQL reads it: the last of a name wins."""
    read: dict[str, str] = {}
    for line in text.splitlines():
        name, _, value = line.partition(" = ")
        read[name] = value[1:-1].replace("''", "'").replace("\\\\", "\\")
    return read


@given(st.integers(GIB, 64 * 1024 * GIB), st.integers(128 * MIB, 1024 * GIB))
def test_wal_can_never_fill_the_volume(volume: int, memory: int) -> None:
    """max_wal_size is soft and the slots' cap comes on top: together under half of the volume."""
    read = settings(postgresql_conf({}, Sizes(volume, memory)))
    wal = sum(int(read[name][:-2]) for name in ("max_wal_size", "max_slot_wal_keep_size"))
    assert wal * MIB <= volume // 2
    assert 0 < int(read["wal_keep_size"][:-2]) <= int(read["max_wal_size"][:-2]), "nor does this"
    assert int(read["shared_buffers"][:-2]) * MIB <= max(memory // 4, 16 * MIB)


def test_what_the_product_stands_on_cannot_be_taken() -> None:
    sizes = Sizes(GIB, 512 * MIB)
    wanted = dict.fromkeys(owned(sizes), "mine")
    assert settings(postgresql_conf(wanted, sizes)) == settings(postgresql_conf({}, sizes))


def test_what_cannot_be_taken_is_refused_and_not_ignored() -> None:
    assert not [name for name in owned(Sizes(GIB, 512 * MIB)) if name not in OWNED]


def test_a_user_may_set_what_is_derived() -> None:
    read = settings(postgresql_conf({"shared_buffers": "64MB"}, Sizes(GIB, 512 * MIB)))
    assert read["shared_buffers"] == "64MB"


@given(st.text(st.characters(exclude_characters="\n\r\0\1", exclude_categories=["Cs"])))
def test_any_value_stays_one_value(value: str) -> None:
    text = quoted(value)
    inner = text[1:-1].replace("\\\\", "\0").replace("''", "\1")
    assert text[0] == text[-1] == "'"
    assert "'" not in inner
    assert inner.replace("\0", "\\").replace("\1", "'") == value


@pytest.mark.parametrize("value", ["a\nfsync = off", "a\r\nb"])
def test_a_value_cannot_begin_a_line_of_its_own(value: str) -> None:
    assert len(quoted(value).splitlines()) == 1


def test_revisions_tell_files_apart() -> None:
    assert revision("a", "bc") != revision("ab", "c")
    assert revision("a", "b") == revision("a", "b")
