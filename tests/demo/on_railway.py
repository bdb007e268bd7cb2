"""The story on Railway, which is the tests' double of it: its API, the TCP proxies and all that it
deploys are processes of this machine, on the node's side of the bridge.

It ends with the story, and what the story has made there with it.
"""

from __future__ import annotations

import json
import os
import sys
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from demo.beside import beside, is_here
from demo.clearing import clear
from demo.cloud import cloud, github_url
from demo.provider import Provider
from demo.telling import STARTED, ask, kubectl, run, run_client, tell, until
from node import bringup, chart, paths
from node.errors import NodeError
from node.network import ADDRESS

STORE = "postbase-object-store"
POSTGRES_SSL = "ghcr.io/railwayapp-templates/postgres-ssl:15"
"""Whose pg_dump a Job takes. No registry is asked for it here: our own image gets that name."""
TLS = """\
        - {name: PGSSLMODE, value: require}
        - {name: PGCHANNELBINDING, value: require}
"""
SECRET = """\
apiVersion: v1
kind: Secret
metadata: {name: %s, namespace: %s}
stringData: {token: %s}
"""
DELETE_VOLUME = "mutation DeleteVolume($id: String!) { volumeDelete(volumeId: $id) }"
REDEPLOY = (
    "mutation Redeploy($service: String!, $environment: String!) "
    "{ serviceInstanceRedeploy(serviceId: $service, environmentId: $environment) }"
)


class Railway:
    """Implements provider.Provider."""

    region = chart.RAILWAY_REGION
    spec = (
        "  provider: Railway\n"
        f"  region: {chart.RAILWAY_REGION}\n"
        "  storage: {size: 5G}\n"
        "  resources: {cpu: 500m, memory: 512M}\n"
    )
    over_tls = "through the TCP proxy, over TLS that is bound to the password"
    restarts = "Railway deploys the service anew, as it does when it likes"
    loses = "somebody deletes the volume on Railway"
    also: Sequence[Callable[[Provider], None]] = (lambda provider: cloud(provider, stays=False),)

    def __init__(self) -> None:
        self._url = self._account = ""

    @contextmanager
    def ready(self) -> Iterator[None]:
        """The chart is installed twice: the double is told where the cluster's store is, and the
        operator where the double is."""
        if not is_here():
            raise NodeError("PROVIDER=railway needs CLUSTER=node: no other reaches the double")
        os.environ["CLUSTER"] = "node"
        os.environ.setdefault("GITHUB_URL", github_url())
        run([sys.executable, "-m", "node", "up"], show=True)
        _name_postgres()
        tell("Railway, which is the tests' double of it, as a process beside the cluster")
        with beside("railway", ADDRESS) as line:
            told = json.loads(line)
            self._url, self._account = told["url"], told["account"]
            print(f"        {self._url}")
            named = (chart.RAILWAY_SECRET, chart.NAMESPACE, told["token"])
            kubectl("apply", "-f", "-", stdin=SECRET % named, namespace=chart.NAMESPACE)
            _install(RAILWAY_URL=self._url, PUBLIC_STORE_URL=_store())
            try:
                yield
            finally:
                tell("All that was made on Railway goes, and the double with it")
                clear()
                _clear_tenants()
                _install()
                secret = ("delete", "secret", chart.RAILWAY_SECRET, "--ignore-not-found")
                kubectl(*secret, namespace=chart.NAMESPACE)

    def client(self, database: str) -> None:
        run_client(database, _postgres_image(), TLS)

    def client_image(self, *_: str) -> str:
        return _postgres_image()

    def follow(self, database: str) -> None:
        """It is another service, with a proxy of its own: the Secret has the new address."""
        self.client(database)

    def restart(self, database: str) -> None:
        before = ask(STARTED)
        self._redeploy(database)

        def came_back() -> bool:
            """No answer while nothing listens behind the proxy."""
            try:
                return ask(STARTED) != before
            except NodeError:
                return False

        until(came_back, "PostgreSQL has come back")

    def lose_volume(self, database: str) -> None:
        """What runs keeps what it has mounted until it is deployed anew."""
        parts = _parts(database)
        self._ask(DELETE_VOLUME, id=parts["volumeId"])
        self._redeploy(database)
        kubectl("wait", f"database/{database}", "--for=condition=Stalled", "--timeout=120s")
        said = '{.status.conditions[?(@.type=="Stalled")].message}'
        print(f"        {kubectl('get', 'database', database, '-o', f'jsonpath={said}')}")

    def told_at_the_end(self) -> str:
        return "The cluster stays up, and serves Databases on Kubernetes."

    def _redeploy(self, database: str) -> None:
        parts = _parts(database)
        where = {"service": parts["serviceId"], "environment": parts["environmentId"]}
        self._ask(REDEPLOY, **where)

    def _ask(self, document: str, **variables: str) -> None:
        """As somebody before Railway's pages: not the operator."""
        print(f"  railway> {document}")
        request = urllib.request.Request(  # noqa: S310 - of the double
            f"{self._url}?source=demo",
            json.dumps({"query": document, "variables": variables}).encode(),
            {"Content-Type": "application/json", "Authorization": f"Bearer {self._account}"},
        )
        with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310
            body = json.loads(answer.read())
        if body.get("errors"):
            raise NodeError(f"Railway refuses: {body['errors'][0]['message']}")


def _name_postgres() -> None:
    ctr = [str(paths.BIN / "ctr"), "--address", str(bringup.NODE.socket), "--namespace", "k8s.io"]
    run([*ctr, "images", "tag", "--force", _postgres_image(), POSTGRES_SSL])


def _clear_tenants() -> None:
    """What the REST API has made there, where the story ended before it was deleted by it."""
    found = json.loads(kubectl("get", "databases", "--all-namespaces", "-o", "json"))["items"]
    for each in found:
        if each["spec"].get("provider") == "Railway":
            name, where = f"database/{each['metadata']['name']}", each["metadata"]["namespace"]
            given_up = '{"spec": {"deletionPolicy": "Delete"}}'
            kubectl("patch", name, "--type=merge", f"--patch={given_up}", namespace=where)
            kubectl("delete", name, "--ignore-not-found", "--timeout=120s", namespace=where)


def _install(**told: str) -> None:
    """The chart, with what is told of Railway; with nothing, as it was."""
    environment = {**os.environ, **told}
    run([sys.executable, "-m", "node", "install"], show=True, environment=environment)


def _store() -> str:
    """An address of the cluster's store that pods reach, and processes of this machine."""
    service = json.loads(kubectl("get", "service", STORE, "-o", "json", namespace=chart.NAMESPACE))
    return f"http://{service['spec']['clusterIP']}"


def _postgres_image() -> str:
    return str(json.loads(paths.IMAGES.read_text())["postgres"]["15"])


def _parts(database: str) -> dict[str, str]:
    live = json.loads(kubectl("get", "database", database, "-o", "json"))
    return dict(live["status"]["railway"])
