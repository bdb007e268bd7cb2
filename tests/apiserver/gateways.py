"""A gateway as it is deployed: a process of its own with the chart's rights and no others, beside
an operator that serves Accounts, on an API server with its controllers. No kubelet: what the
operator would say of a Database is said by the test.
"""

from __future__ import annotations

import base64
import http.client
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import UUID

import yaml

from apiserver.access import ROOT, Api
from apiserver.charts import GATEWAY, rendered
from apiserver.own_plane import child
from apiserver.test_operator_rights import OPERATOR_NAMESPACE, api_server
from node import ports, waiting

Body = dict[str, Any]
REGIONS = "us-west1,eu-west1"
IDLE = 10.0
"""Seconds for which a connection is kept unused."""


@dataclass(frozen=True)
class Answer:
    status: int
    headers: Mapping[str, str]
    raw: bytes

    @property
    def json(self) -> Body:
        parsed: Body = json.loads(self.raw)
        return parsed

    @property
    def data(self) -> Body:
        assert self.json["success"] is True, self.json
        found: Body = self.json["data"]
        return found

    @property
    def code(self) -> str:
        assert self.json["success"] is False, self.json
        return str(self.json["error"]["code"])


@dataclass
class Client:
    """One caller of one replica, over a connection that is kept."""

    port: int
    token: str = ""
    _link: http.client.HTTPConnection | None = None
    _used: float = 0.0

    def ask(self, method: str, path: str, body: Any = None, **headers: str) -> Answer:
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        raw = body if isinstance(body, bytes | None) else json.dumps(body).encode()
        if raw is not None:
            sent.setdefault("Content-Type", "application/json")
        if self.token:
            sent.setdefault("Authorization", f"Bearer {self.token}")
        if time.monotonic() - self._used > IDLE:
            self.close()  # before the gateway does
        self._used = time.monotonic()
        if self._link is None:
            self._link = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        try:
            self._link.request(method, path, raw, sent)
            got = self._link.getresponse()
            answer = Answer(got.status, dict(got.headers), got.read())
        except (OSError, http.client.HTTPException):
            self.close()
            raise
        if got.will_close:
            self.close()
        return answer

    def get(self, path: str, **headers: str) -> Answer:
        return self.ask("GET", path, **headers)

    def post(self, path: str, body: Any = None, **headers: str) -> Answer:
        return self.ask("POST", path, body, **headers)

    def delete(self, path: str) -> Answer:
        return self.ask("DELETE", path)

    def close(self) -> None:
        if self._link is not None:
            self._link.close()
            self._link = None


@dataclass
class Replica:
    port: int
    internal_port: int
    log: Path
    process: subprocess.Popen[bytes]

    def is_ready(self) -> bool:
        link = http.client.HTTPConnection("127.0.0.1", self.internal_port, timeout=5)
        try:
            link.request("GET", "/readyz")
            return link.getresponse().status == 200
        except OSError:
            return False
        finally:
            link.close()


