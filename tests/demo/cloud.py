"""The same by the REST API: a login by GitHub's device flow, a database, its URL, a backup that is
downloaded, and any second. Each request is curl's, and printed.

GitHub is a scripted one on this machine's side of the bridge; where pods cannot reach it (kind, a
context) the token is made by an administrator's command instead.
"""

from __future__ import annotations

import gzip
import json
import subprocess
import time
from collections.abc import Callable
from functools import partial
from ipaddress import ip_address
from typing import Any
from urllib.parse import urlsplit

from demo.beside import beside, is_here
from demo.provider import Provider
from demo.telling import CLIENT_POD, NOW, ROOT, expect, kubectl, tell, until
from node.errors import NodeError
from node.network import ADDRESS

GITHUB_PORT = 8899
SYSTEM = "postbase-system"
CURL = ROOT / ".cluster" / "bin" / "curl"
LOGIN = "octocat"
"""Whom the scripted GitHub signs in."""
COUNT = "SELECT count(*) FROM orders"


def github_url() -> str:
    """Of the one that is scripted; "" where pods could not reach it."""
    return f"http://{ADDRESS}:{GITHUB_PORT}" if is_here() else ""


def cloud(provider: Provider, *, stays: bool = True) -> None:
    """`stays`: what it makes can be looked at afterwards."""
    service = kubectl("get", "service", "postbase-gateway", "-o", "json", namespace=SYSTEM)
    api = Api(f"postbase-gateway.{SYSTEM}.svc", json.loads(service)["spec"]["clusterIP"])
    tell("The same by the REST API: a login")
    if github_url():
        with beside("component.fake_github", str(GITHUB_PORT), ADDRESS):
            api.token = login(api)
    else:
        api.token = by_command()
    me = api("GET", "/auth/me")
    print(f"        {me['login']}, plan {me['plan']}")
    namespace = wait_for_namespace(str(me["login"]))
    clear(api)

    tell("A project and a database")
    api("POST", "/projects", {"name": "myapp"})
    config = {"cpu": 0.25, "memory": 256, "storage": 1}
    asked = {"name": "production", "region": provider.region, "config": config}
    api("POST", "/projects/myapp/databases", asked)
    database = "/projects/myapp/databases/production"
    until(lambda: api("GET", database, quiet=True)["status"] == "running", "it runs")

    tell("psql by what /url says")
    client = partial(by_url, api, database, namespace, provider)
    psql = client()
    psql("CREATE TABLE orders (id int PRIMARY KEY, item text)")
    psql("INSERT INTO orders VALUES (1, 'coffee'), (2, 'tea')")

    tell("A backup, and its download")
    backup = api("POST", f"{database}/backups")["id"]
    path = f"{database}/backups/{backup}"
    until(lambda: api("GET", path, quiet=True)["status"] == "completed", "the backup is done")
    dump = api.download(str(api("GET", f"{path}/download")["download_url"]))
    expect("the download", gzip.decompress(dump)[:5].decode(), "PGDMP")
    print(f"        {len(dump)} bytes of a dump for pg_restore")

    any_second(api, database, client)
    if not stays:
        tell("It is deleted, after a last backup")
        clear(api)


def any_second(api: Api, database: str, client: Callable[[], Callable[[str], str]]) -> None:
    tell("Every second from now on; a mistake; and back to before it")
    api("POST", f"{database}/pitr/enable", {"retention_days": 7})
    until(
        lambda: (api("GET", f"{database}/pitr/config", quiet=True)["recovery_window"] or {}).get(
            "from"
        ),
        "there is a recovery window",
    )
    psql = client()
    moment = psql(NOW)
    psql("DELETE FROM orders")
    api("GET", f"{database}/pitr/recovery-window")
    asked = api("POST", f"{database}/pitr/restore", {"target_time": moment})
    path = f"{database}/pitr/restores"

    def is_over() -> bool:
        (found,) = [
            r for r in api("GET", path, quiet=True)["restores"] if r["id"] == asked["restore_id"]
        ]
        if found["status"] == "failed":
            raise NodeError(f"the restore failed: {found}")
        return bool(found["status"] == "completed")

    until(is_over, "it is restored", 600)
    until(lambda: api("GET", database, quiet=True)["status"] == "running", "it runs")
    expect("the rows", client()(COUNT), "2")


