"""`helm test`: the resource types are served as this release has them, and its operator works.

Standard library only, so that it runs in any image of ours.
"""

from __future__ import annotations

import http.client
import json
import os
import ssl
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
API_VERSION = "postbase.sh/v1alpha1"
OPERATOR = "app.kubernetes.io/name=postbase,app.kubernetes.io/component=operator"
NAMESPACE = os.environ["NAMESPACE"]
REPLICAS = int(os.environ["REPLICAS"])
PATIENCE_SECONDS = 20
"""A killed leader is followed within some twelve: whatever lasts longer is out of order."""


class Failed(Exception):
    """What is not as it should be, in a sentence."""


def ask(link: http.client.HTTPConnection, path: str, body: object = None) -> tuple[int, str]:
    """Code and text of the answer, also of a refusal."""
    headers = {"Content-Type": "application/json"}
    if isinstance(link, http.client.HTTPSConnection):
        headers["Authorization"] = f"Bearer {(ACCOUNT / 'token').read_text()}"
    method, data = ("GET", None) if body is None else ("POST", json.dumps(body))
    try:
        link.request(method, path, data, headers)
        answer = link.getresponse()
        return answer.status, answer.read().decode()
    except (OSError, http.client.HTTPException) as error:
        raise Failed(f"{link.host}:{link.port}{path} does not answer: {error}") from error
    finally:
        link.close()


def api(path: str, body: object = None) -> tuple[int, dict[str, Any]]:
    trust = ssl.create_default_context(cafile=str(ACCOUNT / "ca.crt"))
    host, port = os.environ["KUBERNETES_SERVICE_HOST"], os.environ["KUBERNETES_SERVICE_PORT"]
    code, text = ask(
        http.client.HTTPSConnection(host, int(port), timeout=5, context=trust), path, body
    )
    return code, json.loads(text)


def dry_run(kind: str, spec: object) -> tuple[int, str]:
    path = f"/apis/{API_VERSION}/namespaces/{NAMESPACE}/{kind.lower()}s"
    metadata = {"name": "postbase-release-test"}
    body = {"apiVersion": API_VERSION, "kind": kind, "metadata": metadata, "spec": spec}
    code, answer = api(f"{path}?dryRun=All&fieldValidation=Strict", body)
    return code, str(answer.get("message", ""))


def check_types() -> str:
    """A Project and a Database, not kept; and a Database that must be refused."""
    unsized = {"projectRef": {"name": "shop"}, "postgresVersion": "17"}
    least = {**unsized, "storage": {"size": "1Gi"}}
    for kind, spec in (("Project", {}), ("Database", least)):
        code, message = dry_run(kind, spec)
        if code != 201:
            raise Failed(f"a {kind} is not taken: {code} {message}")
    code, message = dry_run("Database", {**unsized, "storage": {"size": "a lot"}})
    if code != 422:
        raise Failed(f"a Database of the size 'a lot' is not refused: {code} {message}")
    return "a Project and a Database are taken, and a wrong size is refused"


def check_operator() -> str:
    """Every replica is ready by its own word, and one of them leads."""
    query = f"labelSelector={OPERATOR}&fieldSelector=status.phase=Running"
    code, answer = api(f"/api/v1/namespaces/{NAMESPACE}/pods?{query}")
    if code != 200:
        raise Failed(f"the pods cannot be listed: {code} {answer.get('message')}")
    pods = [pod for pod in answer["items"] if "deletionTimestamp" not in pod["metadata"]]
    if len(pods) != REPLICAS:
        raise Failed(f"{len(pods)} pods of the operator run, not {REPLICAS}")
    leaders = 0
    for pod in pods:
        link = http.client.HTTPConnection(pod["status"]["podIP"], 8080, timeout=5)
        code, text = ask(link, "/readyz")
        if code != 200:
            raise Failed(f"{pod['metadata']['name']} is not ready: {text}")
        leaders += "\npostbase_leader 1.0\n" in ask(link, "/metrics")[1]
    if leaders != 1:
        raise Failed(f"{leaders} of {len(pods)} replicas lead, not one")
    return f"{len(pods)} replicas are ready, and one of them leads"


def passes(check: Callable[[], str], deadline: float) -> bool:
    while True:
        try:
            print(f"ok: {check()}", flush=True)
            return True
        except Failed as error:
            if time.monotonic() > deadline:
                print(f"failed: {error}", flush=True)
                return False
        time.sleep(1)


if __name__ == "__main__":
    deadline = time.monotonic() + PATIENCE_SECONDS
    sys.exit(0 if all(passes(check, deadline) for check in (check_types, check_operator)) else 1)
