"""Public ids: the same object has the same id whether REST, kubectl or Git made it."""

from __future__ import annotations

import base64
from uuid import UUID

PREFIXES = {
    "Project": "proj",
    "Database": "db",
    "Backup": "bkp",
    "PitrRestore": "rstr",
    "Account": "user",
    "ApiToken": "tok",
}


def public_id(kind: str, uid: str) -> str:
    """`proj_…`, `db_…`, `bkp_…`, `rstr_…`, `user_…`: the UID's 16 bytes in lowercase base32."""
    body = base64.b32encode(UUID(uid).bytes).decode().rstrip("=").lower()
    return f"{PREFIXES[kind]}_{body}"


def uid_of(public: str) -> str:
    """The UID behind an id; ValueError where it is none."""
    prefix, _, body = public.partition("_")
    if prefix not in PREFIXES.values() or len(body) != 26 or not body.islower():
        raise ValueError(f"{public!r} is not an id")
    return str(UUID(bytes=base64.b32decode(body.upper() + "=" * 6)))
