"""Secrets that are edited by hand are put right within a minute, and lock nobody out.

They are read by name and never watched, hence a minute and not seconds. All edits are made before
the first test, each kind on a Database of its own: the waits are side by side.
"""

from __future__ import annotations

import base64
from dataclasses import dataclass
from datetime import UTC, datetime

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from e2e.children import ours
from e2e.cluster import Body, eventually
from e2e.conftest import NewDb
from e2e.database import Db
from postbase_operator.postgres import certificates

pytestmark = pytest.mark.timeout(900)

WITHIN = 60
KINDS = ("credentials", "ca", "tls")
MARKS: Body = {
    "labels": {"postbase.sh/database": "another"},
    "annotations": {"postbase.sh/database-uid": None},
    "ownerReferences": None,
}


@dataclass(frozen=True)
class Edited:
    """A Database whose Secrets were edited, and the Secrets as they were."""

    db: Db
    before: dict[str, Body]


@pytest.fixture(scope="module")
def edited(new_db: NewDb) -> dict[str, Edited]:
    made = {name: new_db(name) for name in ("marks", "key", "trust")}
    for db in made.values():
        db.apply()
    for db in made.values():
        db.wait_ready()
        db.fill("before the edit")
    found = {
        name: Edited(db, {kind: secret(db, kind) for kind in KINDS}) for name, db in made.items()
    }
    for kind in KINDS:
        patch(made["marks"], kind, {"metadata": MARKS})
    stranger = certificates.authority("stranger", datetime.now(UTC))
    patch(made["key"], "tls", {"data": {"tls.key": encoded(stranger.key)}})
    patch(made["trust"], "tls", {"data": {"ca.crt": encoded(stranger.certificate)}})
    return found


def encoded(value: bytes) -> str:
    return base64.b64encode(value).decode()


def secret(db: Db, kind: str) -> Body:
    return db.cluster.get("secret", db.namespace, f"{db.name}-{kind}")


def patch(db: Db, kind: str, body: Body) -> None:
    db.cluster.patch("secret", db.namespace, f"{db.name}-{kind}", body)


@pytest.mark.parametrize("kind", KINDS)
def test_label_owner_and_mark_are_put_back(edited: dict[str, Edited], kind: str) -> None:
    """Else it would outlive its Database, and stand in the way of the next one of the name."""
    which = edited["marks"]
    eventually(
        lambda: ours(secret(which.db, kind)) == ours(which.before[kind]),
        f"{kind} as it was",
        seconds=WITHIN,
        every=1,
    )


def test_a_key_of_another_certificate_is_replaced(edited: dict[str, Edited]) -> None:
    """PostgreSQL goes on with the pair that it has loaded, and would not start with this one."""
    db = edited["key"].db
    eventually(lambda: pair_fits(db), "certificate and key fit", seconds=WITHIN, every=1)
    db.restart_pod()
    assert db.notes() == ["before the edit"]


def pair_fits(db: Db) -> bool:
    data = secret(db, "tls")["data"]
    shown = x509.load_pem_x509_certificate(base64.b64decode(data["tls.crt"]))
    key = load_pem_private_key(base64.b64decode(data["tls.key"]), None)
    return bool(shown.public_key() == key.public_key())


def test_another_authority_beside_the_certificate_is_replaced(edited: dict[str, Edited]) -> None:
    """The server would trust it at its next reload, and us no longer."""
    which = edited["trust"]
    eventually(
        lambda: secret(which.db, "tls")["data"]["ca.crt"] == which.before["tls"]["data"]["ca.crt"],
        "the authority as it was",
        seconds=WITHIN,
        every=1,
    )
    which.db.restart_pod()
    which.db.wait_ready(seconds=30)
    assert which.db.notes() == ["before the edit"]
