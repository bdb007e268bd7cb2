"""The story on Kubernetes: PostgreSQL is a pod."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from demo.cloud import cloud, github_url
from demo.provider import Provider
from demo.telling import NAMESPACE, kubectl, run, run_client

TLS = """\
        - {name: PGSSLMODE, value: verify-full}
        - {name: PGSSLROOTCERT, value: /credentials/ca.crt}
"""
AUTHORITY = """\
      volumeMounts: [{name: credentials, mountPath: /credentials}]
  volumes:
    - {name: credentials, secret: {secretName: %s-credentials}}
"""


class Kubernetes:
    """Implements provider.Provider."""

    spec = "  storage: {size: 1Gi}\n"
    region = "us-west1"
    over_tls = "over TLS with the server's certificate verified"
    restarts = "The pod is deleted"
    loses = "the pod and its volume are gone for good"
    also: Sequence[Callable[[Provider], None]] = (cloud,)

    @contextmanager
    def ready(self) -> Iterator[None]:
        os.environ.setdefault("GITHUB_URL", github_url())
        run([sys.executable, "-m", "node", "up"], show=True)
        yield

    def client(self, database: str) -> None:
        run_client(database, self.client_image(database, NAMESPACE), TLS, AUTHORITY % database)

    def client_image(self, host: str, namespace: str) -> str:
        """The host is the Service, which has the Database's name."""
        pod = f"{host.partition('.')[0]}-1-0"
        live = json.loads(kubectl("get", "pod", pod, "-o", "json", namespace=namespace))
        return str(next(c["image"] for c in live["spec"]["containers"] if c["name"] == "postgres"))

    def follow(self, database: str) -> None:
        """The address is the Service's, whichever volume PostgreSQL is on."""

    def restart(self, database: str) -> None:
        pod = f"pod/{database}-1-0"
        kubectl("delete", pod, "--wait=true", show=True)
        kubectl("wait", pod, "--for=create", "--timeout=60s")
        kubectl("wait", pod, "--for=condition=Ready", "--timeout=180s", show=True)

    def lose_volume(self, database: str) -> None:
        live = json.loads(kubectl("get", "database", database, "-o", "json"))
        claim = live["status"]["volume"]["claimName"]
        kubectl("delete", "persistentvolumeclaim", claim, "--wait=false", show=True)
        kubectl("delete", "pod", f"{database}-1-0", "--force", "--grace-period=0", show=True)
        kubectl("wait", f"persistentvolumeclaim/{claim}", "--for=delete", "--timeout=120s")

    def told_at_the_end(self) -> str:
        return (
            "It stays up; look around with:\n"
            "  export KUBECONFIG=$PWD/.cluster/kubeconfig PATH=$PWD/.cluster/bin:$PATH\n"
            f"  kubectl -n {NAMESPACE} get postbase,pods,pvc,secrets\n"
            f"  kubectl -n {NAMESPACE} exec -it client -- psql"
        )
