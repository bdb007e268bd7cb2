"""A piece of the operator, and what stands in its place in a copy."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

PACKAGE = Path("operator/postbase_operator")


@dataclass(frozen=True, slots=True)
class Try:
    """`fix` is in `file` (of the operator's package) once, and is what `trap` needs; with `instead`
    in its place `test` must fail, one of those that hold the trap (`tests/…/test_x.py::test_y`).
    A file that is not there is made of `instead`."""

    trap: str
    test: str
    file: str
    fix: str
    instead: str

    def take_out(self, root: Path) -> None:
        """Writes the file in this copy of the checkout. ValueError where it is not the one that the
        try was written for."""
        path = root / PACKAGE / self.file
        path.write_text(self.without(path.read_text() if path.exists() else ""))

    def without(self, text: str) -> str:
        """The file's text without the fix."""
        if not self.fix and not text:
            return self.instead
        if not self.fix or text.count(self.fix) != 1:
            raise ValueError(f"{self.trap}: what is to be taken out is not in {self.file} once")
        return text.replace(self.fix, self.instead)
