"""An application's pod, with nothing but the Secret: psql finds the name, and proves the server.

In the cluster and by DNS, as applications are; the other tests come from outside, by address.
"""

from __future__ import annotations

from typing import Any

import pytest

from e2e.cluster import Body, eventually
from e2e.database import Db

pytestmark = pytest.mark.timeout(900)

KEYS = {
    "PGHOST": "host",
    "PGPORT": "port",
    "PGDATABASE": "dbname",
    "PGUSER": "user",
    "PGPASSWORD": "password",
}
QUERY = "SELECT ssl, version, current_user FROM pg_stat_ssl WHERE pid = pg_backend_pid()"


def pod(db: Db, name: str, authority: str) -> Body:
    """psql of the database's own image; `authority` is the file that it trusts."""
    secret = f"{db.name}-credentials"
    environment: list[dict[str, Any]] = [
        {"name": name, "valueFrom": {"secretKeyRef": {"name": secret, "key": key}}}
        for name, key in KEYS.items()
    ]
    environment += [
        {"name": "PGSSLMODE", "value": "verify-full"},
        {"name": "PGSSLROOTCERT", "value": authority},
        {"name": "PGCONNECT_TIMEOUT", "value": "30"},
    ]
    server = db.cluster.get("pod", db.namespace, db.pod)["spec"]["containers"][0]
    container = {
        "name": "psql",
        "image": server["image"],
        "command": ["psql", "--no-psqlrc", "--tuples-only", "--no-align", f"--command={QUERY}"],
        "env": environment,
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "runAsNonRoot": True,
            "runAsUser": 999,
            "capabilities": {"drop": ["ALL"]},
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "volumeMounts": [
            {"name": "secret", "mountPath": "/secret"},
            {"name": "another", "mountPath": "/another"},
        ],
    }
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": db.namespace},
        "spec": {
            "restartPolicy": "Never",
            "containers": [container],
            "volumes": [
                {"name": "secret", "secret": {"secretName": secret}},
                {"name": "another", "configMap": {"name": "kube-root-ca.crt"}},
            ],
        },
    }


def run(db: Db, name: str, authority: str) -> tuple[str, str]:
    """How the pod ended, and what psql said."""
    db.cluster.apply(pod(db, name, authority))

    def phase() -> str:
        found = str(db.cluster.get("pod", db.namespace, name)["status"]["phase"])
        return found if found in ("Succeeded", "Failed") else ""

    return eventually(phase, f"pod {name} has ended", seconds=60), db.cluster.logs(
        db.namespace, name
    )


def test_psql_proves_the_server_by_the_authority_of_the_secret(db: Db) -> None:
    ended, said = run(db, "trusting", "/secret/ca.crt")
    assert ended == "Succeeded", said
    assert said.strip() == "t|TLSv1.3|app"


def test_psql_with_another_authority_refuses_the_server(db: Db) -> None:
    ended, said = run(db, "distrusting", "/another/ca.crt")
    assert ended == "Failed", said
    assert "certificate verify failed" in said
