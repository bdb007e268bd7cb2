"""Which parameters a Database on Railway gets, and by which revision they are known. PURE.

They are made by ALTER SYSTEM, as no file can be brought to that server: PostgreSQL itself refuses a
value that it cannot read. What the image decides on (addresses, files, TLS) is left to it.
"""

from __future__ import annotations

from postbase_operator.api.database import Database
from postbase_operator.api.quantity import whole_bytes
from postbase_operator.archive.receiver import APPLICATION
from postbase_operator.desired import postgresql_conf
from postbase_operator.desired.postgresql_conf import Sizes

# Not huge_pages and what the log looks like: the one asks for a restart of each new database, and
# the rest is how Railway's own page reads the log.
DERIVED = (
    "shared_buffers",
    "effective_cache_size",
    "max_wal_size",
    "min_wal_size",
    "timezone",
    "log_timezone",
)
OWNED = ("ssl_min_protocol_version", "password_encryption", "max_slot_wal_keep_size")


def wanted(db: Database, *, synchronous: bool = False) -> dict[str, str]:
    """Name to value; what the operator stands on last, so that nothing overrides it.

    `synchronous`: each commit waits until the receiver has it in the archive.
    """
    sizes = Sizes(
        volume=whole_bytes(db.spec.storage.size), memory=whole_bytes(db.spec.resources.memory)
    )
    derived, owned = postgresql_conf.derived(sizes), postgresql_conf.owned(sizes)
    return {
        **{name: derived[name] for name in DERIVED},
        **db.spec.parameters,
        **{name: owned[name] for name in OWNED},
        **({postgresql_conf.SYNCHRONOUS: APPLICATION} if synchronous else {}),
    }


def revision(db: Database, *, synchronous: bool = False) -> str:
    chosen = wanted(db, synchronous=synchronous)
    lines = (f"{name} = {postgresql_conf.quoted(chosen[name])}" for name in sorted(chosen))
    return postgresql_conf.revision("\n".join(lines))
