"""The Postbase Cloud API on the node, by a client written from the API page alone: every endpoint,
two tenants, both plans, both shapes of an answer.

Rows are read and written through psql in the database's pod, as whom `/url` says.
"""

from __future__ import annotations

import gzip
import json
import urllib.request
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Any, TypeVar
from urllib.parse import urlsplit

import pytest

from e2e.cloud_client import CODES, JSON, CloudClient, CloudDatabase, CloudError
from e2e.cluster import OPERATOR_NAMESPACE, Cluster, eventually

pytestmark = pytest.mark.timeout(900)

DEPLOYMENT = "deployment/postbase-gateway"
SMALL = {"cpu": 0.25, "memory": 256, "storage": 1}
LOGINS = ("e2e-gateway-pro", "e2e-gateway-free")
ASKED = 16
T = TypeVar("T")


@dataclass(frozen=True)
class Tenant:
    client: CloudClient
    token: str


@pytest.fixture(scope="module")
def base(cluster: Cluster) -> str:
    """Where the Service's address is; the node's host reaches those."""
    if cluster.find("deployment", OPERATOR_NAMESPACE, "postbase-gateway") is None:
        pytest.skip("no gateway is installed: set gateway.enabled in the chart")
    service = cluster.get("service", OPERATOR_NAMESPACE, "postbase-gateway")
    return f"http://{service['spec']['clusterIP']}"


@pytest.fixture(scope="module")
def tenants(cluster: Cluster, base: str) -> Iterator[tuple[Tenant, Tenant]]:
    made = [sign_up(cluster, base, login, plan) for login, plan in zip(LOGINS, PLANS, strict=True)]
    yield made[0], made[1]
    for tenant in made:
        clear(tenant.client)
    for login in LOGINS:
        namespace = account(cluster, login)["status"]["namespace"]
        cluster.kubectl("delete", "account", f"login-{login}", "--ignore-not-found")
        cluster.kubectl("delete", "namespace", namespace, "--timeout=200s", seconds=210)


PLANS = ("Pro", "Free")


def sign_up(cluster: Cluster, base: str, login: str, plan: str) -> Tenant:
    command = ("postbase-operator", "token", "create", "--login", login, "--plan", plan)
    token = cluster.kubectl("exec", f"--namespace={OPERATOR_NAMESPACE}", DEPLOYMENT, "--", *command)
    client = CloudClient(base, token.strip())
    cluster.kubectl(
        "wait", "account", f"login-{login}", "--for=condition=Ready", "--timeout=90s", seconds=100
    )
    return Tenant(client, token.strip())


def account(cluster: Cluster, login: str) -> dict[str, Any]:
    return dict(json.loads(cluster.kubectl("get", "account", f"login-{login}", "-o", "json")))


def clear(client: CloudClient) -> None:
    """Projects with all that is in them; waits until the databases are gone."""
    for project in client.projects():
        clear_project(client, project["id"])


def clear_project(client: CloudClient, id: str) -> None:
    """Or what one replica still takes for one."""

    def databases() -> list[JSON]:
        return found(lambda: client.databases(id)) or []

    for each in databases():
        found(client.on(id, each["name"]).delete)
    gone(lambda: everywhere(lambda: not databases()), "its databases are gone")
    found(lambda: client.delete_project(id))


def gone(probe: Callable[[], bool], what: str) -> None:
    eventually(probe, what, seconds=240, every=2)


def found(ask: Callable[[], T]) -> T | None:
    """The answer; None where what is asked for is not there, or not known yet."""
    try:
        return ask()
    except CloudError as error:
        if not error.code.endswith("_NOT_FOUND"):
            raise
        return None


def everywhere(probe: Callable[[], bool]) -> bool:
    """Asked so often that each replica has been: one may know of a write later than the other."""
    return all(probe() for _ in range(ASKED))


def refused(ask: Callable[[], object]) -> str:
    with pytest.raises(CloudError) as found:
        ask()
    return found.value.code


