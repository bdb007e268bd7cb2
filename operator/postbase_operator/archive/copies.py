"""Databases that a restore of a logical backup makes beside the application's: their names. PURE.

The name is the mark: it is in the server itself, goes with its volume, and is changed in one
transaction. So a status that is lost, or an operator that is killed, costs nothing:

- `app_restoring_<restore>`: is being filled;
- `app_restored_<restore>`: is whole, and may take the application's place;
- `app_before_<restore>_<until>`: had it before, and is kept until then (seconds since 1970).

`<restore>` are the first eight digits of the UID of whoever wanted it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum

DATABASE = "app"
"""The application's own."""
PATTERN = f"^{DATABASE}_(restoring|restored|before)_[0-9a-f]{{8}}(_[0-9]+)?$"
"""Of the names, for PostgreSQL as well."""


class CopyKind(StrEnum):
    """What a database beside the application's is."""

    RESTORING = "restoring"
    RESTORED = "restored"
    BEFORE = "before"


@dataclass(frozen=True, slots=True)
class DatabaseCopy:
    """One such database. `restore`: whose, as `mark()` gives it."""

    name: str
    kind: CopyKind
    restore: str
    until: datetime | None = None


def mark(uid: str) -> str:
    """What of a UID stands in names."""
    return uid[:8]


def restoring(uid: str) -> str:
    return f"{DATABASE}_restoring_{mark(uid)}"


def restored(uid: str) -> str:
    return f"{DATABASE}_restored_{mark(uid)}"


def before(uid: str, until: datetime) -> str:
    return f"{DATABASE}_before_{mark(uid)}_{int(until.timestamp())}"


def parse(name: str) -> DatabaseCopy | None:
    """None for a name that is none of ours."""
    found = re.match(PATTERN, name)
    if found is None:
        return None
    kind, tail = CopyKind(found[1]), found[2]
    if (kind is CopyKind.BEFORE) != (tail is not None):
        return None
    until = datetime.fromtimestamp(int(tail[1:]), UTC) if tail else None
    restore = name.split("_")[2]
    return DatabaseCopy(name, kind, restore, until)
