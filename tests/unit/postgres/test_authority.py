"""The authority is followed by another before it ends, and nobody who keeps up notices."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.x509.verification import PolicyBuilder, Store, VerificationError

from postbase_operator.errors import InvalidSpec
from postbase_operator.postgres import authority, certificates
from postbase_operator.postgres.authority import Authority
from unit.conftest import NOW

HOST = "shop-main.team.svc"
STEP = timedelta(days=10)
OVERLAP = timedelta(days=30)
LIFE = certificates.AUTHORITY_LIFE


def believes(bundle: bytes, certificate: bytes, moment: datetime) -> bool:
    """What a client with verify-full and this bundle makes of the server."""
    store = Store(x509.load_pem_x509_certificates(bundle))
    verifier = PolicyBuilder().store(store).time(moment).build_server_verifier(x509.DNSName(HOST))
    try:
        verifier.verify(x509.load_pem_x509_certificate(certificate), [])
    except VerificationError:
        return False
    return True


def admits(trusted: bytes, certificate: bytes, moment: datetime) -> bool:
    """What the server with this bundle makes of a client's certificate."""
    client = x509.load_pem_x509_certificate(certificate)
    for each in x509.load_pem_x509_certificates(trusted):
        try:
            client.verify_directly_issued_by(each)
        except (ValueError, TypeError, InvalidSignature):
            continue
        return each.not_valid_after_utc > moment
    return False


def test_in_25_years_no_one_who_reads_the_bundle_within_the_overlap_is_cut_off() -> None:
    held, now = authority.new("one", NOW), NOW
    served = certificates.server(held.signing, [HOST], now)
    month_old = [held.trusted] * (OVERLAP // STEP)
    signers = {held.signing.certificate}
    while now < NOW + 2.5 * LIFE:
        now += STEP
        before = held
        held = authority.renewed(authority.read(authority.written(held), "ca"), "one", now, OVERLAP)
        if held.signing != before.signing or certificates.due(served.certificate, now):
            served = certificates.server(held.signing, [HOST], now)
        assert believes(held.trusted, served.certificate, now)
        assert believes(month_old[0], served.certificate, now), now
        ours = certificates.client(held.signing, "postbase_admin", now)
        assert admits(before.trusted, ours.certificate, now)  # not reloaded yet
        month_old = [*month_old[1:], held.trusted]
        signers.add(held.signing.certificate)
    assert len(signers) == 4
    assert len(x509.load_pem_x509_certificates(held.trusted)) <= 3


def test_the_successor_is_published_before_it_signs() -> None:
    first = authority.new("one", NOW)
    assert authority.renewed(first, "one", NOW + LIFE * 0.6, OVERLAP) is first
    day = NOW + LIFE * 0.7
    second = authority.renewed(first, "one", day, OVERLAP)
    assert second.signing == first.signing
    assert second.successor is not None
    assert second.trusted == first.trusted + second.successor.certificate
    assert authority.renewed(second, "one", day + timedelta(days=29), OVERLAP) is second
    third = authority.renewed(second, "one", day + timedelta(days=31), OVERLAP)
    assert third.signing == second.successor
    assert third.successor is None
    assert first.signing.certificate in third.trusted


def test_one_that_was_forgotten_until_its_last_day_is_followed_at_once() -> None:
    first = authority.new("one", NOW)
    late = NOW + LIFE - timedelta(hours=1)
    third = authority.renewed(authority.renewed(first, "one", late, OVERLAP), "one", late, OVERLAP)
    assert third.signing != first.signing


@pytest.mark.parametrize(
    "damage",
    [
        {"ca.crt": b""},
        {"ca.key": b"nonsense"},
        {"ca.crt": certificates.authority("other", NOW).certificate},
        {"next.key": certificates.authority("other", NOW).key},
    ],
)
def test_a_damaged_secret_is_told_by_its_name(damage: dict[str, bytes]) -> None:
    data = authority.written(authority.new("one", NOW)) | damage
    with pytest.raises(InvalidSpec, match="Secret main-ca") as error:
        authority.read(data, "main-ca")
    assert error.value.reason == "AuthorityDamaged"


def test_no_key_in_a_repr() -> None:
    held = authority.new("one", NOW)
    waiting = Authority(held.signing, held.trusted, held.signing)
    assert "PRIVATE" not in repr(waiting)


def user(name: str) -> bytes:
    return certificates.authority(name, NOW).certificate


def again(held: Authority) -> Authority:
    """As the next look reads it."""
    return authority.read(authority.written(held), "ca")


def test_the_users_authority_is_trusted_beside_ours() -> None:
    held = authority.beside(authority.new("one", NOW), user("shop"), NOW, OVERLAP)
    assert again(held) == held
    assert held.own in held.servers
    assert held.trusted in held.servers
    assert held.own not in held.trusted  # who names himself postbase_admin must be ours
    assert authority.beside(held, held.own, NOW + STEP, OVERLAP) is held


def test_one_that_is_replaced_or_taken_out_is_trusted_for_the_overlap() -> None:
    """The server shows its certificate until it has loaded the next, which we tell it to."""
    first, second = user("first"), user("second")
    held = authority.beside(authority.new("one", NOW), first, NOW, OVERLAP)
    held = again(authority.beside(held, second, NOW, OVERLAP))
    held = again(authority.beside(held, b"", NOW, OVERLAP))
    assert held.own == b""
    for each in (first, second, held.trusted):
        assert each in held.servers
    before = NOW + OVERLAP - timedelta(seconds=1)
    assert authority.beside(held, b"", before, OVERLAP) is held
    assert again(authority.beside(held, b"", NOW + OVERLAP, OVERLAP)).servers == held.trusted


def test_an_overlap_of_nothing_still_lets_the_server_load_the_next() -> None:
    held = authority.beside(authority.new("one", NOW), user("shop"), NOW, timedelta())
    held = authority.beside(held, b"", NOW, timedelta())
    assert authority.beside(held, b"", NOW + timedelta(minutes=10), timedelta()) is held


def test_one_that_comes_back_is_there_once_and_former_no_more() -> None:
    shop = user("shop")
    held = authority.beside(authority.new("one", NOW), shop, NOW, OVERLAP)
    held = authority.beside(authority.beside(held, b"", NOW, OVERLAP), shop, NOW, OVERLAP)
    assert (held.own, held.former, held.former_until) == (shop, b"", None)
    assert held.servers.count(b"BEGIN") == 2


def test_a_successor_of_ours_keeps_the_users() -> None:
    held = authority.beside(authority.new("one", NOW), user("shop"), NOW, OVERLAP)
    later = authority.renewed(held, "one", NOW + LIFE - STEP, OVERLAP)
    assert later is not held
    assert later.own == held.own


@pytest.mark.parametrize("damage", [b"nonsense", b"\xff", b"-----BEGIN CERTIFICATE-----\n"])
def test_what_somebody_has_damaged_is_left_out(damage: bytes) -> None:
    held = authority.beside(authority.new("one", NOW), user("shop"), NOW, OVERLAP)
    read = authority.read({**authority.written(held), "own.crt": damage}, "ca")
    assert read.servers == held.trusted
