"""A Database's certificate authority through its life: it is followed before it ends. PURE.

Clients and the server trust a bundle. In the last third of an authority's life its successor joins
the bundle and signs nothing yet; after an overlap, when whoever mounts the Secret has long read it,
the successor signs, and the former stays trusted until it expires. So there is no moment at which a
client that has read the bundle within the overlap would refuse the server.

A user who brings the server's certificate brings its authority, too. Clients then trust that one
beside ours, and for the overlap those that he has replaced or taken out: the running server shows
their certificate until it has loaded the next, and we could not even tell it to.

The Secret: `ca.crt` the bundle, `ca.key` the key that signs, `next.crt` and `next.key` the
successor's while it waits; `own.crt` the user's, `former.crt` the ones before, `former.until` how
long these are trusted.
"""

from __future__ import annotations

import re
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import serialization

from postbase_operator.errors import InvalidSpec
from postbase_operator.postgres import certificates
from postbase_operator.postgres.certificates import Identity

LAST_DAY = timedelta(days=1)
BLOCK = re.compile(rb"-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----", re.DOTALL)
LEAST_OVERLAP = timedelta(hours=1)
"""More than it takes until the kubelet has brought a certificate and the server has loaded it."""


@dataclass(frozen=True, slots=True, repr=False)
class Authority:
    """Who signs now, who will, and everything that is trusted (PEM, the one that signs first)."""

    signing: Identity
    trusted: bytes
    successor: Identity | None = None
    own: bytes = b""
    """The user's, where he brings the server's certificate."""
    former: bytes = b""
    former_until: datetime | None = None

    @property
    def servers(self) -> bytes:
        """Who may have signed the server's certificate; `trusted` is whom the server trusts."""
        return b"\n".join(pem for pem in (self.own, self.former, self.trusted) if pem)


def new(name: str, now: datetime, own: bytes = b"") -> Authority:
    made = certificates.authority(name, now)
    return Authority(made, made.certificate, own=own)


def read(data: Mapping[str, bytes], where: str) -> Authority:
    """From the Secret `where`. Raises InvalidSpec (AuthorityDamaged) for what cannot be used."""
    try:
        bundle = x509.load_pem_x509_certificates(data["ca.crt"])
        signing = _of_key(bundle, data["ca.key"])
        successor = None
        if "next.key" in data:
            waiting = x509.load_pem_x509_certificates(data["next.crt"])
            successor = _of_key(waiting, data["next.key"])
        own, former = (_readable(data.get(key, b"")) for key in ("own.crt", "former.crt"))
        until = _moment(data["former.until"]) if former else None
    except (KeyError, ValueError, TypeError) as error:
        why = f"is damaged ({error!r}); put ca.crt and ca.key back as they were"
        raise InvalidSpec(f"Secret {where}", why, reason="AuthorityDamaged") from error
    return Authority(signing, data["ca.crt"], successor, own, former, until)


def written(held: Authority) -> dict[str, bytes]:
    """As the Secret's data."""
    data = {"ca.crt": held.trusted, "ca.key": held.signing.key}
    if held.successor is not None:
        data |= {"next.crt": held.successor.certificate, "next.key": held.successor.key}
    if held.own:
        data["own.crt"] = held.own
    if held.former_until is not None:
        data |= {"former.crt": held.former, "former.until": held.former_until.isoformat().encode()}
    return data


def renewed(held: Authority, name: str, now: datetime, overlap: timedelta) -> Authority:
    """The authority as it should be now; `held` itself where nothing is to be done.

    `overlap` is how long a successor is known before it signs.
    """
    signing, successor = held.signing, held.successor
    if successor is None:
        if not certificates.due(signing.certificate, now):
            return held
        successor = certificates.authority(name, now)
    elif _may_follow(signing, successor, now, overlap):
        signing, successor = successor, None
    first = [signing.certificate, *([successor.certificate] if successor else [])]
    rest = [pem for pem in _each(held.trusted) if pem not in first and not _expired(pem, now)]
    after = replace(held, signing=signing, trusted=b"".join([*first, *rest]), successor=successor)
    return held if after == held else after


def beside(held: Authority, own: bytes, now: datetime, overlap: timedelta) -> Authority:
    """With the user's authority as it is now (b"": none), and what it replaces for the overlap.

    `held` itself where nothing is to be done.
    """
    if own != held.own:
        before = dict.fromkeys(_blocks(held.own) + _blocks(held.former))
        former = b"".join(pem for pem in before if pem not in _blocks(own))
        until = now + max(overlap, LEAST_OVERLAP) if former else None
        return replace(held, own=own, former=former, former_until=until)
    if held.former_until is not None and now >= held.former_until:
        return replace(held, former=b"", former_until=None)
    return held


def _may_follow(signing: Identity, successor: Identity, now: datetime, overlap: timedelta) -> bool:
    known_since = _parsed(successor.certificate).not_valid_before_utc
    ends = _parsed(signing.certificate).not_valid_after_utc
    return now - known_since >= overlap or ends - now < LAST_DAY


def _of_key(bundle: list[x509.Certificate], key: bytes) -> Identity:
    """The certificate of the bundle that this key belongs to. Raises ValueError."""
    public = _spki(serialization.load_pem_private_key(key, None).public_key())
    for certificate in bundle:
        if _spki(certificate.public_key()) == public:
            return Identity(certificate.public_bytes(serialization.Encoding.PEM), key)
    raise ValueError("no certificate belongs to the key")


def _spki(key: object) -> bytes:
    encoded: bytes = key.public_bytes(  # type: ignore[attr-defined]  # each kind of key has it
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    return encoded


def _readable(bundle: bytes) -> bytes:
    """b"" for what somebody has damaged: it would keep everything else from being trusted.

    By OpenSSL, which has taken what the user brings: other parsers are stricter.
    """
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cadata=bundle.decode())
    except (ssl.SSLError, ValueError):
        return b""
    return bundle


def _blocks(bundle: bytes) -> list[bytes]:
    """Each certificate of a bundle, as it is written there."""
    return [block + b"\n" for block in BLOCK.findall(bundle)]


def _moment(text: bytes) -> datetime:
    """Raises ValueError."""
    moment = datetime.fromisoformat(text.decode())
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _each(bundle: bytes) -> list[bytes]:
    parsed = x509.load_pem_x509_certificates(bundle)
    return [each.public_bytes(serialization.Encoding.PEM) for each in parsed]


def _parsed(pem: bytes) -> x509.Certificate:
    return x509.load_pem_x509_certificate(pem)


def _expired(pem: bytes, now: datetime) -> bool:
    return _parsed(pem).not_valid_after_utc < now
