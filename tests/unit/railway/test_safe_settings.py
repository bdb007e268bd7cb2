"""The start command that leaves settings out, and when what waits for a start is refused."""

from __future__ import annotations

import shlex
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from postbase_operator.api.parameters import is_owned
from postbase_operator.planning.observed import Server, ServerFacts
from postbase_operator.railway.parameters import revision
from postbase_operator.railway.safe_settings import (
    MARK,
    command,
    seen,
    tried,
    values,
    why_not_started,
)
from unit.conftest import database

FACTS = ServerFacts("7", "17.1", datetime(2026, 1, 1, tzinfo=UTC), False, "r2", "r2")
WAITING = Server(replace(FACTS, pending_restart=("shared_buffers",)), access_right=True)


@pytest.mark.parametrize("major", range(14, 19))
def test_the_command_says_what_was_tried_and_is_read_by_a_shell_as_by_exec(major: int) -> None:
    told = command(major, revision(database()))
    assert tried(told) == revision(database())
    words = shlex.split(told)
    assert words[:2] == ["wrapper.sh", "postgres"]
    assert told == " ".join(words)  # nothing of it is quoted
    given = dict(word.split("=", 1) for word in words[4::2])
    assert given.pop(MARK) == tried(told)
    assert given == values(major)
    assert not [name for name in given if is_owned(name)]


@pytest.mark.parametrize("other", [None, "", "postbase-fenced", "postbase-operator fill"])
def test_another_command_has_tried_nothing(other: str | None) -> None:
    assert tried(other) == ""
    assert seen(WAITING, other, ("r2",)) is WAITING


def test_what_was_tried_is_refused_and_not_started_anew_for_ever() -> None:
    found = seen(WAITING, command(17, "r2"), ("r2", "r2s"))
    assert found.facts.pending_restart == ("shared_buffers",)
    (why,) = found.facts.rejected
    assert why.startswith("shared_buffers: the server did not start")
    assert "request-restart" in why
    calm = replace(WAITING, facts=FACTS)
    assert seen(calm, command(17, "r2"), ("r2", "r2s")) == calm


def test_what_is_corrected_is_started_with_once_it_is_written_down() -> None:
    """Started before, it would begin with what it was known not to start with, and blame the
    correction for it."""
    before = seen(WAITING, command(17, "r1"), ("r3", "r3s"))
    assert before.facts.pending_restart == ()
    after = seen(WAITING, command(17, "r1"), ("r2", "r2s"))
    assert after.facts.pending_restart == ("shared_buffers", MARK)
    assert not before.facts.rejected
    assert not after.facts.rejected
    calm = replace(WAITING, facts=FACTS)
    assert seen(calm, command(17, "r1"), ("r2", "r2s")).facts.pending_restart == (MARK,)


START = "2026-01-01 UTC [1] LOG:  starting PostgreSQL 17.1"
MEMORY = "2026-01-01 UTC [1] FATAL:  could not map anonymous shared memory: Cannot allocate memory"
CLIENT = "2026-01-01 UTC [9] FATAL:  the database system is starting up"
STARTED = "2026-01-01 UTC [1] LOG:  database system is ready to accept connections"


@pytest.mark.parametrize(
    ("lines", "why"),
    [
        ([], ""),
        ([START, CLIENT], ""),
        ([START, "no space left on device"], ""),
        (
            [START, MEMORY, "HINT: …"],
            "could not map anonymous shared memory: Cannot allocate memory",
        ),
        ([START, CLIENT, MEMORY, START, MEMORY, CLIENT], "could not map"),
        ([MEMORY, START, STARTED], ""),
        ([START, STARTED, MEMORY], ""),
    ],
)
def test_why_it_did_not_start(lines: list[str], why: str) -> None:
    found = why_not_started(lines)
    assert found.startswith(why)
    assert bool(found) == bool(why)


@given(st.lists(st.sampled_from([START, MEMORY, CLIENT]), max_size=8))
def test_what_clients_are_told_is_no_reason(lines: list[str]) -> None:
    assert bool(why_not_started(lines)) == (MEMORY in lines)