@pytest.fixture(scope="module")
def pro(tenants: tuple[Tenant, Tenant]) -> CloudClient:
    return tenants[0].client


@pytest.fixture(scope="module")
def free(tenants: tuple[Tenant, Tenant]) -> CloudClient:
    return tenants[1].client


@pytest.fixture(scope="module")
def project(pro: CloudClient) -> str:
    made = str(pro.create_project("myapp")["id"])
    eventually(
        lambda: everywhere(lambda: found(lambda: pro.project(made)) is not None),
        "each replica knows it",
        seconds=30,
    )
    return made


@pytest.fixture(scope="module")
def production(pro: CloudClient, project: str) -> CloudDatabase:
    made = pro.provision(project, "production", "us-west1", SMALL)
    assert made["status"] == "provisioning"
    assert set(made) >= {"id", "name", "railway_service_id", "region", "status", "created_at"}
    database = pro.on(project, "production")

    def runs() -> bool:
        told = found(database.get)
        return told is not None and told["status"] == "running"

    eventually(lambda: everywhere(runs), "it runs", seconds=180, every=1)
    return database


def rows(cluster: Cluster, database: CloudDatabase, statement: str) -> str:
    """As the role, and with the password, that /url tells."""
    told = database.url()
    uri = told["connection_string"]
    parts = urlsplit(uri)
    assert (parts.hostname, parts.port) == (told["host"], told["port"])
    assert parts.path == f"/{told['database']}"
    name, namespace = told["host"].split(".")[:2]
    command = ("psql", uri, "--no-psqlrc", "--tuples-only", "--no-align", "--command", statement)
    return cluster.run_in(namespace, f"{name}-1-0", "postgres", *command).strip()


def download(cluster: Cluster, url: str) -> bytes:
    """As a machine within the cluster would, whose names the node's host does not know; the link is
    signed for the name."""
    parts = urlsplit(url)
    name, namespace = str(parts.hostname).split(".")[:2]
    address = cluster.get("service", namespace, name)["spec"]["clusterIP"]
    located = parts._replace(netloc=parts.netloc.replace(str(parts.hostname), address)).geturl()
    request = urllib.request.Request(located, headers={"Host": parts.netloc})  # noqa: S310
    with urllib.request.urlopen(request, timeout=90) as answer:  # noqa: S310
        return bytes(answer.read())


def is_over(database: CloudDatabase, restore: str) -> bool:
    told = found(lambda: database.restore(restore)) or {"status": ""}
    assert told["status"] != "failed", told
    return bool(told["status"] == "completed")


# -- what needs no database ------------------------------------------------------------------------


def test_health(base: str) -> None:
    with urllib.request.urlopen(f"{base}/", timeout=60) as answer:  # noqa: S310
        told = json.loads(answer.read())
    for shape in (told, told["data"]):
        assert (shape["name"], shape["status"]) == ("Postbase Cloud API", "healthy")


def test_without_a_token(base: str) -> None:
    assert refused(CloudClient(base).projects) == "AUTH_REQUIRED"
    assert refused(CloudClient(base, "pb_" + "x" * 36).me) == "AUTH_REQUIRED"


def test_me(pro: CloudClient) -> None:
    me = pro.me()
    assert set(me) >= {"id", "github_id", "login", "email", "created_at"}
    assert me["login"] == LOGINS[0]


def cluster_without_github(cluster: Cluster) -> bool:
    deployment = cluster.get("deployment", OPERATOR_NAMESPACE, "postbase-gateway")
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    set_up = {each["name"]: each.get("value") for each in container["env"]}
    return not set_up.get("POSTBASE_GATEWAY_GITHUB_CLIENT_ID")


def test_device_flow_answers_as_the_page_says(cluster: Cluster, base: str) -> None:
    """Where GitHub is set up; else it says that it is not."""
    client = CloudClient(base)
    if cluster_without_github(cluster):
        assert refused(client.start_device_flow) == "SERVICE_UNAVAILABLE"
        return
    begun = client.start_device_flow()
    assert set(begun) >= {"device_code", "user_code", "verification_uri", "expires_in", "interval"}
    assert client.poll_for_token(begun["device_code"])["status"] == "pending"


