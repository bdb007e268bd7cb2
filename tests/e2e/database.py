"""One Database as its users see it: applied by kubectl, reached through its Secret over TLS."""

from __future__ import annotations

import base64
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
from psycopg.conninfo import make_conninfo

from e2e.cluster import PATIENCE, Body, Cluster, KubectlFailed, eventually
from postbase_operator.kube import platform
from postbase_operator.kube.kinds import SECRET, Kind

API_VERSION = "postbase.sh/v1alpha1"
Row = tuple[Any, ...]
STARTED = "SELECT pg_postmaster_start_time()"


def resource(kind: Kind) -> str:
    """As kubectl has it, with the group: statefulsets.apps."""
    group, _, _ = kind.api_version.rpartition("/")
    return f"{kind.plural}.{group}".rstrip(".")


CHILDREN = ",".join(resource(kind) for kind in (*platform.CHILDREN, SECRET))
"""All kinds of which a Database has children."""


def project(namespace: str, name: str = "shop") -> Body:
    return {
        "apiVersion": API_VERSION,
        "kind": "Project",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {},
    }


@dataclass(frozen=True)
class Db:
    """A Database by its name; `folder` keeps the certificate that connections verify by."""

    cluster: Cluster
    namespace: str
    name: str
    folder: Path

    # -- the resource ----------------------------------------------------------------------

    def manifest(self, **spec: Any) -> Body:
        """The least that a Database needs, and what the test adds to it."""
        least: Body = {"projectRef": {"name": "shop"}, "storage": {"size": "1Gi"}}
        if "image" not in spec:
            least["postgresVersion"] = "15"
        return {
            "apiVersion": API_VERSION,
            "kind": "Database",
            "metadata": {"name": self.name, "namespace": self.namespace},
            "spec": {**least, **spec},
        }

    def apply(self, **spec: Any) -> None:
        self.cluster.apply(self.manifest(**spec))

    def patch(self, **spec: Any) -> None:
        self.cluster.patch("database", self.namespace, self.name, {"spec": spec})

    def annotate(self, name: str, value: str) -> None:
        patch = {"metadata": {"annotations": {name: value}}}
        self.cluster.patch("database", self.namespace, self.name, patch)

    def live(self) -> Body:
        return self.cluster.get("database", self.namespace, self.name)

    def condition(self, kind: str) -> Body | None:
        """A condition of the newest generation; None where it is not there, or not yet told."""
        live = self.live()
        conditions: Sequence[Body] = live.get("status", {}).get("conditions", [])
        for condition in conditions:
            current = condition.get("observedGeneration") == live["metadata"]["generation"]
            if condition["type"] == kind and current:
                return condition
        return None

    def message(self, kind: str) -> str:
        """Of a condition; "" where it is not there, or not yet told."""
        return str((self.condition(kind) or {}).get("message", ""))

    def wait_for(self, kind: str, status: str, reason: str = "", *, seconds: float = 60) -> Body:
        """Waits for a condition of the newest generation; `reason` "" takes any."""

        def there() -> Body | None:
            found = self.condition(kind)
            if found is None or found["status"] != status:
                return None
            return found if reason in ("", found["reason"]) else None

        try:
            return eventually(there, f"{self.name}: {kind}={status} {reason}", seconds=seconds)
        except AssertionError as error:
            held = self.live().get("status", {}).get("conditions")
            raise AssertionError(f"{error}; its conditions: {held}") from None

    def is_ready(self) -> bool:
        return (self.condition("Ready") or {}).get("status") == "True"

    def wait_ready(self, *, seconds: float = 240) -> None:
        """And clients get there: Ready is told as soon as the pod answers the operator, kube-proxy
        may send others there a moment later."""
        self.wait_for("Ready", "True", seconds=seconds)
        self.wait_answers()

    # -- its children ----------------------------------------------------------------------

    @property
    def pod(self) -> str:
        return f"{self.name}-1-0"

    @property
    def claim(self) -> str:
        return f"{self.name}-1-1"

    @property
    def host(self) -> str:
        return f"{self.name}.{self.namespace}.svc"

    def children(self) -> list[Body]:
        return self.cluster.listed(CHILDREN, self.namespace, f"postbase.sh/database={self.name}")

    def names(self) -> list[str]:
        """kind/name of each child, sorted."""
        return sorted(f"{c['kind']}/{c['metadata']['name']}" for c in self.children())

    def secret(self, kind: str = "credentials") -> dict[str, str]:
        """What a Secret of its own holds; the others are `ca` and `tls`."""
        data = self.cluster.get("secret", self.namespace, f"{self.name}-{kind}")["data"]
        return {key: base64.b64decode(value).decode() for key, value in data.items()}

    def pod_uid(self) -> str:
        found = self.cluster.find("pod", self.namespace, self.pod)
        return "" if found is None else str(found["metadata"]["uid"])

    def logs(self, *flags: str) -> str:
        return self.cluster.logs(self.namespace, self.pod, "--container=postgres", *flags)

    def wait_logged(self, words: str, *, seconds: float = 60) -> None:
        """Until PostgreSQL's log has these words. After a restart the kubelet may for a moment give
        the log of the container before, or none."""

        def logged() -> bool:
            try:
                return words in self.logs()
            except KubectlFailed:
                return False

        eventually(logged, f"the log of {self.pod} has {words!r}", seconds=seconds)

    def run_in(self, *command: str) -> str:
        return self.cluster.run_in(self.namespace, self.pod, "postgres", *command)

    # -- SQL -------------------------------------------------------------------------------

    def address(self) -> str:
        service = self.cluster.get("service", self.namespace, self.name)
        return str(service["spec"]["clusterIP"])

    def authority(self) -> str:
        """A file with the certificate authority of the Secret."""
        file = self.folder / f"{self.namespace}-{self.name}.crt"
        # Never half written: a client in another thread may read it at this moment.
        whole = file.with_suffix(f".{threading.get_ident()}")
        whole.write_text(self.secret()["ca.crt"])
        whole.replace(file)
        return str(file)

    def connect(self, **overrides: str) -> psycopg.Connection[Row]:
        """As an application would, by nothing but the Secret. `overrides` are libpq's words."""
        held = self.secret()
        words: dict[str, str] = {
            **{key: held[key] for key in ("host", "port", "dbname", "user", "password")},
            "hostaddr": self.address(),
            "sslmode": "verify-full",
            "sslrootcert": self.authority(),
            "connect_timeout": f"{5 * PATIENCE:.0f}",
            "gssencmode": "disable",
            **overrides,
        }
        return psycopg.connect(make_conninfo(**words), autocommit=True)

    def rows(self, statement: str) -> list[Row]:
        with self.connect() as connection:
            cursor = connection.execute(statement.encode())
            return cursor.fetchall() if cursor.description else []

    def value(self, statement: str) -> Any:
        return self.rows(statement)[0][0]

    def started_at(self) -> Any:
        """When this postmaster was started: what differs after a restart and after nothing else."""
        return self._reached(STARTED)[0][0]

    def is_restarted(self, started: Any) -> bool:
        """Whether another postmaster answers than the one that was started then."""
        try:
            return bool(self.value(STARTED) != started)
        except psycopg.OperationalError:
            return False

    def wait_restarted(self, started: Any) -> None:
        """Beside other modules as long as a pod's whole grace (300 s), and some for the start: a
        busy containerd 1.6 loses a stop now and then (conftest.remove_namespace)."""
        eventually(lambda: self.is_restarted(started), "restarted", seconds=120)

    def answers(self) -> bool:
        try:
            return bool(self.rows("SELECT 1"))
        except psycopg.OperationalError:
            return False

    def wait_answers(self, *, seconds: float = 90) -> None:
        eventually(self.answers, f"{self.name} answers SQL", seconds=seconds)

    def fill(self, *values: str) -> None:
        """A table `notes` with these rows."""
        self.wait_answers()
        with self.connect() as connection:
            connection.execute("CREATE TABLE IF NOT EXISTS notes (text text PRIMARY KEY)")
            for value in values:
                connection.execute("INSERT INTO notes VALUES (%s)", [value])

    def notes(self) -> list[str]:
        return [row[0] for row in self._reached("SELECT text FROM notes ORDER BY text")]

    def _reached(self, statement: str) -> list[Row]:
        """The nodes' rules may for a moment longer name an address at which nobody is any more,
        beside the one that serves: that one answer came says nothing of the next."""

        def rows() -> tuple[list[Row], ...]:
            try:
                return (self.rows(statement),)
            except psycopg.OperationalError:
                return ()

        return eventually(rows, f"{self.name} answers", seconds=30)[0]

    def restart_pod(self, *flags: str) -> None:
        """Deletes the pod and waits for the next one to answer."""
        before = self.pod_uid()
        self.cluster.delete("pod", self.namespace, self.pod, *flags)
        eventually(lambda: self.pod_uid() not in ("", before), f"a new pod {self.pod}", seconds=60)
        self.wait_known_to_run()

    def wait_known_to_run(self) -> None:
        """PostgreSQL may answer a second before the kubelet has noticed that it runs; until then
        there is no log and no exec."""
        self.wait_answers()
        eventually(self._is_known_to_run, f"{self.pod} running by its status", seconds=30)

    def _is_known_to_run(self) -> bool:
        status = self.cluster.get("pod", self.namespace, self.pod).get("status") or {}
        states = [c["state"] for c in status.get("containerStatuses") or []]
        return bool(states) and all("running" in state for state in states)
