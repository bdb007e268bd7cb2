"""Rules of the house that no linter knows."""

import ast
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
PACKAGE = ROOT / "operator" / "postbase_operator"
SOURCES = sorted(PACKAGE.rglob("*.py"))


def test_operator_folder_is_no_package() -> None:
    """With operator/__init__.py any Python started in the root takes it for the stdlib module."""
    assert not (ROOT / "operator" / "__init__.py").exists()
    done = subprocess.run(
        [sys.executable, "-c", "import collections, operator; operator.eq"],
        cwd=ROOT,
        check=False,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr


def test_types_are_checked_in_all_that_is_ours() -> None:
    """A name that was moved out of a test that nobody checks is missed when its part runs."""
    checked = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["mypy"]["packages"]
    ours = {path.parent.name for path in (ROOT / "tests").glob("*/*.py")}
    assert "e2e" in ours
    assert {PACKAGE.name} | ours <= set(checked)


@pytest.mark.parametrize("path", SOURCES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_files_stay_readable(path: Path) -> None:
    """About 300 lines at most, and a docstring that says why the file exists."""
    text = path.read_text()
    assert len(text.splitlines()) <= 320
    assert ast.get_docstring(ast.parse(text)), f"{path.name} has no module docstring"


@pytest.mark.parametrize("word", ["utils", "helpers", "common", "misc"])
def test_no_file_without_a_subject(word: str) -> None:
    assert not [p for p in PACKAGE.rglob("*") if p.stem == word]
