"""SCRAM verifiers against a published one and against each other."""

from __future__ import annotations

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from postbase_operator.postgres.scram import matches, verifier

PASSWORDS = st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=64)


def test_the_example_of_rfc_7677() -> None:
    """RFC 7677 §3: password `pencil`, its salt and its 4096 rounds."""
    salt = base64.b64decode("W22ZaJ0SNY7soEsUEjb6gQ==")
    stored = verifier("pencil", salt, 4096)
    scheme, parameters, keys = stored.split("$")
    assert scheme == "SCRAM-SHA-256"
    assert parameters == "4096:W22ZaJ0SNY7soEsUEjb6gQ=="
    assert keys == (
        "WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=:wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU="
    )


@given(PASSWORDS, PASSWORDS, st.binary(min_size=16, max_size=16))
def test_it_knows_its_own_password_and_no_other(password: str, other: str, salt: bytes) -> None:
    stored = verifier(password, salt, 64)
    assert matches(password, stored)
    assert matches(other, stored) == (other == password)


@pytest.mark.parametrize(
    "stored",
    [
        None,
        "",
        "md5c4ca4238a0b923820dcc509a6f75849b",
        "SCRAM-SHA-256$x",
        "SCRAM-SHA-256$0:!$a:b",
        "a$b$c",
        "SCRAM-SHA-256$20000000:W22ZaJ0SNY7soEsUEjb6gQ==$a:b",  # 20 s of our time, if it were taken
    ],
)
def test_anything_else_matches_nothing(stored: str | None) -> None:
    assert not matches("secret", stored)