class Api:
    """The gateway by curl, which is told the token on its standard input: nobody else sees it."""

    def __init__(self, host: str, address: str) -> None:
        self._host, self._address = host, address
        self.token = ""

    def __call__(self, method: str, path: str, body: Any = None, *, quiet: bool = False) -> Any:
        words = ["-X", method] if method != "GET" else []
        words += ["-H", "Content-Type: application/json", "-d", json.dumps(body)] if body else []
        if not quiet:
            told = " ".join(f"'{w}'" if " " in w or "{" in w else w for w in words)
            auth = '-H "$AUTH" ' if self.token else ""
            print(f"  $ curl {auth}{told}{' ' if told else ''}$API{path}", flush=True)
        answer = json.loads(self._run(*words, f"http://{self._host}{path}"))
        if not answer["success"]:
            raise NodeError(f"{method} {path}: {answer['error']}")
        if not quiet:
            print(f"        {json.dumps(shown(answer['data']))[:300]}")
        return answer["data"]

    def download(self, link: str) -> bytes:
        """A presigned link opens by itself; names of Services mean nothing outside the cluster."""
        host, found = str(urlsplit(link).hostname), list[str]()
        if not is_address(host):
            name, namespace = host.split(".")[:2]
            service = json.loads(kubectl("get", "service", name, "-o", "json", namespace=namespace))
            parts = urlsplit(link)
            port = parts.port or {"http": 80, "https": 443}[parts.scheme]
            found = ["--resolve", f"{host}:{port}:{service['spec']['clusterIP']}"]
        print("  $ curl $DOWNLOAD_URL")
        command = [str(CURL), "--silent", "--show-error", "--fail", *found, link]
        return self._done(command, "")

    def _run(self, *words: str) -> bytes:
        resolve = f"{self._host}:80:{self._address}"
        config = f'header = "Authorization: Bearer {self.token}"\n' if self.token else ""
        command = [str(CURL), "--silent", "--show-error", "--resolve", resolve, "--config", "-"]
        return self._done([*command, *words], config)

    def _done(self, command: list[str], given: str) -> bytes:
        done = subprocess.run(command, input=given.encode(), capture_output=True, check=False)
        if done.returncode != 0:
            raise NodeError(f"curl ended with {done.returncode}: {done.stderr.decode().strip()}")
        return done.stdout


def is_address(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True


def shown(data: Any) -> Any:
    """Without what opens a door."""
    if not isinstance(data, dict):
        return data
    secret = ("access_token", "device_code", "connection_string", "download_url")
    return {key: "…" if key in secret else value for key, value in data.items()}


def login(api: Api) -> str:
    """As a command-line client does it: shows the code, and asks until somebody has entered it."""
    begun = api("POST", "/auth/device")
    print(f"        open {begun['verification_uri']} and enter {begun['user_code']}")
    asked = {"device_code": begun["device_code"]}
    while True:
        time.sleep(begun["interval"])  # the protocol's own pace (RFC 8628 §3.5)
        told = api("POST", "/auth/device/token", asked)
        if "access_token" in told:
            return str(told["access_token"])


def by_command() -> str:
    words = ("postbase-operator", "token", "create", "--login", LOGIN, "--plan", "Pro")
    print(f"  $ kubectl exec deploy/postbase-gateway -- {' '.join(words)}")
    where = ("exec", "deploy/postbase-gateway", "--")
    return kubectl(*where, *words, namespace=SYSTEM).strip()


def wait_for_namespace(login: str) -> str:
    """The account's own."""
    found: list[str] = []

    def ready() -> bool:
        accounts = json.loads(kubectl("get", "accounts", "-o", "json"))["items"]
        mine = [each for each in accounts if each["spec"].get("login") == login]
        found[:] = [each.get("status", {}).get("namespace", "") for each in mine]
        return any(found)

    until(ready, "the account has its namespace")
    return next(filter(None, found))


def clear(api: Api) -> None:
    """What the last demo made goes, its archive too."""
    projects = [each["name"] for each in api("GET", "/projects", quiet=True)["projects"]]
    if "myapp" not in projects:
        return
    path = "/projects/myapp/databases"

    def left() -> list[str]:
        return [each["name"] for each in api("GET", path, quiet=True)["databases"]]

    for name in left():
        api("DELETE", f"{path}/{name}")
    until(lambda: not left(), "the former databases are gone, each after a last backup")
    api("DELETE", "/projects/myapp")


def by_url(api: Api, database: str, namespace: str, provider: Provider) -> Callable[[str], str]:
    """psql in a pod that knows nothing but the connection string."""
    uri = str(api("GET", f"{database}/url")["connection_string"])
    image = provider.client_image(str(urlsplit(uri).hostname), namespace)
    kubectl("delete", "pod", "client", "--ignore-not-found", namespace=namespace)
    kubectl("apply", "-f", "-", stdin=CLIENT_POD % {"image": image}, namespace=namespace)
    kubectl("wait", "pod/client", "--for=condition=Ready", "--timeout=60s", namespace=namespace)

    def psql(statement: str) -> str:
        print(f'  $ psql "$URL" -c "{statement}"')
        words = ("--no-psqlrc", "--quiet", "--tuples-only", "--no-align", "--command", statement)
        script = ("sh", "-c", 'read -r uri && exec psql "$uri" "$@"', "psql", *words)
        answer = kubectl(
            "exec", "-i", "client", "--", *script, stdin=f"{uri}\n", namespace=namespace
        ).strip()
        if answer:
            print(f"        {answer}")
        return answer

    return psql
