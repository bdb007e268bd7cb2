"""How tests reach the API server: as kubectl does, and by the Python client."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from kubernetes.client import ApiClient, CustomObjectsApi

from postbase_operator.api.base import GROUP, VERSION

Body = dict[str, Any]

ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Api:
    """A running API server with our CRDs."""

    kubeconfig: Path
    program: Path
    client: ApiClient

    @property
    def objects(self) -> CustomObjectsApi:
        return CustomObjectsApi(self.client)

    def delete(self, plural: str, namespace: str, name: str) -> Body:
        """One of ours; what the server answers."""
        gone = self.objects.delete_namespaced_custom_object(GROUP, VERSION, namespace, plural, name)
        return cast(Body, gone)

    def kubectl(self, *arguments: str, stdin: str = "") -> str:
        done = self.try_kubectl(*arguments, stdin=stdin)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def try_kubectl(self, *arguments: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [str(self.program), f"--kubeconfig={self.kubeconfig}", *arguments],
            input=stdin,
            capture_output=True,
            text=True,
            check=False,
        )
