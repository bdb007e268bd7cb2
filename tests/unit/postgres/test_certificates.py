"""Certificates: who issued them, for whom, until when."""

from __future__ import annotations

from datetime import timedelta

import pytest
from cryptography import x509

from postbase_operator.errors import InvalidSpec
from postbase_operator.postgres import certificates
from postbase_operator.postgres.certificates import Identity
from unit.conftest import NOW

HOSTS = ("shop.team.svc", "shop")


def test_a_server_certificate_serves_its_hosts_and_no_others() -> None:
    ca = certificates.authority("one", NOW)
    made = certificates.server(ca, HOSTS, NOW)
    assert certificates.serves(made.certificate, ca, HOSTS)
    assert certificates.serves(made.certificate, ca, HOSTS[:1])
    assert not certificates.serves(made.certificate, ca, (*HOSTS, "elsewhere"))


def test_another_authority_of_the_same_name_is_another() -> None:
    ca, other = certificates.authority("one", NOW), certificates.authority("one", NOW)
    assert not certificates.serves(certificates.server(other, HOSTS, NOW).certificate, ca, HOSTS)


@pytest.mark.parametrize("damaged", [b"", b"-----BEGIN CERTIFICATE-----\n", b"nonsense"])
def test_a_damaged_certificate_serves_nobody(damaged: bytes) -> None:
    assert not certificates.serves(damaged, certificates.authority("one", NOW), HOSTS)


def test_a_key_belongs_to_its_own_certificate_alone() -> None:
    ca = certificates.authority("one", NOW)
    made, other = (certificates.server(ca, HOSTS, NOW) for _ in range(2))
    assert certificates.belong(made.certificate, made.key)
    assert not certificates.belong(made.certificate, other.key)
    assert not certificates.belong(made.certificate, b"")
    assert not certificates.belong(b"", made.key)


def test_names_may_be_as_long_as_kubernetes_lets_them() -> None:
    ca = certificates.authority(f"{'n' * 63}/{'d' * 52}", NOW)
    host = f"{'d' * 52}.{'n' * 63}.svc"
    parsed = x509.load_pem_x509_certificate(certificates.server(ca, [host], NOW).certificate)
    names = parsed.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == [host]


def test_renewal_is_due_in_the_last_third() -> None:
    ca = certificates.authority("one", NOW)
    made = certificates.server(ca, HOSTS, NOW).certificate
    life = certificates.SERVER_LIFE
    assert not certificates.due(made, NOW + life * 0.6)
    assert certificates.due(made, NOW + life * 0.7)
    assert certificates.due(made, NOW + life + timedelta(days=1))


def test_a_client_certificate_names_its_role_for_a_day() -> None:
    ca = certificates.authority("one", NOW)
    parsed = x509.load_pem_x509_certificate(
        certificates.client(ca, "postbase_admin", NOW).certificate
    )
    assert parsed.subject.rfc4514_string() == "CN=postbase_admin"
    assert parsed.not_valid_after_utc - NOW == timedelta(days=1)
    usage = parsed.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert [purpose._name for purpose in usage] == ["clientAuth"]


def test_a_key_of_another_kind_is_refused_by_name() -> None:
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import ed25519

    key = ed25519.Ed25519PrivateKey.generate().private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    ca = Identity(certificates.authority("one", NOW).certificate, key)
    with pytest.raises(InvalidSpec, match=r"ca\.key"):
        certificates.client(ca, "postbase_admin", NOW)


def test_no_key_in_a_repr() -> None:
    assert "PRIVATE" not in repr(certificates.authority("one", NOW))


def test_a_derived_authority_is_the_same_for_the_same_secret_and_name() -> None:
    derived_authority, serves = certificates.derived_authority, certificates.serves
    first = derived_authority("x", "s" * 32, NOW)
    later = derived_authority("x", "s" * 32, NOW + timedelta(days=1))
    assert first.key == later.key
    leaf = certificates.server(first, ["localhost"], NOW)
    assert serves(leaf.certificate, later, ["localhost"])
    for name, secret in (("y", "s" * 32), ("x", "t" * 32)):
        other = derived_authority(name, secret, NOW)
        assert other.key != first.key
        assert not serves(leaf.certificate, other, ["localhost"])
