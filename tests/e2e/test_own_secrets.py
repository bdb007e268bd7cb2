"""A password and a server certificate that the user brings: they reach the running server, and
what is wrong with them is told, while what was right before serves on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import psycopg
import pytest

from e2e.cluster import Body, eventually
from e2e.conftest import NewDb
from e2e.database import Db
from e2e.own_authority import OwnAuthority
from e2e.test_certificates import WITHIN, decoded, fingerprint, served

pytestmark = pytest.mark.timeout(900)

SEEN_WITHIN = 75
"""Seconds: Secrets are not watched, and looked at every 45. Another spec is seen at once."""
FIRST, SECOND = "first 'quoted' pass\\word", "correct horse battery staple"


def put(db: Db, name: str, data: dict[str, str]) -> None:
    body: Body = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": name, "namespace": db.namespace},
        "stringData": data,
    }
    db.cluster.apply(body)


def refer(name: str | None) -> dict[str, Any]:
    return {"secretRef": None if name is None else {"name": name}}


def stalled(db: Db, reason: str) -> str:
    """What it says of why it stalls, while it serves on."""
    said = db.wait_for("Stalled", "True", reason, seconds=20)
    ready = db.condition("Ready")
    assert ready is not None
    assert ready["status"] == "False"
    assert db.live()["status"]["phase"] == "Running"
    assert db.answers()
    return str(said["message"])


# -- a password ----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def own_password(new_db: NewDb) -> Db:
    db = new_db("own-password")
    put(db, "chosen", {"password": FIRST})
    db.apply(credentials={**refer("chosen"), "overlap": "40s"})
    db.wait_ready()
    return db


def opens(db: Db, login: dict[str, str]) -> bool:
    try:
        with db.connect(user=login["user"], password=login["password"]):
            return True
    except psycopg.OperationalError:
        return False


def test_the_password_is_the_given_one_from_the_start(own_password: Db) -> None:
    assert own_password.secret()["password"] == FIRST
    own_password.fill("by the given password")


@pytest.mark.parametrize(
    ("secret", "reason", "words"),
    [
        (None, "SecretNotFound", ("spec.credentials.secretRef", "'wrong'")),
        ({"other": "x"}, "SecretInvalid", ("spec.credentials.secretRef", "no key password")),
        ({"password": "with a line\n"}, "SecretInvalid", ("line break", "`echo` without -n")),
        ({"password": ""}, "SecretInvalid", ("spec.credentials.secretRef",)),
    ],
    ids=["no-secret", "no-key", "line-break", "empty"],
)
def test_a_wrong_password_is_told_and_the_former_one_serves_on(
    own_password: Db, secret: dict[str, str] | None, reason: str, words: tuple[str, ...]
) -> None:
    db = own_password
    started, before = db.started_at(), db.secret()
    if secret is not None:
        put(db, "wrong", secret)
    db.patch(credentials=refer("wrong"))
    said = stalled(db, reason)
    assert [word for word in words if word not in said] == []
    assert "with a line" not in said
    db.patch(credentials=refer("chosen"))
    db.wait_ready(seconds=30)
    assert db.secret() == before
    assert db.started_at() == started


def test_another_password_cuts_nobody_off(own_password: Db) -> None:
    db = own_password
    started, before = db.started_at(), db.secret()
    with db.connect() as open_session:
        put(db, "chosen", {"password": SECOND})
        eventually(lambda: db.secret()["password"] == SECOND, "taken up", seconds=SEEN_WITHIN)
        assert opens(db, before)  # for the overlap
        assert db.secret()["user"] != before["user"]
        db.fill("by the second password")
        eventually(lambda: not opens(db, before), "the former is closed", seconds=150, every=3)
        assert open_session.execute("SELECT count(*) FROM notes").fetchone() == (2,)
    assert db.started_at() == started
    db.wait_ready(seconds=30)


# -- a certificate -------------------------------------------------------------------------


@dataclass(frozen=True)
class Own:
    """A Database with a server certificate by the user's own authority, and its start time."""

    db: Db
    authority: OwnAuthority
    started: Any

    def served(self) -> bool:
        """Whether the server shows what the Secret holds."""
        bought = self.db.cluster.get("secret", self.db.namespace, "bought")["data"]["tls.crt"]
        return served(self.db) == fingerprint(first(decoded(bought)))

    def trusted_by(self, authority: str) -> bool:
        """Whether a client that trusts this authority alone gets in, by the server's full name."""
        file = self.db.folder / "trusted.crt"
        file.write_text(authority)
        try:
            with self.db.connect(sslrootcert=str(file)):
                return True
        except psycopg.OperationalError as error:
            if "certificate verify failed" not in str(error):
                raise
            return False