def test_projects(pro: CloudClient) -> None:
    made = pro.create_project("short-lived")

    def told() -> JSON | None:
        return found(lambda: pro.project(made["id"]))

    eventually(lambda: made in pro.projects(), "it is listed", seconds=30)
    eventually(lambda: everywhere(lambda: told() is not None), "it is found", seconds=30)
    assert told() == made
    pro.delete_project(made["id"])
    eventually(lambda: everywhere(lambda: told() is None), "it is gone", seconds=30)
    assert refused(lambda: pro.project(made["id"])) == "PROJECT_NOT_FOUND"


# -- a database, from its making to its end --------------------------------------------------------


def test_the_url_connects(
    cluster: Cluster, pro: CloudClient, project: str, production: CloudDatabase
) -> None:
    eventually(lambda: production.get() in pro.databases(project), "it is listed", seconds=30)
    assert set(production.url()) == {"host", "port", "database", "user", "connection_string"}
    rows(cluster, production, "CREATE TABLE orders (id int PRIMARY KEY, item text)")
    rows(cluster, production, "INSERT INTO orders VALUES (1, 'coffee')")
    assert rows(cluster, production, "SELECT count(*) FROM orders") == "1"


def test_a_backup_is_downloaded_and_restored(cluster: Cluster, production: CloudDatabase) -> None:
    made = production.create_backup()
    assert (made["type"], made["status"]) == ("manual", "pending")
    id = made["id"]

    def done() -> bool:
        told = found(lambda: production.backup(id))
        return told is not None and told["status"] == "completed"

    eventually(lambda: everywhere(done), "it is done", seconds=180, every=1)
    assert production.backup(id) in production.backups()
    link = production.download(id)
    until = datetime.fromisoformat(link["expires_at"])
    assert until > datetime.now(UTC)
    assert gzip.decompress(download(cluster, link["download_url"])).startswith(b"PGDMP")
    rows(cluster, production, "DELETE FROM orders")
    restore = production.restore_backup(id)
    assert set(restore) >= {"restore_id", "status", "started_at"}
    eventually(lambda: is_over(production, restore["restore_id"]), "restored", seconds=240, every=2)
    eventually(
        lambda: production.get()["status"] == "running", "it runs again", seconds=120, every=1
    )
    assert rows(cluster, production, "SELECT item FROM orders") == "coffee"
    production.delete_backup(id)
    eventually(
        lambda: id not in [each["id"] for each in production.backups()], "it goes", seconds=60
    )
    assert refused(lambda: production.backup("bkp_" + "a" * 26)) == "BACKUP_NOT_FOUND"


