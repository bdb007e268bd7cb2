"""The documents name real things: every path of the architecture's table is there, every make
target that a document tells people to type exists."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
PACKAGE = ROOT / "operator" / "postbase_operator"
ARCHITECTURE = (ROOT / "docs" / "architecture.md").read_text()
DOCUMENTS = [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")]
TARGETS = set(re.findall(r"^([a-z0-9-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))


def named_paths() -> list[str]:
    """Paths in backticks of the table; a bare file name stands in the folder named before it."""
    found = []
    table = ARCHITECTURE.split("## Where would I change")[1].split("## What a Database leaves")[0]
    for cell in (cell for line in table.splitlines() for cell in line.split("|")):
        folder = ""
        for path in re.findall(r"`([\w/.<>*-]+\.(?:py|sh|yaml)|[\w/-]+/)`", cell):
            if "/" in path:
                folder = path.rpartition("/")[0]
            found.append(path if "/" in path or not folder else f"{folder}/{path}")
    return found


@pytest.mark.parametrize("path", named_paths())
def test_paths_of_the_architecture_exist(path: str) -> None:
    pattern = re.sub(r"<\w+>\**", "*", path)
    roots = (PACKAGE, ROOT)
    assert any(list(root.glob(pattern)) for root in roots), path


def test_there_are_paths() -> None:
    assert len(named_paths()) > 30


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda d: str(d.relative_to(ROOT)))
def test_make_targets_in_documents_exist(document: Path) -> None:
    asked = re.findall(r"(?:^|`)make ([a-z][a-z0-9-]*)", document.read_text(), re.MULTILINE)
    assert not [target for target in asked if target not in TARGETS]


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda d: str(d.relative_to(ROOT)))
def test_links_between_documents_lead_somewhere(document: Path) -> None:
    links = re.findall(r"\]\(([^)#:]+)\)", document.read_text())
    assert not [link for link in links if not (document.parent / link).exists()]
