"""SCRAM-SHA-256 verifiers, made and checked on our side: no statement ever carries a password.

RFC 5802 §3 and RFC 7677; the stored form is PostgreSQL's (pg_authid.rolpassword):
SCRAM-SHA-256$<iterations>:<salt>$<StoredKey>:<ServerKey>, the last three in base64. Our passwords
are ASCII letters and digits, on which SASLprep does nothing; users' own are given to libpq.
"""

from __future__ import annotations

import base64
import hashlib
import hmac

ITERATIONS = 4096


def verifier(password: str, salt: bytes, iterations: int = ITERATIONS) -> str:
    """What PostgreSQL stores for `password`; `salt` is 16 random bytes, new for each password."""
    salted = hashlib.pbkdf2_hmac("sha256", password.encode(), salt, iterations)
    client_key = hmac.digest(salted, b"Client Key", "sha256")
    stored_key = hashlib.sha256(client_key).digest()
    server_key = hmac.digest(salted, b"Server Key", "sha256")
    salt64, stored64, server64 = (
        base64.b64encode(part).decode() for part in (salt, stored_key, server_key)
    )
    return f"SCRAM-SHA-256${iterations}:{salt64}${stored64}:{server64}"


def matches(password: str, stored: str | None) -> bool:
    """True where `stored` (pg_authid.rolpassword) is a verifier of `password`."""
    try:
        scheme, parameters, _keys = (stored or "").split("$")
        iterations, salt64 = parameters.split(":")
        if int(iterations) > ITERATIONS:  # anybody may set his own: we would count for minutes
            return False
        salt = base64.b64decode(salt64, validate=True)
        rebuilt = verifier(password, salt, int(iterations))
    except ValueError:
        return False
    return scheme == "SCRAM-SHA-256" and hmac.compare_digest(rebuilt, stored or "")
