"""The files of a copy that Railway's image of PostgreSQL is to recover, and then serve. PURE.

They are in its data folder, as no other place is shared with the image; so their paths are relative
to that. What only the recovery needs stands in postgresql.auto.conf, and the operator takes it back
by ALTER SYSTEM; what a server there needs, wherever its data was made, at the end of
postgresql.conf, where the last word counts.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC

from postbase_operator.archive.receiver import ROLE
from postbase_operator.archive.run import RecoveryTask
from postbase_operator.archive.staging import FOLDER, LOG
from postbase_operator.desired.postgresql_conf import quoted

CERTIFICATES = "/var/lib/postgresql/data/certs"
"""Where Railway's image keeps those that it makes for a data folder which has none."""
MARK = "# Of postbase: what a server on Railway needs, wherever its data was made.\n"
SERVER = f"""\
{MARK}listen_addresses = '*'
port = 5432
ssl = on
ssl_ca_file = '{CERTIFICATES}/root.crt'
ssl_cert_file = '{CERTIFICATES}/server.crt'
ssl_key_file = '{CERTIFICATES}/server.key'
"""
MEANWHILE = """\
# Of postbase, until it is recovered: the operator alone, by a certificate of this very restore.
hostssl all postgres all cert
"""
SUPERUSER = "postgres"
PREPARED = "max_prepared_transactions"


def hba() -> str:
    """As the image makes it, with the receiver's line."""
    return f"""\
local all all trust
host all all all scram-sha-256
hostssl replication {ROLE} all scram-sha-256
"""


def recovery(task: RecoveryTask | None, parameters: Mapping[str, str]) -> str:
    """postgresql.auto.conf. With hot_standby off the copy's own sizes may be larger than the new
    server's; nobody is to be let in before the end anyway."""
    chosen = {
        "hot_standby": "off",
        "recovery_target_action": "promote",
        "shared_preload_libraries": "",
        "archive_mode": "off",
        "synchronous_standby_names": "",
        "ssl_ca_file": f"{FOLDER}/ca.crt",
        "ssl_cert_file": f"{FOLDER}/server.crt",
        "ssl_key_file": f"{FOLDER}/server.key",
        "log_timezone": "UTC",
        "lc_messages": "C",
        PREPARED: parameters.get(PREPARED, "0"),
        **_target(task),
    }
    # What is not tracked at the end of a recovery is thrown away there.
    if "track_commit_timestamp" in parameters:
        chosen["track_commit_timestamp"] = parameters["track_commit_timestamp"]
    return "".join(f"{name} = {quoted(value)}\n" for name, value in chosen.items())


def with_room(settings: str, prepared: int) -> str:
    """`recovery`, for a copy whose server allowed so many prepared transactions: of the sizes it is
    the one that a recovery runs out of though it lets nobody in. The larger one counts."""
    wanted = re.search(rf"^{PREPARED} = '([0-9]+)'$", settings, re.MULTILINE)
    if wanted is not None and int(wanted[1]) >= prepared:
        return settings
    return f"{settings}{PREPARED} = {quoted(str(prepared))}\n"


def _target(task: RecoveryTask | None) -> dict[str, str]:
    """`cp` ends with 1 for all that goes wrong, which PostgreSQL takes for the end of the log; 255
    makes it give up instead. What is not in the folder lies beyond the end: all of it was there
    before the first start."""
    if task is None:
        return {"recovery_target": "immediate", "restore_command": "exit 1"}
    command = f"if [ -f {LOG}/%f ]; then cp {LOG}/%f %p || exit 255; else exit 1; fi"
    found = {"recovery_target_timeline": task.target_timeline, "restore_command": command}
    if task.stop_at is not None:
        found["recovery_target_time"] = task.stop_at.astimezone(UTC).isoformat(sep=" ")
        found["recovery_target_inclusive"] = "on"
    return found
