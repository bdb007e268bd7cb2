"""The log of calls."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Call:
    """One HTTP request, for counting."""

    at: float
    name: str
    """Of the operation in the document."""
    fields: tuple[str, ...]
    """Of the root."""
    status: int
    errors: tuple[str, ...]
    token: str
    """Its kind; empty where it was none."""
