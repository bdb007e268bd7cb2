"""What a start asks for, held against what PostgreSQL itself says."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator

import pytest

from component.railway_operator import (
    Operator,
    changed,
    deployments,
    instances,
    is_ready,
    railway_database,
    said,
)
from component.servers import RELEASES, Server, Servers, servers
from postbase_operator.railway import shared_memory
from postbase_operator.railway.graphql.reads import Place
from railway.double import RailwayDouble

__all__ = ["servers"]


@pytest.fixture
def railway() -> Iterator[RailwayDouble]:
    with RailwayDouble() as double:
        yield double


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


async def test_it_is_refused_before_it_is_written_and_what_runs_is_left_in_peace(
    railway: RailwayDouble, place: Place, ours: Operator, monkeypatch: pytest.MonkeyPatch
) -> None:
    much = railway_database(parameters={"max_connections": "200000"})
    much = await ours.until(much, lambda each: said(each, "Stalled")[0] == "True")
    assert "spec.parameters.max_connections" in said(much, "Stalled")[2]
    assert not instances(railway, place)
    db = await ours.ready(railway_database())
    more = changed(db, parameters={"max_connections": "200000", "work_mem": "8MB"})
    more = await ours.until(more, lambda each: said(each, "Stalled")[0] == "True")
    assert "spec.parameters.max_connections" in said(more, "Stalled")[2]
    assert ours.sql(db, "SHOW work_mem") == [("4MB",)]
    assert len(deployments(railway, place)) == 1
    # As after an upgrade of the operator that reckons otherwise.
    db = await ours.ready(changed(more, parameters={"work_mem": "16MB"}))
    monkeypatch.setattr(shared_memory, "asked", lambda _: 2**50)
    monkeypatch.setattr(shared_memory, "largest", lambda _: "work_mem")
    for _ in range(3):
        db, _ = await ours.look(db)
        assert is_ready(db)
