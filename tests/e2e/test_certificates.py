"""A certificate that is renewed or lost reaches the running server, without a restart.

PostgreSQL reads its certificate when it is told to reload, and at no other time: a renewed one that
nobody loads serves nobody, and the old one ends one day for all clients at once.
"""

from __future__ import annotations

import base64
import ssl
import subprocess
from dataclasses import dataclass
from typing import Any

import pytest

from e2e.cluster import PATIENCE, Body, eventually
from e2e.conftest import NewDb
from e2e.database import Db

pytestmark = pytest.mark.timeout(900)

KEPT = ("labels", "annotations", "ownerReferences")
WITHIN = 150
"""Seconds: a minute until the loss is seen, a minute until the kubelet brings the new file."""


@dataclass(frozen=True)
class Loss:
    """A Database that has lost a Secret, the certificate that it served until then, and when its
    server was started."""

    db: Db
    before: str
    authority: Body
    started: Any


@pytest.fixture(scope="module")
def losses(new_db: NewDb) -> dict[str, Loss]:
    """Both have happened by the time the first test runs: the waits are side by side."""
    made = {"tls": new_db("without-tls"), "ca": new_db("without-ca")}
    for db in made.values():
        db.apply()
    found = {}
    for kind, db in made.items():
        db.wait_ready()
        db.fill("before the loss")
        authority = db.cluster.get("secret", db.namespace, f"{db.name}-ca")
        meta = {k: authority["metadata"][k] for k in ("name", "namespace", *KEPT)}
        found[kind] = Loss(db, held(db), {**authority, "metadata": meta}, db.started_at())
        db.cluster.delete("secret", db.namespace, f"{db.name}-{kind}")
    return found


def served(db: Db) -> str:
    """Serial number of the certificate that the running server shows."""
    shown = subprocess.run(
        ["openssl", "s_client", "-starttls", "postgres", "-connect", f"{db.address()}:5432"],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=20 * PATIENCE,
        check=False,
    ).stdout
    begin, end = "-----BEGIN CERTIFICATE-----", "-----END CERTIFICATE-----"
    if begin not in shown:
        return ""
    return fingerprint(shown[shown.index(begin) : shown.index(end) + len(end)])


def fingerprint(pem: str) -> str:
    return ssl.PEM_cert_to_DER_cert(pem.strip()).hex()


def held(db: Db) -> str:
    """The certificate of the TLS Secret; "" where there is none."""
    secret = db.cluster.find("secret", db.namespace, f"{db.name}-tls")
    return "" if secret is None else fingerprint(decoded(secret["data"]["tls.crt"]))


def decoded(value: str) -> str:
    return base64.b64decode(value).decode()


def test_a_new_certificate_is_served_without_a_restart(losses: dict[str, Loss]) -> None:
    db, before = losses["tls"].db, losses["tls"].before
    eventually(lambda: held(db) not in ("", before), "a new certificate", seconds=90, every=1)
    eventually(lambda: served(db) == held(db), "it is served", seconds=WITHIN, every=2)
    assert db.notes() == ["before the loss"]
    db.wait_ready(seconds=60)
    assert db.started_at() == losses["tls"].started


def test_a_lost_authority_is_told_and_locks_nobody_out(losses: dict[str, Loss]) -> None:
    """A new one beside a running server would: it trusts what it has loaded."""
    loss = losses["ca"]
    db = loss.db
    stalled = db.wait_for("Stalled", "True", "AuthorityLost", seconds=90)
    assert f"{db.name}-ca" in stalled["message"]
    assert db.notes() == ["before the loss"]
    assert held(db) == served(db) == loss.before
    db.cluster.apply(loss.authority)
    db.wait_ready(seconds=90)
    assert db.started_at() == loss.started
