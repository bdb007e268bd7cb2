"""What is secret is told nowhere: no event, status, spec, annotation or log line holds it.

Held against the very values of all Secrets that there ever were of a Database that has lived: made,
rotated, given passwords and certificates that are right and wrong, and killed.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from dataclasses import dataclass
from urllib.parse import quote

import pytest

from e2e.cluster import Cluster, KubectlFailed, eventually
from e2e.conftest import NewDb
from e2e.database import Db
from e2e.own_authority import OwnAuthority

pytestmark = pytest.mark.timeout(900)

SHOWN = "events,databases,projects,pods,statefulsets,configmaps,persistentvolumeclaims,leases"
PUBLIC = ("crt", "host", "port", "dbname", "database", "user", "username", "type", "provider")
"""Ends of keys whose values anybody may read."""
TAKEN_UP = 30
"""Seconds until a Secret that the spec names anew is read, and used."""
SHORTEST = 8
"""Characters: less may stand somewhere by accident."""


class Secrets:
    """Collects the secret values of a namespace, those that are replaced later as well."""

    def __init__(self, cluster: Cluster, namespace: str) -> None:
        self._cluster = cluster
        self._namespace = namespace
        self.values: set[tuple[str, str]] = set()
        """Each with the Secret and the key that it was found under."""

    def collect(self) -> None:
        for secret in self._cluster.listed("secrets", self._namespace):
            for key, value in (secret.get("data") or {}).items():
                if not key.endswith(PUBLIC):
                    plain = base64.b64decode(value).decode()
                    where = f"{secret['metadata']['name']}/{key}"
                    self.values |= {(piece, where) for piece in pieces(plain)}

    def told_in(self, text: str) -> list[str]:
        """Which of them this text holds, by the names of Secret and key."""
        return sorted({where for value, where in self.values if value in text})


def pieces(value: str) -> Iterator[str]:
    """A value in the forms in which it may be told; of a key in lines, each line by itself."""
    if "-----BEGIN" in value:
        plain = [line for line in value.splitlines() if not line.startswith("-----")]
    else:
        plain = [value.rstrip("\n")]
    for each in plain:
        if len(each) >= SHORTEST:
            yield from (each, json.dumps(each)[1:-1], quote(each, safe=""))
    yield base64.b64encode(value.encode()).decode()


def put(db: Db, name: str, data: dict[str, str]) -> None:
    metadata = {"name": name, "namespace": db.namespace}
    body = {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "stringData": data}
    db.cluster.kubectl("create", "-f", "-", stdin=json.dumps(body))


@dataclass(frozen=True)
class Life:
    """A Database after its life, its secrets, and what PostgreSQL said until the last start."""

    db: Db
    known: Secrets
    said: str


@pytest.fixture(scope="module")
def life(new_db: NewDb) -> Life:
    db = new_db("talkative")
    known = Secrets(db.cluster, db.namespace)
    db.apply(credentials={"overlap": "10m"})
    db.wait_ready()
    known.collect()

    db.annotate("postbase.sh/request-rotate", "one")
    first = db.secret()["user"]
    eventually(lambda: db.secret()["user"] != first, "rotated", seconds=30)
    known.collect()

    put(db, "chosen", {"password": "correct horse battery staple"})
    db.patch(credentials={"secretRef": {"name": "chosen"}})
    eventually(lambda: "staple" in db.secret()["password"], "taken up", seconds=TAKEN_UP)
    put(db, "wrong-password", {"password": "correct horse battery stapler\n"})
    db.patch(credentials={"secretRef": {"name": "wrong-password"}})
    db.wait_for("Stalled", "True", "SecretInvalid", seconds=TAKEN_UP)
    db.patch(credentials={"secretRef": {"name": "chosen"}})
    wrong = OwnAuthority.make("shop").server("elsewhere.example.com")
    put(db, "wrong-certificate", wrong)
    db.patch(tls={"secretRef": {"name": "wrong-certificate"}})
    db.wait_for("Stalled", "True", "SecretInvalid", seconds=TAKEN_UP)
    known.collect()
    db.patch(tls={"secretRef": None}, credentials={"secretRef": {"name": "chosen"}})
    db.wait_ready(seconds=TAKEN_UP)

    said = db.logs()
    fail(db)
    known.collect()
    return Life(db, known, said)


def fail(db: Db) -> None:
    """A start that ends badly, whose last words are told."""
    db.patch(parameters={"max_locks_per_transaction": "100000"})
    db.wait_for("RestartPending", "True", seconds=30)
    db.annotate("postbase.sh/request-restart", "and fail")
    eventually(lambda: not db.answers(), "it is down", seconds=120)

    def told() -> bool:
        ready = db.condition("Ready")
        return ready is not None and ready["reason"] in ("OutOfMemory", "PostgresFailed")

    eventually(told, "its end is told", seconds=120)


def test_what_is_looked_for_is_known(life: Life) -> None:
    """Else the search below would find nothing for want of anything to find."""
    db, known = life.db, life.known
    names = {where for _, where in known.values}
    for kind, key in (("credentials", "password"), ("credentials", "uri"), ("tls", "tls.key")):
        assert f"{db.name}-{kind}/{key}" in names
    assert f"{db.name}-ca/ca.key" in names
    assert {"chosen/password", "wrong-password/password", "wrong-certificate/tls.key"} <= names
    seen = json.dumps(db.cluster.listed("secrets", db.namespace))
    assert known.told_in(seen)  # they are found where they are


def test_nothing_that_kubectl_shows_holds_a_secret(life: Life) -> None:
    db, known = life.db, life.known
    shown = db.cluster.kubectl("get", SHOWN, "-A", "-o", "json", "--show-managed-fields")
    assert db.name in shown
    assert known.told_in(shown) == []
    assert "PRIVATE KEY" not in shown


def test_no_log_holds_a_secret(life: Life) -> None:
    db = life.db
    said = db.cluster.operator_logs() + life.said

    def shown() -> list[str]:
        """One text, which may be empty: a container that has just begun has said nothing."""
        try:
            return [db.cluster.logs(db.namespace, db.pod, "--all-containers", "--prefix")]
        except KubectlFailed:  # the kubelet is about to start one of them anew
            return []

    said += eventually(shown, "its logs", seconds=60)[0]
    assert "postbase_operator" in said
    assert "starting PostgreSQL" in said
    assert life.known.told_in(said) == []
    assert "PRIVATE KEY" not in said
