"""What goes into a request: nothing where nothing is meant, `null` only where one is written. PURE.

To Railway `null` is not absent: a variable that is null unsets the field. A None that slipped in
would clear the start command of a running database.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from enum import Enum
from typing import Any, Final


class _Null(Enum):
    """A type of one value, so that `is NULL` narrows."""

    NULL = "NULL"

    def __repr__(self) -> str:
        return "NULL"


NULL: Final = _Null.NULL
"""Clears a field. None means: leave it as it is."""

SHORTEST_SECRET = 6
"""Letters. What is shorter (a port, a number of days) is in every sentence, and no password."""


def wire(value: Any) -> Any:
    """As JSON: None falls out of every object, NULL becomes null, moments are RFC 3339 in UTC.

    Raises ValueError for a None in a list, where leaving it out would move the others.
    """
    if value is NULL:
        return None
    if isinstance(value, Mapping):
        return {str(key): wire(inner) for key, inner in value.items() if inner is not None}
    if isinstance(value, list | tuple):
        if None in value:
            raise ValueError("a list for Railway has a None in it")
        return [wire(inner) for inner in value]
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat().replace("+00:00", "Z")
    return value


def secrets_of(value: Any, *, inside: bool = False) -> Iterator[str]:
    """Texts below a key `variables`: passwords lie there, and a refusal repeats what it refuses."""
    if isinstance(value, Mapping):
        for key, inner in value.items():
            yield from secrets_of(inner, inside=inside or key == "variables")
    elif isinstance(value, list | tuple):
        for inner in value:
            yield from secrets_of(inner, inside=inside)
    elif inside and isinstance(value, str) and len(value) >= SHORTEST_SECRET:
        yield value
