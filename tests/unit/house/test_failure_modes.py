"""docs/failure-modes.md and docs/durability.md promise nothing that no test does."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
ROWS = [
    line
    for line in (ROOT / "docs" / "failure-modes.md").read_text().splitlines()
    if line.startswith("| ") and not line.startswith("| what happens")
] + re.findall(r"^\| \d+ \|.*$", (ROOT / "docs" / "durability.md").read_text(), re.MULTILINE)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row[1:].strip()[:50])
def test_each_row_names_a_test_that_is_there(row: str) -> None:
    named = re.findall(r"`(tests/[\w/]+\.py)::(test_\w+)`", row)
    assert named, "a bad day without a test"
    for file, test in named:
        assert re.search(rf"^(async )?def {test}\(", (ROOT / file).read_text(), re.MULTILINE), test


def test_there_are_rows() -> None:
    assert len(ROWS) > 30
