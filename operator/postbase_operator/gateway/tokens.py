"""The token that a client shows: `pb_`, 30 random base62 characters, and 6 of a checksum. PURE but
for the randomness of a new one.

178 random bits: a fast hash is enough at rest. The checksum refuses typing errors and most guesses
without a look at anything; no `_` after the prefix, so that a double click selects all of it.
"""

from __future__ import annotations

import hashlib
import re
import secrets
import string
import zlib

PREFIX = "pb_"
ALPHABET = string.digits + string.ascii_uppercase + string.ascii_lowercase
RANDOM, CHECK = 30, 6
_SHAPE = re.compile(rf"{PREFIX}[0-9A-Za-z]{{{RANDOM + CHECK}}}", re.ASCII)


def new_token() -> str:
    body = "".join(secrets.choice(ALPHABET) for _ in range(RANDOM))
    return f"{PREFIX}{body}{checksum(body)}"


def checksum(body: str) -> str:
    """CRC32 of the random part, in base62, padded to six characters."""
    value, digits = zlib.crc32(body.encode()), ""
    while value:
        value, rest = divmod(value, len(ALPHABET))
        digits = ALPHABET[rest] + digits
    return digits.rjust(CHECK, ALPHABET[0])


def is_token(text: str) -> bool:
    """Whether it may be one at all."""
    if _SHAPE.fullmatch(text) is None:
        return False
    body, check = text[len(PREFIX) : -CHECK], text[-CHECK:]
    return checksum(body) == check


def digest(token: str) -> str:
    """What is kept of it: SHA-256, in lower-case hexadecimal."""
    return hashlib.sha256(token.encode()).hexdigest()
