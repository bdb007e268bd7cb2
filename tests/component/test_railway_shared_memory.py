"""What a start asks for, held against what PostgreSQL itself says."""

from __future__ import annotations

import subprocess

import pytest

from component.servers import RELEASES, Server, Servers, servers
from postbase_operator.railway import shared_memory

__all__ = ["servers"]
MB = 2**20
CASES: tuple[dict[str, str], ...] = (
    {},
    {"shared_buffers": "1GB"},
    {"shared_buffers": "131072", "wal_buffers": "256MB"},
    {"max_connections": "1000"},
    {"max_connections": "20000", "shared_buffers": "64MB"},
    {"max_locks_per_transaction": "6400"},
    {"max_locks_per_transaction": "6400", "max_connections": "1000"},
    {"max_pred_locks_per_transaction": "6400", "max_worker_processes": "200"},
    {"max_prepared_transactions": "5000"},
    {"track_activity_query_size": "1MB", "max_connections": "400"},
    {"min_dynamic_shared_memory": "2GB", "max_wal_senders": "500"},
)


def says(server: Server, parameters: dict[str, str]) -> int:
    """In bytes, of a server that is not started."""
    options = [word for name, value in parameters.items() for word in ("-c", f"{name}={value}")]
    # The tests' own servers have less than PostgreSQL's own.
    given = ["-c", "shared_buffers=128MB", *options, "-C", "shared_memory_size"]
    command = [str(server.programs / "bin/postgres"), "-D", str(server.data), *given]
    done = subprocess.run(
        command, capture_output=True, text=True, check=True, **server.unprivileged()
    )
    return int(done.stdout) * MB


@pytest.mark.parametrize("major", [each for each in RELEASES if each > 14])
def test_it_is_about_what_postgresql_says(servers: Servers, major: int) -> None:
    """14 does not say it."""
    server = servers.new(major)
    server.stop()
    for parameters in CASES:
        told, real = shared_memory.asked(parameters), says(server, parameters)
        assert 0.85 * real - 16 * MB < told < 1.15 * real + 16 * MB, (parameters, told, real)
