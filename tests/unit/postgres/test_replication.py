"""The receiver's role is made, put right, or left alone; no statement has a password in it."""

from __future__ import annotations

import pytest

from postbase_operator.postgres.replication import role_statement
from postbase_operator.postgres.scram import matches, verifier

SALT = b"0123456789abcdef"
RIGHT = verifier("pw", SALT)


def test_one_that_is_right_is_left_alone() -> None:
    assert role_statement((True, RIGHT), "pw", SALT) is None


@pytest.mark.parametrize(
    ("found", "verb"),
    [
        (None, "CREATE"),
        ((False, RIGHT), "ALTER"),
        ((True, None), "ALTER"),
        ((True, verifier("other", SALT)), "ALTER"),
    ],
)
def test_one_that_is_not_is_made_so(found: tuple[bool, str | None] | None, verb: str) -> None:
    statement = role_statement(found, "pw", SALT)
    assert statement is not None
    text = statement.as_string()
    assert text.startswith(f'{verb} ROLE "postbase_walrx" LOGIN REPLICATION NOSUPERUSER PASSWORD ')
    assert "pw'" not in text
    assert matches("pw", text.rpartition("PASSWORD ")[2].strip("'"))
