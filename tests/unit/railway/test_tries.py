"""Each trap has a try, and each try fits the source of today: `make tries` makes them."""

from __future__ import annotations

import ast

import pytest

from railway.trap_table import ROOT, marked
from railway.tries import TRIES, Try
from railway.tries.without import PACKAGE

each_try = pytest.mark.parametrize("one", TRIES, ids=[one.trap for one in TRIES])


def test_every_trap_that_is_held_has_a_try() -> None:
    assert {one.trap for one in TRIES} == set(marked())


@each_try
def test_its_test_is_one_that_holds_the_trap(one: Try) -> None:
    assert one.test in marked()[one.trap]


@each_try
def test_it_fits_the_source(one: Try) -> None:
    """Else: the fix has moved, and the try with it."""
    path = ROOT / PACKAGE / one.file
    text = path.read_text() if path.exists() else ""
    without = one.without(text)
    assert without != text
    if path.suffix == ".py":
        ast.parse(without)
