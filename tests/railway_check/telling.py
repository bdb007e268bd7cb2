"""A line for each check, as soon as it is known."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from postbase_operator.errors import PostbaseError


@dataclass
class Telling:
    """`held` and `not held` are what the operator relies on; `seen` is what it was not known of."""

    write: Callable[[str], None] = print
    failed: list[str] = field(default_factory=list)

    def held(self, what: str) -> None:
        self.write(f"held      {what}")

    def failed_at(self, what: str) -> None:
        self.failed.append(what)
        self.write(f"NOT HELD  {what}")

    def seen(self, what: str) -> None:
        self.write(f"seen      {what}")

    def whether(self, holds: bool, what: str, else_: str = "") -> None:
        if holds:
            self.held(what)
        else:
            self.failed_at(f"{what}: {else_}" if else_ else what)

    @contextmanager
    def about(self, what: str) -> Iterator[None]:
        """What Railway refuses within is told of `what`, and the next check goes on."""
        try:
            yield
        except PostbaseError as error:
            self.failed_at(f"{what}: {type(error).__name__}: {error}")
