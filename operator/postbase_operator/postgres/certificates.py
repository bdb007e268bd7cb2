"""The certificates of one Database: an authority of its own, its server, its clients.

ECDSA P-256: an RSA key of equal strength costs the operator 0.2 CPU seconds each. One authority a
Database, because a client certificate that names `postbase_admin` is superuser where that
authority is trusted, and must be so nowhere else.
"""

from __future__ import annotations

import ssl
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from postbase_operator.errors import InvalidSpec

AUTHORITY_LIFE = timedelta(days=3650)
SERVER_LIFE = timedelta(days=90)
CLIENT_LIFE = timedelta(days=1)
CLOCK_SKEW = timedelta(minutes=5)
P256_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
"""Of the curve's base point (FIPS 186-4, D.1.2.3)."""


@dataclass(frozen=True, slots=True, repr=False)
class Identity:
    """A certificate and its private key, both PEM. No repr: it would print the key."""

    certificate: bytes
    key: bytes


def authority(name: str, now: datetime) -> Identity:
    """A new self-signed certificate authority."""
    return _authority(name, ec.generate_private_key(ec.SECP256R1()), now)


def derived_authority(name: str, secret: str, now: datetime) -> Identity:
    """A certificate authority whose key is the same whenever name and secret are, so that it need
    be kept nowhere. `secret` is one that nobody could guess: 32 random letters or more."""
    seed = HKDF(hashes.SHA256(), 48, None, name.encode()).derive(secret.encode())
    # 384 bits for a number below 2^256: reduced, no value is more likely than another.
    value = int.from_bytes(seed, "big") % (P256_ORDER - 1) + 1
    return _authority(name, ec.derive_private_key(value, ec.SECP256R1()), now)


def _authority(name: str, key: ec.EllipticCurvePrivateKey, now: datetime) -> Identity:
    subject = _subject(name)
    certificate = (
        _builder(subject, subject, key, now, AUTHORITY_LIFE)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(sign_certificates=True), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), False)
        .sign(key, hashes.SHA256())
    )
    return _identity(certificate, key)


def server(ca: Identity, hosts: Sequence[str], now: datetime) -> Identity:
    """A server certificate for these DNS names; the first is its common name."""
    names = x509.SubjectAlternativeName([x509.DNSName(host) for host in hosts])
    return _leaf(ca, hosts[0], ExtendedKeyUsageOID.SERVER_AUTH, now, SERVER_LIFE, names)


def client(ca: Identity, role: str, now: datetime) -> Identity:
    """A client certificate that PostgreSQL's `cert` method takes as `role`; for one day."""
    return _leaf(ca, role, ExtendedKeyUsageOID.CLIENT_AUTH, now, CLIENT_LIFE, None)


def due(certificate: bytes, now: datetime) -> bool:
    """True in the last third of a certificate's life: time to renew it."""
    parsed = x509.load_pem_x509_certificate(certificate)
    life = parsed.not_valid_after_utc - parsed.not_valid_before_utc
    return now > parsed.not_valid_after_utc - life / 3


def serves(certificate: bytes, ca: Identity, hosts: Sequence[str]) -> bool:
    """True where the certificate was issued by this authority for all of these names."""
    issuer = x509.load_pem_x509_certificate(ca.certificate)
    try:
        parsed = x509.load_pem_x509_certificate(certificate)
        parsed.verify_directly_issued_by(issuer)
        names = parsed.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    except (ValueError, TypeError, InvalidSignature, x509.ExtensionNotFound):
        return False
    return set(hosts) <= set(names.value.get_values_for_type(x509.DNSName))


def belong(certificate: bytes, key: bytes) -> bool:
    """True where the key is the certificate's. A server with another one does not reload."""
    try:
        held = serialization.load_pem_private_key(key, None).public_key()
        return held == x509.load_pem_x509_certificate(certificate).public_key()
    except (ValueError, TypeError):
        return False


def handshake_fails(server: Identity, authority: bytes, host: str) -> str:
    """Why a client that trusts `authority` refuses this server as `host`; "" where it does not.

    OpenSSL itself is asked, in a handshake in memory: chain, dates, names, and whether the key is
    the certificate's.
    """
    try:
        with tempfile.TemporaryDirectory(prefix="postbase-") as folder:
            chain, key = Path(folder, "tls.crt"), Path(folder, "tls.key")
            chain.write_bytes(server.certificate)
            key.write_bytes(server.key)
            serving = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            serving.load_cert_chain(chain, key, password=lambda: "")
        asking = ssl.create_default_context(cadata=authority.decode())
        _shake_hands(serving, asking, host)
    except (ssl.SSLError, UnicodeDecodeError, ValueError) as error:
        return str(getattr(error, "verify_message", "") or error)
    return ""


def _shake_hands(serving: ssl.SSLContext, asking: ssl.SSLContext, host: str) -> None:
    """Raises ssl.SSLError."""
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    sides = [
        asking.wrap_bio(to_client, to_server, server_hostname=host),
        serving.wrap_bio(to_server, to_client, server_side=True),
    ]
    while sides:
        for side in list(sides):
            try:
                side.do_handshake()
                sides.remove(side)
            except ssl.SSLWantReadError:
                continue  # it is the other one's turn


def _leaf(
    ca: Identity,
    name: str,
    purpose: x509.ObjectIdentifier,
    now: datetime,
    life: timedelta,
    names: x509.SubjectAlternativeName | None,
) -> Identity:
    issuer = x509.load_pem_x509_certificate(ca.certificate)
    signer = serialization.load_pem_private_key(ca.key, None)
    if not isinstance(signer, ec.EllipticCurvePrivateKey):
        raise InvalidSpec("ca.key", "must be an elliptic curve key (P-256)")
    key = ec.generate_private_key(ec.SECP256R1())
    builder = (
        _builder(_subject(name), issuer.subject, key, now, life)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(sign_certificates=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([purpose]), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key()), False
        )
    )
    if names is not None:
        builder = builder.add_extension(names, critical=False)
    return _identity(builder.sign(signer, hashes.SHA256()), key)


def _subject(name: str) -> x509.Name:
    """What people read; servers are known by their alternative names. RFC 5280 allows 64 letters,
    and a Database's name with its namespace's may have twice as many."""
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name[:64])])


def _builder(
    subject: x509.Name,
    issuer: x509.Name,
    key: ec.EllipticCurvePrivateKey,
    now: datetime,
    life: timedelta,
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - CLOCK_SKEW)
        .not_valid_after(now + life)
    )


def _usage(*, sign_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not sign_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=sign_certificates,
        crl_sign=sign_certificates,
        encipher_only=False,
        decipher_only=False,
    )


def _identity(certificate: x509.Certificate, key: ec.EllipticCurvePrivateKey) -> Identity:
    return Identity(
        certificate.public_bytes(serialization.Encoding.PEM),
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        ),
    )
