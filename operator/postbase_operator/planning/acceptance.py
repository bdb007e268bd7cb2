"""Fields that this release accepts and does not act on yet: said, never silently ignored.

A walk over every field of the schema (tests/unit/planning/test_acceptance.py) finds each either
here or changing what is desired or planned. Whoever implements a field takes it off its list.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from postbase_operator.api import conditions as cond
from postbase_operator.api.base import Resource
from postbase_operator.api.conditions import Condition, ConditionType
from postbase_operator.planning.rotation import REQUEST

WHERE_SET: dict[str, tuple[str, ...]] = {}
"""By kind, the paths of such fields."""


def not_implemented(resource: Resource) -> list[str]:
    """The fields of this object that have no effect yet."""
    kind = resource.definition.kind
    written = resource.to_wire()
    found = [path for path in WHERE_SET.get(kind, ()) if value_at(written, path) is not None]
    if kind == "Database" and value_at(written, "spec.credentials.secretRef") is not None:
        # Whoever writes that Secret rotates it; said, because the request stays unserved.
        asked = written["metadata"].get("annotations") or {}
        found += [REQUEST] if REQUEST in asked else []
    return found


def accepted(resource: Resource, held: Sequence[Condition], now: datetime) -> tuple[Condition, ...]:
    """The condition Accepted. Not Stalled, which makes Flux fail: what is done is done right."""
    idle = not_implemented(resource)
    return cond.set_condition(
        held,
        ConditionType.ACCEPTED,
        not idle,
        "NotImplemented" if idle else "Accepted",
        f"Without effect in this release: {', '.join(idle)}" if idle else "",
        now,
        resource.metadata.generation,
    )


def value_at(written: dict[str, Any], path: str) -> Any:
    """The value that a path leads to; None where there is none, or only the schema's default."""
    node: Any = written
    for part in path.split("."):
        if not isinstance(node, dict) or part not in node:
            return None
        node = node[part]
    return node
