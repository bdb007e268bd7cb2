"""What a step of the story is made of: kubectl, psql in a client's pod, and what must be so."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from node.errors import NodeError

ROOT = Path(__file__).resolve().parents[2]
KUBECTL = ROOT / ".cluster" / "bin" / "kubectl"
KUBECONFIG = ROOT / ".cluster" / "kubeconfig"
NAMESPACE = "demo"

RESTORE = """\
apiVersion: postbase.sh/v1alpha1
kind: PitrRestore
metadata: {name: %(name)s}
spec:
  databaseRef: {name: shop-main}
  source: %(source)s
  target: %(target)s
  dryRun: %(dry_run)s
"""

# A client that is told where to go; no right and no privilege of its own.
CLIENT_POD = """\
apiVersion: v1
kind: Pod
metadata: {name: client}
spec:
  terminationGracePeriodSeconds: 0
  automountServiceAccountToken: false
  securityContext: {runAsNonRoot: true, runAsUser: 10001, seccompProfile: {type: RuntimeDefault}}
  containers:
    - name: psql
      image: %(image)s
      command: [sleep, infinity]
      securityContext: {allowPrivilegeEscalation: false, capabilities: {drop: [ALL]}}
"""
# As any application would be one: the Secret in its environment.
CLIENT = (
    CLIENT_POD
    + """\
      env:
%(variables)s
"""
)
STARTED = "SELECT pg_postmaster_start_time()"
NOW = "SELECT to_char(clock_timestamp() AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"')"
VARIABLES = {
    "PGHOST": "host",
    "PGPORT": "port",
    "PGDATABASE": "dbname",
    "PGUSER": "user",
    "PGPASSWORD": "password",
}


def apply(manifest: str) -> None:
    print(manifest, end="")
    kubectl("apply", "-f", "-", stdin=manifest, show=True)


def restore(name: str, source: str, *, dry_run: bool = False, new: str = "") -> None:
    """In place, or into a new Database."""
    target = f"{{newDatabase: {{name: {new}}}}}" if new else "{inPlace: {}}"
    dry = str(dry_run).lower()
    apply(RESTORE % {"name": name, "source": source, "target": target, "dry_run": dry})
    began = time.monotonic()
    kubectl("wait", f"pitrrestore/{name}", "--for=condition=Ready", "--timeout=600s", show=True)
    done = "Planned" if dry_run else "Restored"
    print(f"{done} {time.monotonic() - began:.1f} s after the apply")
    kubectl("get", "pitrrestore", name, show=True)


def run_client(database: str, image: str, tls: str, more: str = "") -> None:
    """A pod that knows this database and no other; the one before it goes.

    `tls`: lines of its environment; `more`: of its container and its spec.
    """
    kubectl("delete", "pod", "client", "--ignore-not-found")
    secret = f"secretKeyRef: {{name: {database}-credentials, key: %s}}"
    lines = [
        f"        - {{name: {name}, valueFrom: {{{secret % key}}}}}"
        for name, key in VARIABLES.items()
    ]
    manifest = CLIENT % {"image": image, "variables": "\n".join(lines)}
    kubectl("apply", "-f", "-", stdin=manifest + tls + more)
    kubectl("wait", "pod/client", "--for=condition=Ready", "--timeout=60s", show=True)


def psql(statement: str) -> str:
    """One statement by the client pod; unaligned rows without headings."""
    print(f"  psql> {statement}")
    answer = ask(statement)
    if answer:
        print(f"        {answer}")
    return answer


def ask(statement: str) -> str:
    """The same, untold."""
    quiet = ("--no-psqlrc", "--quiet", "--tuples-only", "--no-align", "--set=ON_ERROR_STOP=1")
    return kubectl("exec", "client", "--", "psql", *quiet, "--command", statement).strip()


def until(probe: Callable[[], Any], what: str, seconds: float = 240) -> None:
    began = time.monotonic()
    while not probe():
        if time.monotonic() - began > seconds:
            raise NodeError(f"{what}: not so after {seconds:.0f} s")
        time.sleep(2)  # a free plan has sixty requests a minute
    print(f"        {what}, after {time.monotonic() - began:.0f} s")


def expect(what: str, found: str, wanted: str) -> None:
    if found != wanted:
        raise NodeError(f"{what}: expected {wanted!r}, found {found!r}")


def kubectl(
    *words: str, stdin: str | None = None, show: bool = False, namespace: str = NAMESPACE
) -> str:
    return run(
        [str(KUBECTL), "--kubeconfig", str(KUBECONFIG), "--namespace", namespace, *words],
        stdin=stdin,
        show=show,
    )


def run(
    command: list[str],
    *,
    stdin: str | None = None,
    show: bool = False,
    environment: Mapping[str, str] | None = None,
) -> str:
    done = subprocess.run(
        command,
        env=environment,
        input=stdin,
        stdin=None if stdin is not None else subprocess.DEVNULL,
        stdout=None if show else subprocess.PIPE,
        stderr=None if show else subprocess.STDOUT,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        said = (done.stdout or "").strip().splitlines()
        shown = " ".join(command[-6:])
        raise NodeError(f"`… {shown}` ended with {done.returncode}: {' / '.join(said[-3:])}")
    return done.stdout or ""


def tell(step: str) -> None:
    print(f"\n== {step}", flush=True)