def test_pitr(cluster: Cluster, production: CloudDatabase) -> None:
    assert production.pitr_config()["enabled"] is False
    for ask in (production.wal, production.recovery_window, production.receiver_status):
        assert refused(ask) == "PITR_NOT_ENABLED"
    assert refused(lambda: production.restore_to("latest")) == "PITR_NOT_ENABLED"
    on = production.enable_pitr(7)
    assert set(on) >= {"enabled", "base_backup_id", "wal_receiver_status"}

    def with_window() -> JSON | None:
        config = production.pitr_config()
        return config if (config["recovery_window"] or {}).get("from") else None

    def receives() -> JSON | None:
        told = production.receiver_status()
        return told if told["status"] == "running" else None

    config = eventually(with_window, "there is a window", seconds=240, every=2)
    assert (config["enabled"], config["retention_days"]) == (True, 7)
    assert config["base_backup_id"].startswith("bkp_")
    receiver = eventually(receives, "it receives", seconds=60)
    assert set(receiver) >= {
        "started_at",
        "last_wal_file",
        "bytes_received",
        "errors",
        "lag_seconds",
    }

    rows(cluster, production, "INSERT INTO orders VALUES (2, 'tea')")
    moment = rows(
        cluster,
        production,
        "SELECT to_char(clock_timestamp() AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"')",
    )
    rows(cluster, production, "DELETE FROM orders")
    told = production.recovery_window()
    assert set(told) == {"from", "to", "base_backup_time", "latest_wal_time"}
    for outside in ("2020-01-01T00:00:00Z", "2099-01-01T00:00:00Z"):
        assert refused(partial(production.restore_to, outside)) == "TARGET_TIME_INVALID"
    restore = production.restore_to(moment)
    assert set(restore) >= {"restore_id", "target_time", "status", "started_at"}
    id = restore["restore_id"]
    eventually(lambda: is_over(production, id), "restored", seconds=300, every=2)
    eventually(lambda: production.get()["status"] == "running", "it runs", seconds=120, every=1)
    # As the URL says after the restore, and with the password of then.
    assert rows(cluster, production, "SELECT count(*) FROM orders") == "2"
    done = next(each for each in production.restores() if each["id"] == id)
    assert set(done) >= {
        "id",
        "target_time",
        "status",
        "wal_files_applied",
        "started_at",
        "completed_at",
    }
    wal = production.wal()
    assert set(wal) >= {"archives", "total_count", "total_size_bytes"}
    for each in wal["archives"]:
        assert set(each) >= {"filename", "size_bytes", "archived_at"}
    eventually(receives, "it receives", seconds=90)
    production.restart_receiver()
    eventually(receives, "it is back", seconds=60)
    assert production.disable_pitr()["enabled"] is False
    eventually(lambda: production.pitr_config()["enabled"] is False, "it is off", seconds=30)


# -- tenants and plans -----------------------------------------------------------------------------


def test_tenants_do_not_see_each_other(
    free: CloudClient, project: str, production: CloudDatabase
) -> None:
    del production
    assert project not in [each["id"] for each in free.projects()]
    absent = "proj_" + "a" * 26
    for id in (project, absent):
        assert refused(partial(free.project, id)) == "PROJECT_NOT_FOUND"
        assert refused(partial(free.databases, id)) == "PROJECT_NOT_FOUND"
        database = free.on(id, "production")
        for ask in (database.get, database.url, database.backups, database.delete):
            assert refused(ask) == "PROJECT_NOT_FOUND"


def test_the_free_plan_has_its_rate(tenants: tuple[Tenant, Tenant], base: str) -> None:
    """A burst of ten; the other tenant is not touched by it."""
    hasty = CloudClient(base, tenants[1].token, impatient=True)

    def hurry(_: int) -> CloudError | None:
        try:
            hasty.me()
        except CloudError as error:
            return error
        return None

    with ThreadPoolExecutor(
        25
    ) as all_at_once:  # one after the other, a slow machine keeps the rate
        told = [error for error in all_at_once.map(hurry, range(25)) if error is not None]
    assert told
    assert {error.code for error in told} == {"RATE_LIMIT_EXCEEDED"}
    assert told[0].code in CODES
    assert tenants[0].client.me()["login"] == LOGINS[0]


def test_no_token_is_anywhere_in_the_cluster(
    cluster: Cluster, tenants: tuple[Tenant, Tenant]
) -> None:
    objects = cluster.kubectl(
        "get", "accounts,apitokens,events,configmaps,secrets", "--all-namespaces", "-o", "yaml"
    )
    logs = cluster.kubectl(
        "logs",
        f"--namespace={OPERATOR_NAMESPACE}",
        "--selector=app.kubernetes.io/component=gateway",
        "--tail=-1",
    )
    for tenant in tenants:
        assert tenant.token not in objects
        assert tenant.token not in logs


def test_deletion_ends_it(pro: CloudClient, project: str, production: CloudDatabase) -> None:
    """Last: after a last backup of its own."""
    assert refused(lambda: pro.delete_project(project)) == "PROJECT_NOT_EMPTY"
    assert production.delete()["status"] == "deleting"

    gone(lambda: everywhere(lambda: found(production.get) is None), "the database is gone")
    assert refused(production.get) == "DATABASE_NOT_FOUND"
    pro.delete_project(project)