def first(chain: str) -> str:
    """The leaf of a chain."""
    end = "-----END CERTIFICATE-----"
    return chain[: chain.index(end) + len(end)]


@pytest.fixture(scope="module")
def own(new_db: NewDb) -> Own:
    db, authority = new_db("own-tls"), OwnAuthority.make("shop")
    put(db, "bought", authority.server(db.host))
    db.apply(tls=refer("bought"))
    db.wait_ready()
    db.wait_answers()
    return Own(db, authority, db.started_at())


def test_clients_verify_by_the_users_own_authority(own: Own) -> None:
    assert own.served()
    assert own.trusted_by(own.authority.certificate)
    assert not own.trusted_by(own.db.secret("ca")["ca.crt"])
    assert own.db.answers()  # by the ca.crt of its Secret
    assert own.authority.certificate.strip() in own.db.secret()["ca.crt"]


@pytest.mark.parametrize(
    ("mistake", "words"),
    [
        ("host", ("spec.tls.secretRef", "mismatch")),
        ("key", ("spec.tls.secretRef", "key values mismatch")),
        ("authority", ("spec.tls.secretRef", "unable to get")),
        ("no-key", ("spec.tls.secretRef", "no key tls.key")),
    ],
)
def test_a_wrong_certificate_is_told_and_the_former_one_serves_on(
    own: Own, mistake: str, words: tuple[str, ...]
) -> None:
    right, before = own.authority.server(own.db.host), served(own.db)
    data = {
        "host": own.authority.server("elsewhere.example.com"),
        "key": {**right, "tls.key": own.authority.server(own.db.host)["tls.key"]},
        "authority": {**right, "ca.crt": OwnAuthority.make("stranger").certificate},
        "no-key": {name: pem for name, pem in right.items() if name != "tls.key"},
    }[mistake]
    put(own.db, f"wrong-{mistake}", data)
    own.db.patch(tls=refer(f"wrong-{mistake}"))
    said = stalled(own.db, "SecretInvalid")
    assert [word for word in words if word not in said] == []
    assert "PRIVATE KEY" not in said
    assert served(own.db) == before
    own.db.patch(tls=refer("bought"))
    own.db.wait_ready(seconds=30)
    assert own.db.started_at() == own.started


def test_a_renewed_certificate_is_served_without_a_restart(own: Own) -> None:
    before = served(own.db)
    put(own.db, "bought", own.authority.server(own.db.host))
    eventually(own.served, "the renewed one is served", seconds=WITHIN, every=2)
    assert served(own.db) != before
    assert own.trusted_by(own.authority.certificate)
    own.db.wait_ready(seconds=30)
    assert own.db.started_at() == own.started


def test_taken_out_the_operators_own_is_served_again(own: Own) -> None:
    own.db.patch(tls=refer(None))
    ours = own.db.secret("ca")["ca.crt"]
    eventually(lambda: own.trusted_by(ours), "the operator's own", seconds=WITHIN, every=2)
    assert not own.trusted_by(own.authority.certificate)
    own.db.wait_ready(seconds=60)
    assert own.db.answers()
    assert own.db.started_at() == own.started
