"""A start that would ask for more than there is, is refused where it is asked for."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from postbase_operator.errors import InvalidSpec
from postbase_operator.railway.shared_memory import USUAL, asked, largest, read
from postbase_operator.railway.support import check_memory, check_support
from unit.conftest import database

MB = 2**20


def refused(memory: str = "1Gi", **parameters: str) -> str:
    """The field and why; "" where it is taken."""
    spec: dict[str, Any] = {"resources": {"cpu": "1", "memory": memory}, "parameters": parameters}
    try:
        check_support(db := database(provider="Railway", **spec))
        check_memory(db)
    except InvalidSpec as error:
        return str(error)
    return ""


@pytest.mark.parametrize(
    "parameters",
    [
        {"shared_buffers": "4TB"},
        {"shared_buffers": "2GB", "max_connections": "200"},
        {"shared_buffers": "131072", "work_mem": "8MB"},
    ],
)
def test_more_than_the_memory_is_refused_by_the_one_that_asks_most(
    parameters: dict[str, str],
) -> None:
    found = refused(**parameters)
    assert "spec.parameters.shared_buffers" in found
    assert "raise that, or set less" in found


def test_connections_and_locks_count_too() -> None:
    assert "spec.parameters.max_connections" in refused(max_connections="100000")
    both = refused(max_locks_per_transaction="10000", max_connections="300")
    assert "spec.parameters.max_locks_per_transaction" in both
    assert refused(max_connections="1000", max_locks_per_transaction="128") == ""


def test_processes_that_no_server_can_have_are_refused_whatever_the_memory() -> None:
    found = refused("64Gi", max_connections="262143")
    assert "spec.parameters.max_connections" in found
    assert "262143" in found
    assert refused("64Gi", max_connections="100000") == ""


@pytest.mark.parametrize("memory", ["256Mi", "512Mi", "1Gi", "64Gi"])
def test_what_is_derived_fits(memory: str) -> None:
    assert refused(memory) == refused(memory, work_mem="64MB") == ""


def test_what_postgresql_refuses_by_itself_is_left_to_it() -> None:
    for text in ("a lot", "1 PB", "", "12 MiB", "9" * 400, "1.2.3", "0x", "1e999"):
        assert read("shared_buffers", text) is None
        assert refused(shared_buffers=text) == ""
    assert read("max_connections", "100MB") is None
    assert read("wal_buffers", "-1") == -8192
    assert read("shared_buffers", " 1.5GB ") == 1536 * MB
    assert read("shared_buffers", "16384") == read("shared_buffers", "0x4000") == 128 * MB
    assert read("max_connections", "1e5") == read("max_connections", "+100000") == 100000
    assert read("shared_buffers", ".5TB") == 2**39


@given(st.dictionaries(st.sampled_from(sorted(USUAL)), st.integers(0, 10**6).map(str)))
def test_the_largest_is_one_whose_absence_saves_most(parameters: dict[str, str]) -> None:
    name, whole = largest(parameters), asked(parameters)
    saved = {
        each: whole - asked({k: v for k, v in parameters.items() if k != each})
        for each in parameters
    }
    assert max([0, *saved.values()]) == (saved[name] if name else 0)
