"""`python -m railway.trap_table` writes the table of docs/railway.md anew: from TRAPS, and from the
marks `@pytest.mark.trap("name")` of tests. They are read off the source, so that no test need run,
or be importable, for the table."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

from railway.traps import TRAPS

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "railway.md"
TESTS = ("unit", "component", "apiserver")
BEGINS = "<!-- traps: written by `make traps` -->\n"
ENDS = "<!-- end of traps -->\n"


def marked() -> dict[str, list[str]]:
    """Trap to the tests that hold it, as `path::test`, in order."""
    found: dict[str, list[str]] = {}
    for folder in TESTS:
        for file in sorted((ROOT / "tests" / folder).rglob("test_*.py")):
            for trap, test in _marks(file):
                found.setdefault(trap, []).append(f"{file.relative_to(ROOT)}::{test}")
    return found


def _marks(file: Path) -> Iterator[tuple[str, str]]:
    text = file.read_text()
    if "mark.trap(" not in text:
        return
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            for each in node.decorator_list:
                if isinstance(each, ast.Call) and ast.unparse(each.func) == "pytest.mark.trap":
                    for name in each.args:
                        yield ast.literal_eval(name), node.name


def table(tests: dict[str, list[str]] | None = None) -> str:
    """The rows of those that a test holds, then the open ones."""
    tests = marked() if tests is None else tests
    rows = ["| § | Railway | the operator | held by |", "|---|---|---|---|"]
    for name, trap in TRAPS.items():
        if name in tests:
            held = ", ".join(f"`{test}`" for test in tests[name])
            rows.append(f"| {trap.section} | {trap.railway} | {trap.operator} | {held} |")
    open_ones = [trap for name, trap in TRAPS.items() if name not in tests]
    if open_ones:
        rows += ["", "Open, without a test:", ""]
        rows += [f"- §{trap.section}: {trap.railway}: {trap.operator}." for trap in open_ones]
    return "\n".join(rows) + "\n"


def page(text: str) -> str:
    """The page with the table as it should be."""
    before, _, rest = text.partition(BEGINS)
    _, _, after = rest.partition(ENDS)
    return f"{before}{BEGINS}\n{table()}\n{ENDS}{after}"


if __name__ == "__main__":
    PAGE.write_text(page(PAGE.read_text()))
