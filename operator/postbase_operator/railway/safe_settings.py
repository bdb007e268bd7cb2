"""A way back from settings that PostgreSQL does not start with. PURE.

They are made by ALTER SYSTEM, in a file of the volume that nobody reaches while the server is down,
and PostgreSQL looks at some of them only when it starts: shared memory that the host does not have
was a database that never came back, whatever its spec said afterwards. But the command line goes
before that file. So the server is started with values that it does start with, and answers again.

For which revision of the settings that was stands in the command itself, so that those are not
tried again by themselves, and the next ones are.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace

from postbase_operator.planning.observed import Server
from postbase_operator.planning.restart import REQUEST

MARK = "postbase.safe_start"
PROGRAM = "wrapper.sh postgres --port=5432"
"""What the image runs without a start command, which takes the place of its entrypoint."""
VALUES: Mapping[str, str] = {
    "autovacuum_max_workers": "3",
    "max_connections": "100",
    "max_files_per_process": "1000",
    "max_locks_per_transaction": "64",
    "max_pred_locks_per_transaction": "64",
    # More than PostgreSQL's own: with fewer than there are slots, or prepared transactions, on the
    # volume it does not start either.
    "max_prepared_transactions": "200",
    "max_replication_slots": "1000",
    "max_wal_senders": "10",
    "max_worker_processes": "8",
    "min_dynamic_shared_memory": "0",
    "pg_stat_statements.max": "5000",
    "shared_buffers": "128MB",
    "superuser_reserved_connections": "3",
    "track_activity_query_size": "1024",
    "wal_buffers": "-1",
}
"""Of each major: what takes memory, processes or files at the start, or must fit in with others."""
SINCE: Mapping[int, Mapping[str, str]] = {
    15: {"wal_decode_buffer_size": "524288"},
    16: {"debug_io_direct": "", "reserved_connections": "0"},
    17: {
        "commit_timestamp_buffers": "0",
        "max_notify_queue_pages": "1048576",
        "multixact_member_buffers": "32",
        "multixact_offset_buffers": "16",
        "notify_buffers": "16",
        "serializable_buffers": "32",
        "subtransaction_buffers": "0",
        "transaction_buffers": "0",
    },
    18: {
        "autovacuum_worker_slots": "16",
        "io_max_concurrency": "-1",
        "io_method": "worker",
        "max_active_replication_origins": "1000",
    },
}
"""One that an older major does not know would keep it from starting."""
_HELD = re.compile(rf"-c {re.escape(MARK)}=(\S+)")
_FATAL = re.compile(r"\bFATAL:\s+(?!\s|the database system is )(.+)")
"""But for what clients are told while it starts, or stops."""
_STARTED = "database system is ready to accept connections"


def values(major: int) -> dict[str, str]:
    later = {
        name: each for since, new in SINCE.items() if since <= major for name, each in new.items()
    }
    return {**VALUES, **later}


def command(major: int, revision: str) -> str:
    """The start command that tries no settings of this revision."""
    told = {MARK: revision, **values(major)}
    return " ".join(
        (PROGRAM, *(shlex.join(("-c", f"{name}={each}")) for name, each in told.items()))
    )


def tried(start_command: str | None) -> str:
    """The revision with which the server of this start command did not start; "" where it is an
    ordinary one."""
    found = _HELD.search(start_command or "")
    return found[1] if found is not None else ""


def why_not_started(lines: Iterable[str]) -> str:
    """By the log of a deployment, in PostgreSQL's words; "" where it has started once, or has given
    no reason."""
    reason = ""
    for line in lines:
        if _STARTED in line:
            return ""
        found = _FATAL.search(line)
        reason = found[1].strip() if found is not None else reason
    return reason


def seen(server: Server, start_command: str | None, wanted: Collection[str]) -> Server:
    """Of a server with such a start command. What was tried is refused for as long as it is what is
    wanted (`wanted`: its revisions): or it would be started anew for ever. Others take a start once
    they are written down, and not before."""
    held, facts = tried(start_command), server.facts
    waiting = facts.pending_restart
    if not held:
        return server
    if held in wanted:
        why = (
            f"{', '.join(waiting)}: the server did not start with what waited for a restart, and "
            "was started with values of PostgreSQL's own; correct spec.parameters, or try them "
            f"again by the annotation {REQUEST}"
        )
        rejected = (*facts.rejected, why) if waiting else facts.rejected
        return replace(server, facts=replace(facts, rejected=rejected))
    waiting = (*waiting, MARK) if facts.mounted_revision in wanted else ()
    return replace(server, facts=replace(facts, pending_restart=waiting))
