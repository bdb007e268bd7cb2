"""The files that a server reads: postgresql.conf, pg_hba.conf, pg_ident.conf, and their revision.

Sizes are derived from the volume and the memory. A volume that fills stops the database for good
(PANIC, no start), so what WAL may take is a share of the volume: PostgreSQL's default of 1 GB for
max_wal_size alone would fill the smallest one.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass

from postbase_operator.archive.receiver import APPLICATION
from postbase_operator.desired import names

MIB = 1024 * 1024
WAL_SHARE = 0.15
SLOT_SHARE = 0.30
KEPT_SHARE = 0.05
KEPT_AT_MOST = 512  # MiB
BUFFERS_SHARE = 0.25
CACHE_SHARE = 0.75
SMALLEST_MAX_WAL = 160  # MiB: twice min_wal_size

# The same for every major: which one an image of the user's own holds is known only inside it.
PG_HBA = """\
# Superuser only by the socket, and only for the server's own user.
local   all          postgres                    peer
local   replication  postbase_walrx              peer map=postbase
hostssl all          postgres        all         reject
hostssl all          postbase_admin  all         cert
hostssl replication  postbase_walrx  all         cert
hostssl all          postbase_walrx  all         reject
hostssl all          all             all         scram-sha-256
host    all          all             all         reject
"""

PG_IDENT = """\
# The receiver runs as the same user as the server: the socket knows users by nothing else.
postbase  postgres  postbase_walrx
"""

BOOTSTRAP = """\
CREATE ROLE postbase_admin LOGIN SUPERUSER;
CREATE ROLE postbase_walrx LOGIN REPLICATION;
"""


@dataclass(frozen=True, slots=True)
class Sizes:
    """What sizes are derived from, in bytes."""

    volume: int
    memory: int


def derived(sizes: Sizes) -> dict[str, str]:
    """Parameters that follow from the sizes; a user may set any of them but the slot's cap."""
    max_wal = max(SMALLEST_MAX_WAL, int(sizes.volume * WAL_SHARE) // MIB)
    # A restored or adopted volume has no slot until the receiver has come, nor has one whose slot
    # was lost: checkpoints would recycle what nobody has archived yet. Always, and not for a few
    # minutes: nothing has to remember when they are over.
    kept = min(KEPT_AT_MOST, int(sizes.volume * KEPT_SHARE) // MIB)
    return {
        "shared_buffers": f"{max(16, int(sizes.memory * BUFFERS_SHARE) // MIB)}MB",
        "effective_cache_size": f"{max(32, int(sizes.memory * CACHE_SHARE) // MIB)}MB",
        "max_wal_size": f"{max_wal}MB",
        "min_wal_size": "80MB",
        "wal_keep_size": f"{kept}MB",
        "timezone": "UTC",
        "log_timezone": "UTC",
        "huge_pages": "off",
        "log_checkpoints": "on",
        "log_line_prefix": "%m [%p] %q%u@%d ",
    }


def owned(sizes: Sizes, *, synchronous: bool = False) -> dict[str, str]:
    """Parameters that the product stands on; written last, so that nothing overrides them.

    `synchronous`: commits wait for the receiver, which answers once the object store has them.
    """
    slots = max(SMALLEST_MAX_WAL, int(sizes.volume * SLOT_SHARE) // MIB)
    return {
        "listen_addresses": "*",
        "port": str(names.PORT),
        "unix_socket_directories": names.SOCKETS,
        "hba_file": f"{names.CONFIG_MOUNT}/pg_hba.conf",
        "ident_file": f"{names.CONFIG_MOUNT}/pg_ident.conf",
        "ssl": "on",
        "ssl_cert_file": f"{names.TLS_MOUNT}/tls.crt",
        "ssl_key_file": f"{names.TLS_MOUNT}/tls.key",
        "ssl_ca_file": f"{names.TLS_MOUNT}/ca.crt",
        "ssl_min_protocol_version": "TLSv1.2",
        "password_encryption": "scram-sha-256",
        "fsync": "on",
        "full_page_writes": "on",
        "archive_mode": "off",
        "max_slot_wal_keep_size": f"{slots}MB",
        "log_destination": "stderr",
        "logging_collector": "off",
        **({SYNCHRONOUS: APPLICATION} if synchronous else {}),
    }


REVISION = "postbase.revision"
SYNCHRONOUS = "synchronous_standby_names"
FLOORS = {"max_wal_senders": 10, "max_replication_slots": 10}


def postgresql_conf(
    parameters: Mapping[str, str], sizes: Sizes, *, synchronous: bool = False
) -> str:
    """The whole file but for the revision: the image's own first, then ours."""
    chosen = {
        **{name: str(floor) for name, floor in FLOORS.items()},
        "wal_level": "replica",
        **derived(sizes),
        **parameters,
        **owned(sizes, synchronous=synchronous),
    }
    lines = [f"include_if_exists = '{names.PGDATA}/postgresql.conf'"]
    lines += [f"{name} = {quoted(chosen[name])}" for name in sorted(chosen)]
    return "\n".join(lines) + "\n"


def quoted(value: str) -> str:
    """A value in the file's syntax (PostgreSQL 20.1.2): quotes and backslashes doubled."""
    escaped = value.replace("\\", "\\\\").replace("'", "''")
    return "'" + escaped.replace("\n", " ").replace("\r", " ") + "'"


def revision(*files: str) -> str:
    """Which contents these are, in 16 characters."""
    return hashlib.sha256("\0".join(files).encode()).hexdigest()[:16]
