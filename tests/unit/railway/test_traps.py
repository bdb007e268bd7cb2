"""docs/railway.md promises what its tests hold, and says of the rest that it is open."""

from __future__ import annotations

import re

from railway.trap_table import PAGE, ROOT, marked, page, table
from railway.traps import TRAPS


def test_the_table_is_what_the_marks_give() -> None:
    """Else: `make traps`."""
    text = PAGE.read_text()
    assert text == page(text)


def test_every_mark_names_a_trap() -> None:
    assert not set(marked()) - set(TRAPS)


def test_every_test_of_the_table_is_there() -> None:
    named = re.findall(r"`(tests/[\w/]+\.py)::(test_\w+)`", PAGE.read_text())
    assert len(named) > 60
    for file, test in named:
        assert re.search(rf"^(async )?def {test}\(", (ROOT / file).read_text(), re.MULTILINE), test


def test_what_no_test_holds_is_told_as_open() -> None:
    some = next(iter(TRAPS))
    held, _, open_ones = table({some: ["tests/x.py::test_y"]}).partition("Open, without a test")
    assert TRAPS[some].railway in held
    assert TRAPS[some].railway not in open_ones
    assert open_ones.count("\n- ") == len(TRAPS) - 1
