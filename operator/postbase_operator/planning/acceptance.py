"""Fields that this release accepts and does not act on yet: said, never silently ignored.

A walk over every field of the schema (tests/unit/planning) finds each either here or changing what
is desired or planned. A later issue that implements a field takes it off this list.
"""

from __future__ import annotations

from typing import Any

from postbase_operator.api.database import Database

ALWAYS = ("spec.backup",)
"""Promised by its defaults: a user who writes nothing expects a backup a day."""

WHERE_SET = (
    "spec.adoptVolume",
    "spec.bootstrap",
    "spec.pitr",
)


def not_implemented(db: Database) -> list[str]:
    """The fields of this Database that have no effect yet."""
    written: dict[str, Any] = db.to_wire()
    return [*ALWAYS, *(path for path in WHERE_SET if _is_set(written, path))]


def _is_set(written: dict[str, Any], path: str) -> bool:
    """True where the path leads to a value that is not the schema's default."""
    node: Any = written
    for part in path.split("."):
        if not isinstance(node, dict) or part not in node:
            return False
        node = node[part]
    return True
