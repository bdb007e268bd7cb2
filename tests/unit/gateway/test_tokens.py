"""Tokens: their shape, and what logs make of them."""

from __future__ import annotations

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from postbase_operator.gateway import tokens
from postbase_operator.gateway.redaction import HIDDEN, redacted


def test_layout() -> None:
    token = tokens.new_token()
    assert tokens.is_token(token)
    assert (token[:3], len(token)) == ("pb_", 39)
    assert set(token[3:]) <= set(string.ascii_letters + string.digits)


def test_no_two_are_alike() -> None:
    assert len({tokens.new_token() for _ in range(1000)}) == 1000


@given(st.integers(3, 38), st.sampled_from(tokens.ALPHABET))
def test_a_wrong_character_is_seen_without_a_look(position: int, character: str) -> None:
    token = "pb_" + "A1b2C3" * 5
    token += tokens.checksum(token[3:])
    changed = token[:position] + character + token[position + 1 :]
    assert tokens.is_token(changed) is (changed == token)


@pytest.mark.parametrize("text", ["", "pb_", "pb_" + "a" * 36, "x" * 39, "pb_" + "é" * 36])
def test_what_is_none(text: str) -> None:
    assert not tokens.is_token(text)


def test_only_the_digest_is_kept() -> None:
    known = "97421cd35989d1a1be09f1e9ade830de73d2773900eea5ee991a739ecb2b0f34"
    assert tokens.digest("pb_x") == known


@pytest.mark.parametrize(
    "secret",
    [
        "pb_" + "A1b2C3" * 6,
        "gho_16C7e42F292c6912E7710c838347Ae178B4a",
        "github_pat_11AAAAAAA_abc",
        "4f1d0c6a7e",
        "s3cret",
    ],
)
def test_lines_hold_no_secret(secret: str) -> None:
    lines = (
        f"Bearer {secret}",
        f"postgresql://app:{secret}@db:5432/app",
        f"https://s3/x?X-Amz-Credential={secret}&X-Amz-Signature=4f1d0c6a7e",
        f"device_code={secret}&grant_type=x",
    )
    for line in lines:
        assert secret not in redacted(line), line
        assert HIDDEN in redacted(line)


def test_other_text_stays() -> None:
    line = "GET /projects/{project} 200 http://s3.example.com:9000 user app"
    assert redacted(line) == line
