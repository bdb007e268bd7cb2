"""Plain HTTP requests to the double of Railway, with the documents that stand beside it."""

from __future__ import annotations

import json
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import psycopg

from component.patience import Patience
from railway.clock import RealClock, VirtualClock
from railway.double import RailwayDouble
from railway.postgres_ssl import MOUNT, NAME
from railway.schema import documents

PASSWORD = "correct horse battery staple"
VARIABLES = {
    "POSTBASE_OWNER": "uid-1",
    "PGDATA": f"{MOUNT}/pgdata",
    "POSTGRES_USER": "postgres",
    "POSTGRES_DB": "railway",
    "POSTGRES_PASSWORD": PASSWORD,
}
PATIENCE = 60.0
EVERY = 0.05


class Failed(Exception):
    """All messages of an answer's errors."""


@dataclass(frozen=True)
class Received:
    status: int
    headers: dict[str, str]
    text: str

    @property
    def body(self) -> Any:
        return json.loads(self.text)


@dataclass
class Caller:
    double: RailwayDouble
    token: str
    header: str = "Authorization"
    source: str = "?source=postbase"

    def send(self, document: str, variables: dict[str, Any] | None = None) -> Received:
        value = f"Bearer {self.token}" if self.header == "Authorization" else self.token
        request = urllib.request.Request(  # noqa: S310 - of the double
            self.double.url + self.source,
            json.dumps({"query": document, "variables": variables or {}}).encode(),
            {"Content-Type": "application/json", self.header: value},
        )
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310
                return Received(answer.status, dict(answer.headers), answer.read().decode())
        except urllib.error.HTTPError as error:
            with error:
                return Received(error.code, dict(error.headers), error.read().decode())

    def __call__(self, operation: str, **variables: Any) -> Any:
        """The value of the one root field, or of all."""
        answer = self.send(documents()[operation], variables)
        while answer.status == 429 and isinstance(self.double.clock, RealClock):
            time.sleep(float(answer.headers["Retry-After"]))  # a test may ask as fast as it can
            answer = self.send(documents()[operation], variables)
        body = answer.body
        if body.get("errors"):
            raise Failed("; ".join(each["message"] for each in body["errors"]))
        data = body["data"]
        return next(iter(data.values())) if len(data) == 1 else data


@dataclass
class Place:
    """A project, its environment, and a service with a volume, made as the notes have it."""

    call: Caller
    name: str = "shop-main"
    variables: dict[str, str] = field(default_factory=lambda: dict(VARIABLES))
    image: str = f"{NAME}:17"
    mount: str = MOUNT

    def __post_init__(self) -> None:
        given = {"name": "team", "workspaceId": self.call.double.workspace_id}
        project = self.call("CreateProject", input=given | {"prDeploys": False})
        self.project, self.environment = project["id"], project["primaryEnvironmentId"]
        self.service = self.volume = ""

    @property
    def where(self) -> dict[str, str]:
        return {"serviceId": self.service, "environmentId": self.environment}

    @property
    def here(self) -> dict[str, str]:
        return {"projectId": self.project, "environmentId": self.environment}

    def make_service(self, name: str | None = None, **more: Any) -> str:
        given = self.here | {"name": name or self.name, "variables": self.variables}
        made = self.call("CreateService", input=given | more)
        return str(made["id"])

    def make_volume(self, **more: Any) -> str:
        given = self.here | {"serviceId": self.service, "mountPath": self.mount} | more
        return str(self.call("CreateVolume", input=given)["id"])

    def configure(self, **more: Any) -> None:
        given = {"source": {"image": self.image}} | more
        self.call("UpdateServiceInstance", **self.where, input=given)

    def commit(self, patch: dict[str, Any]) -> str:
        return str(self.call("CommitPatch", environmentId=self.environment, patch=patch))

    def commit_proxy(self) -> None:
        self.commit({"services": {self.service: {"networking": {"tcpProxies": {"5432": {}}}}}})

    def made(self) -> Place:
        """Service, image, volume; not deployed."""
        self.service = self.make_service()
        self.configure()
        self.volume = self.make_volume()
        return self

    def deployed(self) -> Place:
        self.made()
        self.commit_proxy()
        self.wait(lambda: self.latest() and self.latest()["status"] == "SUCCESS", "a deployment")
        return self

    def deploy(self) -> str:
        made = str(self.call("Deploy", **self.where))
        self.wait(lambda: self.deployment(made)["status"] == "SUCCESS", "the deployment")
        return made

    def deployment(self, deployment_id: str) -> Any:
        return self.call("DeploymentState", id=deployment_id)

    def latest(self) -> Any:
        return self.call("CurrentDeployment", **self.where)["latestDeployment"]

    def instances(self, kind: str = "volumeInstances") -> list[Any]:
        state = self.call(
            "EnvironmentState", environmentId=self.environment, projectId=self.project
        )
        return [edge["node"] for edge in state[kind]["edges"]]

    def patches(self) -> list[Any]:
        edges = self.call("RecentPatches", environmentId=self.environment)["edges"]
        return [edge["node"] for edge in edges]

    def proxy(self) -> Any:
        rows = self.call("ReadTcpProxies", **self.where)
        return next((row for row in rows if row["deletedAt"] is None), None)

    def conninfo(self, **more: str) -> str:
        proxy = self.proxy()
        given = {
            "host": proxy["domain"].rstrip("."),
            "port": str(proxy["proxyPort"]),
            "user": "postgres",
            "password": PASSWORD,
            "dbname": "railway",
            "sslmode": "require",
            "connect_timeout": "60",
        }
        return psycopg.conninfo.make_conninfo(**(given | more))

    def sql(self, query: str, **more: str) -> list[tuple[Any, ...]]:
        with psycopg.connect(self.conninfo(**more), autocommit=True) as connection:
            cursor = connection.execute(query)
            return cursor.fetchall() if cursor.description else []

    def answers(self) -> bool:
        try:
            return self.sql("SELECT 1") == [(1,)]
        except psycopg.OperationalError:
            return False

    def log(self, deployment_id: str | None = None) -> str:
        which = deployment_id or self.latest()["id"]
        lines = self.call("DeploymentLogs", deploymentId=which)
        return "\n".join(line["message"] for line in lines)

    def wait(self, condition: Callable[[], object], what: str = "SQL") -> None:
        waiting = Patience(PATIENCE, EVERY)
        while not condition():
            assert not waiting.is_over(), f"not within {PATIENCE:.0f} s: {what}"
            if isinstance(self.call.double.clock, VirtualClock):
                self.call.double.advance(0.5)
            else:
                time.sleep(EVERY)
