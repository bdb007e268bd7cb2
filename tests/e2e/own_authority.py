"""An authority of the user's own, as cert-manager or a company has it: RSA, and a chain of two.

Made here from scratch, so that the operator's idea of a certificate is not held against itself.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import NameOID

LIFE = timedelta(days=30)


@dataclass(frozen=True)
class Issuer:
    """Who signs: a certificate and its key."""

    certificate: x509.Certificate
    key: rsa.RSAPrivateKey


@dataclass(frozen=True)
class OwnAuthority:
    """A root that clients trust, and the issuer below it that servers send along."""

    root: Issuer
    issuing: Issuer

    @classmethod
    def make(cls, name: str) -> OwnAuthority:
        root = _issuer(f"{name} root", None)
        return cls(root, _issuer(f"{name} issuing", root))

    @property
    def certificate(self) -> str:
        """What clients trust by (`ca.crt`)."""
        return _pem(self.root.certificate)

    def server(self, host: str) -> dict[str, str]:
        """The data of a Secret of kind kubernetes.io/tls for this host, with a new key."""
        key = _key()
        names = x509.SubjectAlternativeName([x509.DNSName(host)])
        leaf = _builder(host, key).add_extension(names, critical=False)
        signed = leaf.issuer_name(self.issuing.certificate.subject).sign(
            self.issuing.key, hashes.SHA256()
        )
        return {
            "tls.crt": _pem(signed) + _pem(self.issuing.certificate),
            "tls.key": _private(key),
            "ca.crt": self.certificate,
        }


def _issuer(name: str, above: Issuer | None) -> Issuer:
    key = _key()
    builder = _builder(name, key).add_extension(
        x509.BasicConstraints(ca=True, path_length=None), True
    )
    if above is None:
        own = builder.issuer_name(_named(name))
        return Issuer(own.sign(key, hashes.SHA256()), key)
    below = builder.issuer_name(above.certificate.subject)
    return Issuer(below.sign(above.key, hashes.SHA256()), key)


def _builder(name: str, key: rsa.RSAPrivateKey) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(_named(name))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(minutes=5))
        .not_valid_after(now + LIFE)
    )


def _named(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name[:64])])


def _key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


def _pem(certificate: x509.Certificate) -> str:
    return certificate.public_bytes(serialization.Encoding.PEM).decode()


def _private(key: rsa.RSAPrivateKey) -> str:
    kind = serialization.PrivateFormat.TraditionalOpenSSL
    return key.private_bytes(
        serialization.Encoding.PEM, kind, serialization.NoEncryption()
    ).decode()
