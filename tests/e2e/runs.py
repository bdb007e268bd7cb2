"""Backups and restores as their users see them: applied by kubectl, told by their status."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from e2e.cluster import Body, eventually
from e2e.database import API_VERSION, Db

FINAL = ("Completed", "Failed")


@dataclass(frozen=True)
class Run:
    """A Backup or a PitrRestore of a Database."""

    db: Db
    kind: str
    name: str
    spec: Body

    def apply(self) -> Run:
        metadata = {"name": self.name, "namespace": self.db.namespace}
        spec = {"databaseRef": {"name": self.db.name}, **self.spec}
        body = {"apiVersion": API_VERSION, "kind": self.kind, "metadata": metadata, "spec": spec}
        self.db.cluster.apply(body)
        return self

    def delete(self, *flags: str) -> None:
        self.db.cluster.delete(self.kind, self.db.namespace, self.name, *flags)

    def patch(self, **spec: Any) -> None:
        self.db.cluster.patch(self.kind, self.db.namespace, self.name, {"spec": spec})

    def live(self) -> Body:
        return self.db.cluster.get(self.kind, self.db.namespace, self.name)

    @property
    def uid(self) -> str:
        return str(self.live()["metadata"]["uid"])

    def status(self) -> Body:
        found: Body = self.live().get("status") or {}
        return found

    def is_completed(self) -> bool:
        return bool(self.status().get("phase") == "Completed")

    def ready(self) -> Body:
        """The condition Ready; empty where there is none yet."""
        conditions: list[Body] = self.status().get("conditions") or []
        return next((each for each in conditions if each["type"] == "Ready"), {})

    def wait_for(self, reason: str, *, seconds: float = 60, every: float = 0.3) -> Body:
        """Waits for a reason of Ready; answers the condition."""

        def told() -> Body | None:
            found = self.ready()
            return found if found.get("reason") == reason else None

        return eventually(told, f"{self.name}: {reason}", seconds=seconds, every=every)

    def wait(self, phase: str = "Completed", *, seconds: float = 150) -> Body:
        """Waits until it has ended, and that is so; answers the status."""

        def ended() -> Body | None:
            found = self.status()
            return found if found.get("phase") in FINAL else None

        try:
            status = eventually(ended, f"{self.name} has ended", seconds=seconds)
        except AssertionError as error:
            raise AssertionError(f"{error}; its status: {self.status()}") from None
        assert status["phase"] == phase, status
        return status

    def wait_remembered(self) -> None:
        """Until the Database knows that it was done: from then on it is not run again."""

        def remembered() -> bool:
            runs = self.db.live()["status"].get("finishedRuns") or []
            return self.name in [each["name"] for each in runs]

        eventually(remembered, f"{self.name} is remembered", seconds=60)

    def jobs(self) -> list[Body]:
        """Those that were made for this very object, not for one of its name before it."""
        mark = self.uid[:8]
        listed = self.db.cluster.listed("jobs", self.db.namespace)
        return [each for each in listed if mark in each["metadata"]["name"].split("-")]

    def pod(self) -> Body | None:
        """The pod of its last attempt."""
        names = sorted(each["metadata"]["name"] for each in self.jobs())
        if not names:
            return None
        label = f"batch.kubernetes.io/job-name={names[-1]}"
        return next(iter(self.db.cluster.listed("pods", self.db.namespace, label)), None)


def backup(db: Db, name: str, method: str = "Physical", **spec: Any) -> Run:
    return Run(db, "Backup", name, {"method": method, **spec})


def restore(db: Db, name: str, source: Body, target: Body | None = None, **spec: Any) -> Run:
    """In place where no target is said; source and target as the spec has them."""
    return Run(
        db,
        "PitrRestore",
        name,
        {"source": source, "target": target or {"inPlace": {}}, **spec},
    )


def of(taken: Run) -> Body:
    """The source that is this Backup."""
    return {"backupRef": {"name": taken.name}}


PREVIOUS: Body = {"previous": {}}


@contextmanager
def dump_held(db: Db) -> Iterator[None]:
    """A dump that begins meanwhile waits in its middle: it has read the roles, and no row."""
    with db.connect() as connection, connection.transaction():
        connection.execute("LOCK TABLE notes IN ACCESS EXCLUSIVE MODE")
        yield


def wait_dump_held(db: Db) -> None:
    waits = "SELECT 1 FROM pg_locks WHERE NOT granted AND relation = 'notes'::regclass"
    eventually(lambda: db.rows(waits), "the dump waits", seconds=60)


@dataclass(frozen=True)
class Process:
    """One of a pod, on the node of `make up`."""

    id: int
    words: tuple[str, ...]
    environment: str


def processes(pod_uid: str) -> Iterator[Process]:
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if pod_uid not in (folder / "cgroup").read_text():
                continue
            words = (folder / "cmdline").read_bytes().decode().split("\0")
            environment = (folder / "environ").read_bytes().decode(errors="replace")
        except (FileNotFoundError, ProcessLookupError):
            continue
        yield Process(int(folder.name), tuple(words), environment)
