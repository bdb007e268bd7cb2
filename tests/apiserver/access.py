"""How tests reach the API server: as kubectl does, and by the Python client."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from pathlib import Path

from kubernetes import client

ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Api:
    """A running API server with our CRDs."""

    kubeconfig: Path
    program: Path
    client: client.ApiClient

    @property
    def objects(self) -> client.CustomObjectsApi:
        return client.CustomObjectsApi(self.client)

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
