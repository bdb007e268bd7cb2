"""The chart's admission policies on an API server, and attempts to delete what they guard."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import yaml

from apiserver.access import Api
from apiserver.charts import Body, template
from node import waiting

CANARY = "canary"
OPERATOR = "system:serviceaccount:postbase-system:postbase-operator"
KUBE_SYSTEM = "system:serviceaccount:kube-system"
ADMINISTRATOR = ("--as=jane", "--as-group=system:masters")


def policies(values: Body, **where: str) -> list[Body]:
    objects = yaml.safe_load_all(template(values, **where))
    return [o for o in objects if o and o["kind"].startswith("ValidatingAdmissionPolicy")]


def attempt(api: Api, *words: str, user: Sequence[str] = ADMINISTRATOR) -> str:
    """What kubectl says on stderr: nothing where it was allowed."""
    done = subprocess.run(
        [str(api.program), f"--kubeconfig={api.kubeconfig}", *words, *user],
        capture_output=True,
        text=True,
        timeout=150,
        check=False,
    )
    errors = [line for line in done.stderr.splitlines() if not line.startswith("Warning: ")]
    assert bool(errors) == bool(done.returncode), done.stderr
    return "\n".join(errors)


def make(api: Api, namespace: str, *objects: Body) -> None:
    text = yaml.safe_dump_all(objects)
    api.kubectl("apply", f"--namespace={namespace}", "-f", "-", stdin=text)


def database(name: str, *, protected: bool) -> Body:
    return {
        "apiVersion": "postbase.sh/v1alpha1",
        "kind": "Database",
        "metadata": {"name": name},
        "spec": {
            "projectRef": {"name": "shop"},
            "postgresVersion": "17",
            "storage": {"size": "1Gi"},
            "deletionProtection": protected,
        },
    }


OURS = {"app.kubernetes.io/managed-by": "postbase-operator", "postbase.sh/database": "main"}
PROTECTED = {"postbase.sh/protected": "true"}


def claim(name: str, labels: dict[str, str]) -> Body:
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": name, "labels": labels},
        "spec": {
            "accessModes": ["ReadWriteOnce"],
            "resources": {"requests": {"storage": "1Gi"}},
        },
    }


def delete(api: Api, namespace: str, *what: str, user: Sequence[str] = ADMINISTRATOR) -> str:
    return attempt(api, "delete", f"--namespace={namespace}", *what, "--timeout=120s", user=user)


def collection(namespace: str, plural: str, group: str = "api/v1") -> str:
    """The path whose DELETE is deletecollection; kubectl deletes one by one."""
    return f"--raw=/{group}/namespaces/{namespace}/{plural}"


def refuses(api: Api, namespace: str) -> bool:
    """Whether policies are in force there: the API server takes them up within a second."""
    dry = "--dry-run=server"
    told = [
        delete(api, namespace, f"database/{CANARY}", dry),
        delete(api, namespace, f"pvc/{CANARY}", dry),
        delete(api, namespace, f"namespace/{namespace}", dry),
    ]
    return all("ValidatingAdmissionPolicy" in each for each in told)


def canaries(api: Api, namespace: str) -> None:
    """One protected object of each sort, in a namespace that is there already."""
    make(api, namespace, database(CANARY, protected=True), claim(CANARY, OURS | PROTECTED))
    api.kubectl("label", "namespace", namespace, "postbase.sh/protected=true", "--overwrite")


@contextmanager
def in_force(api: Api, objects: Sequence[Body], namespace: str) -> Iterator[None]:
    canaries(api, namespace)
    assert not refuses(api, namespace)
    text = yaml.safe_dump_all(objects)
    api.kubectl("apply", "-f", "-", stdin=text)
    waiting.until(lambda: refuses(api, namespace), "the policies are in force", seconds=30)
    try:
        yield
    finally:
        api.kubectl("delete", "-f", "-", stdin=text)
        waiting.until(lambda: not refuses(api, namespace), "the policies are gone", seconds=30)


def type_checked(api: Api, policy: str) -> list[Body] | None:
    """The API server's warnings about its expressions; None until it has looked."""
    found = json.loads(api.kubectl("get", "validatingadmissionpolicy", policy, "-o", "json"))
    status = found.get("status", {})
    seen = status.get("observedGeneration") == found["metadata"]["generation"]
    if not seen or "typeChecking" not in status:
        return None
    warnings: list[Body] = status["typeChecking"].get("expressionWarnings", [])
    return warnings
