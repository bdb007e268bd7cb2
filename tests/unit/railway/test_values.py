"""None never reaches Railway, null only where NULL was written; passwords are found again."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from postbase_operator.railway.graphql.values import NULL, secrets_of, wire

KEYS = st.sampled_from("abc")
LEAVES = st.sampled_from([None, NULL, True, 0, "text"])
TREES = st.recursive(
    st.dictionaries(KEYS, LEAVES),
    lambda inner: st.dictionaries(KEYS, inner | st.lists(inner, max_size=2) | LEAVES),
    max_leaves=6,
)


def count(value: Any, wanted: Any) -> int:
    if isinstance(value, dict):
        return sum(count(inner, wanted) for inner in value.values())
    if isinstance(value, list):
        return sum(count(inner, wanted) for inner in value)
    return value is wanted


@given(TREES)
def test_as_many_nulls_as_were_written(tree: dict[str, Any]) -> None:
    sent = wire(tree)
    assert count(sent, None) == count(tree, NULL)
    assert count(sent, NULL) == 0
    json.dumps(sent)


@pytest.mark.trap("null-is-not-absent")
def test_what_is_not_said_is_absent_and_what_is_cleared_is_null() -> None:
    wanted = {"startCommand": NULL, "region": None, "source": {"image": "a", "repo": None}}
    assert wire(wanted) == {"startCommand": None, "source": {"image": "a"}}
    assert repr(NULL) == "NULL"


def test_a_none_in_a_list_is_no_accident() -> None:
    with pytest.raises(ValueError, match="None in it"):
        wire({"kinds": ["DAILY", None]})


def test_moments_are_in_utc() -> None:
    moment = datetime(2026, 11, 28, 13, 0, tzinfo=timezone(timedelta(hours=1)))
    assert wire([moment]) == ["2026-11-28T12:00:00Z"]
    assert wire(datetime(2026, 1, 1, tzinfo=UTC)) == "2026-01-01T00:00:00Z"


def test_passwords_are_found_wherever_variables_are() -> None:
    sent = {
        "input": {
            "name": "not-secret",
            "variables": {"POSTGRES_PASSWORD": "geheim-1", "PORT": "5432"},
        },
        "patch": {"services": {"id": {"variables": {"K": {"value": "geheim-2"}}}}},
    }
    assert set(secrets_of(sent)) == {"geheim-1", "geheim-2"}
