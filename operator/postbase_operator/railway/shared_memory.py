"""The shared memory that PostgreSQL asks for when it starts, by its parameters. PURE.

ALTER SYSTEM takes any of them, and only the next start asks the host. A server on Railway that does
not start with what it was given cannot be reached to take it back, so that what is more than the
service may use is refused before it is written. Sizes were measured on 15 and 18, by their
`shared_memory_size`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

KB = 1024
UNITS = {"": 0, "B": 1, "kB": KB, "MB": KB**2, "GB": KB**3, "TB": KB**4}
SIZES = {
    "shared_buffers": 8 * KB,
    "wal_buffers": 8 * KB,
    "track_activity_query_size": 1,
    "min_dynamic_shared_memory": KB**2,
}
"""In bytes: what a number without a unit counts."""
USUAL: Mapping[str, int] = {
    "shared_buffers": 128 * KB**2,
    "wal_buffers": 0,
    "track_activity_query_size": KB,
    "min_dynamic_shared_memory": 0,
    "max_connections": 100,
    "autovacuum_max_workers": 3,
    "autovacuum_worker_slots": 16,
    "max_worker_processes": 8,
    "max_wal_senders": 10,
    "max_prepared_transactions": 0,
    "max_locks_per_transaction": 64,
    "max_pred_locks_per_transaction": 64,
}
"""PostgreSQL's own. Those of processes add up; the two of locks count for each of them."""
PROCESSES = (
    "max_connections",
    "autovacuum_max_workers",
    "autovacuum_worker_slots",
    "max_worker_processes",
    "max_wal_senders",
)
MOST_PROCESSES = 2**18 - 1
"""MAX_BACKENDS (src/include/postmaster/postmaster.h)."""
PAGE, PROCESS, LOCK, PREDICATE_LOCK = 1.03, 5 * KB, 400, 255
_NUMBER = re.compile(
    r"\s*([+-]?(?:0[xX][0-9a-fA-F]+|[0-9.]+(?:[eE][+-]?[0-9]+)?))\s*([kMGT]?B?)\s*"
)


def read(name: str, text: str) -> int | None:
    """As PostgreSQL reads it: bytes, or a count. None where it would refuse it by itself."""
    found = _NUMBER.fullmatch(text)
    if found is None or found[2] not in UNITS or (found[2] and name not in SIZES):
        return None
    number = found[1]
    try:
        value = int(number, 16) if "x" in number.lower() else float(number)
        return round(value * (UNITS[found[2]] or SIZES.get(name, 1)))
    except (ValueError, OverflowError):
        return None


def _held(parameters: Mapping[str, str]) -> dict[str, int]:
    told = {name: read(name, parameters[name]) for name in USUAL if name in parameters}
    return {**USUAL, **{name: max(value, 0) for name, value in told.items() if value is not None}}


def processes(parameters: Mapping[str, str]) -> int:
    """That the server makes room for."""
    held = _held(parameters)
    return sum(held[name] for name in PROCESSES)


def asked(parameters: Mapping[str, str]) -> int:
    """Bytes that a start asks for with these, and with PostgreSQL's own for the rest."""
    held = _held(parameters)
    locks = LOCK * held["max_locks_per_transaction"]
    locks += PREDICATE_LOCK * held["max_pred_locks_per_transaction"]
    slots = processes(parameters) + held["max_prepared_transactions"]
    return (
        round(PAGE * held["shared_buffers"])
        + slots * (PROCESS + held["track_activity_query_size"] + locks)
        + held["wal_buffers"]
        + held["min_dynamic_shared_memory"]
    )


def largest(parameters: Mapping[str, str]) -> str:
    """Of those that are given, the one without which it would ask for least; "" where there is
    none that counts."""

    def saved(name: str) -> int:
        rest = {other: value for other, value in parameters.items() if other != name}
        return asked(parameters) - asked(rest)

    found = max((name for name in USUAL if name in parameters), key=saved, default="")
    return found if found and saved(found) > 0 else ""