@dataclass
class GatewayWorld:
    api: Api
    folder: Path
    replicas: list[Replica] = field(default_factory=list)
    _clients: dict[tuple[int, str], Client] = field(default_factory=dict)
    _running: ExitStack = field(default_factory=ExitStack)

    def client(self, token: str = "", replica: int = 0) -> Client:
        """The same one for the same token: its connection is kept until the end."""
        port = self.replicas[replica].port
        if (port, token) not in self._clients:
            made = self._clients[port, token] = Client(port, token)
            self._running.callback(made.close)
        return self._clients[port, token]

    def callback(self, then: Callable[[], None]) -> None:
        """Is called at the end."""
        self._running.callback(then)

    def start(self, **settings: str) -> Replica:
        """One more replica, ready."""
        port, internal = ports.free(), ports.free()
        log = self.folder / f"gateway-{len(self.replicas)}.log"
        environment = {
            "POSTBASE_GATEWAY_PORT": str(port),
            "POSTBASE_GATEWAY_INTERNAL_PORT": str(internal),
            "POSTBASE_GATEWAY_REGIONS": REGIONS,
            "POSTBASE_GATEWAY_POSTGRES_VERSION": "15",
            **{f"POSTBASE_GATEWAY_{name.upper()}": value for name, value in settings.items()},
        }
        process = self._running.enter_context(self._process("gateway", log, environment))
        replica = Replica(port, internal, log, process)
        self.replicas.append(replica)
        waiting.until(
            lambda: replica.is_ready() or process.poll() is not None, "it is ready", seconds=90
        )
        assert process.poll() is None, log.read_text()
        return replica

    def operate(self) -> None:
        """An operator that serves Accounts, and Databases of its own namespace only."""
        environment = {
            "POSTBASE_SIDECAR_IMAGE": "postbase:1",
            "POSTBASE_WATCH_NAMESPACES": OPERATOR_NAMESPACE,
            "POSTBASE_GATEWAY_ACCOUNT": "postbase-gateway",
            "POSTBASE_HEALTH_PORT": str(ports.free()),
        }
        log = self.folder / "operator.log"
        self._running.enter_context(self._process("operator", log, environment))

    @contextmanager
    def _process(
        self, role: str, log: Path, environment: dict[str, str]
    ) -> Iterator[subprocess.Popen[bytes]]:
        argv: list[str | Path] = [sys.executable, "-m", "postbase_operator", role]
        with child(argv, log, **self._environment(role), **environment) as process:
            yield process

    def _environment(self, role: str) -> dict[str, str]:
        return {
            "PATH": os.environ["PATH"],
            "PYTHONPATH": str(ROOT / "operator"),
            "KUBECONFIG": str(self.kubeconfig(f"postbase-{role}")),
        }

    def kubeconfig(self, account: str) -> Path:
        """The administrator's, with the account's token in place of his certificate."""
        file = self.folder / f"{account}.kubeconfig"
        if not file.exists():
            words = ("create", "token", account, f"--namespace={OPERATOR_NAMESPACE}")
            body = yaml.safe_load(self.api.kubeconfig.read_text())
            body["users"][0]["user"] = {"token": self.api.kubectl(*words).strip()}
            file.touch(mode=0o600)
            file.write_text(yaml.safe_dump(body))
        return file

    def token(self, login: str, plan: str = "Free", *words: str) -> str:
        """By the command that administrators use, with the gateway's rights."""
        made = self.command("token", "create", "--login", login, "--plan", plan, *words).strip()
        # Its quota counts once the controllers know our kinds: they look every half minute.
        account = f"account/login-{login}"
        self.api.kubectl("wait", account, "--for=condition=Ready", "--timeout=180s")
        return made

    def command(self, *words: str) -> str:
        done = subprocess.run(
            [sys.executable, "-m", "postbase_operator", *words],
            env=self._environment("gateway"),
            check=False,
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    # -- what the operator would say ---------------------------------------------------------------

    def find(self, kind: str, public: str) -> Body:
        """The object behind an id."""
        listed = json.loads(self.api.kubectl("get", kind, "--all-namespaces", "-o", "json"))
        uid = uuid_of(public)
        (found,) = [each for each in listed["items"] if each["metadata"]["uid"] == uid]
        return dict(found)

    def say(self, kind: str, public: str, **status: Any) -> Body:
        """Sets fields of its status; answers the object."""
        body = self.find(kind, public)
        meta = body["metadata"]
        words = ("patch", kind, meta["name"], f"--namespace={meta['namespace']}")
        patch = json.dumps({"status": status})
        self.api.kubectl(*words, "--subresource=status", "--type=merge", f"--patch={patch}")
        return body

    def run(self, database: str, **status: Any) -> Body:
        """The Database with this id serves."""
        name = self.find("databases", database)["metadata"]["name"]
        secret = {"credentialsSecretRef": {"name": f"{name}-credentials"}}
        return self.say("databases", database, phase="Running", **{**secret, **status})

    def secret(self, namespace: str, name: str, data: Mapping[str, str]) -> None:
        body = {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": name, "namespace": namespace},
            "stringData": dict(data),
        }
        self.api.kubectl("apply", "-f", "-", stdin=json.dumps(body))


def uuid_of(public: str) -> str:
    body = public.partition("_")[2].upper()
    return str(UUID(bytes=base64.b32decode(body + "=" * 6)))


@contextmanager
def gateway_world(folder: Path) -> Iterator[GatewayWorld]:
    with api_server(folder / "plane") as api:
        objects = [
            each
            for each in rendered(GATEWAY)
            if each["kind"] in ("ServiceAccount", "ClusterRole", "Role")
            or "roleRef" in each
            or "-plans.postbase.sh" in each["metadata"]["name"]
        ]
        api.kubectl("apply", "-f", "-", stdin=yaml.safe_dump_all(objects))
        world = GatewayWorld(api, folder)
        with world._running:
            world.operate()
            yield world
