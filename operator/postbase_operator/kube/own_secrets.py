"""Secrets that a user brings: a password, a server certificate. Read by name, and never written.

They count once they are right. What is wrong is told by field, and what was set before serves on.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from postbase_operator.api.database import Database
from postbase_operator.errors import InvalidSpec
from postbase_operator.kube.kinds import SECRET, Body
from postbase_operator.kube.secret_data import decode
from postbase_operator.kube.session import Session
from postbase_operator.postgres import certificates
from postbase_operator.postgres.certificates import Identity

LONGEST_PASSWORD = 512


@dataclass(frozen=True, slots=True)
class OwnCertificate:
    """A server certificate (with its chain) and its key, and who signed it; all PEM."""

    identity: Identity = field(repr=False)
    authority: bytes


async def password(session: Session, db: Database) -> str | None:
    """What spec.credentials.secretRef gives; None where the operator makes one."""
    reference, where = db.spec.credentials.secret_ref, "spec.credentials.secretRef"
    if reference is None:
        return None
    data = await _data(session, db, reference.name, where)
    raw = _value(data, "password", reference.name, where)
    try:
        given = raw.decode("ascii")
    except UnicodeDecodeError:
        given = ""
    if not given.isprintable() or not 0 < len(given) <= LONGEST_PASSWORD:
        raise InvalidSpec(
            where,
            f"password in Secret {reference.name!r} must be 1 to {LONGEST_PASSWORD} printable "
            "ASCII characters; a line break at its end comes of `echo` without -n",
            reason="SecretInvalid",
        )
    return given


async def certificate(session: Session, db: Database, host: str) -> OwnCertificate | None:
    """What spec.tls.secretRef gives; None where the operator makes one.

    Tried by a handshake in memory before any server gets it: one that clients would refuse, or
    that PostgreSQL cannot load, must not replace one that works.
    """
    reference, where = db.spec.tls.secret_ref, "spec.tls.secretRef"
    if reference is None:
        return None
    data = await _data(session, db, reference.name, where)
    chain, key, authority = (
        _value(data, name, reference.name, where) for name in ("tls.crt", "tls.key", "ca.crt")
    )
    trouble = certificates.handshake_fails(Identity(chain, key), authority, host)
    if trouble:
        raise InvalidSpec(
            where,
            f"the certificate in Secret {reference.name!r} does not prove {host} to who trusts its "
            f"ca.crt: {trouble}",
            reason="SecretInvalid",
        )
    return OwnCertificate(Identity(chain, key), authority)


async def _data(session: Session, db: Database, name: str, where: str) -> Body:
    live = await session.find(SECRET, db.metadata.namespace, name)
    if live is None:
        raise InvalidSpec(
            where, f"there is no Secret {name!r} in this namespace", reason="SecretNotFound"
        )
    return live


def _value(live: Body, key: str, name: str, where: str) -> bytes:
    held = decode(live).get(key)
    if not held:
        raise InvalidSpec(where, f"Secret {name!r} has no key {key}", reason="SecretInvalid")
    return held
