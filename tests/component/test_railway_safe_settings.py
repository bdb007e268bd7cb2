"""The values that PostgreSQL starts with in any case, held against each major."""

from __future__ import annotations

import pytest

from component.servers import RELEASES, Servers, servers
from postbase_operator.api.parameters import is_owned
from postbase_operator.railway import safe_settings
from postbase_operator.railway.support import PARAMETERS

__all__ = ["servers"]

HARMLESS = {
    "autovacuum_freeze_max_age",
    "autovacuum_multixact_freeze_max_age",
    "bonjour",
    "bonjour_name",
    "cluster_name",
    "data_sync_retry",
    "event_source",
    "huge_page_size",
    "ignore_invalid_pages",
    "io_max_combine_limit",
    "jit_provider",
    "max_logical_replication_workers",
    "old_snapshot_threshold",
    "trace_connection_negotiation",
    "track_commit_timestamp",
    "unix_socket_permissions",
    "wal_level",  # never minimal (api/parameters.py), which alone would not go with the others
    "wal_log_hints",
}
"""A value that PostgreSQL takes from ALTER SYSTEM lets it start."""


@pytest.mark.parametrize("major", sorted(RELEASES))
def test_each_major_starts_with_its_values_and_has_no_others_that_only_a_start_refuses(
    servers: Servers, major: int
) -> None:
    values = safe_settings.values(major)
    server = servers.new(major)
    told = {name: each for name, each in values.items() if "." not in name}
    server.stop()
    server.configure(**{name: f"'{each}'" for name, each in told.items()})
    server.start()
    rows = server.sql("SELECT name FROM pg_settings WHERE context = 'postmaster'")
    names = {name for (name,) in rows if not is_owned(name) and name not in PARAMETERS}
    assert names - values.keys() <= HARMLESS
