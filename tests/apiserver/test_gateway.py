"""The REST API against a real API server, as a client meets it: every endpoint, tenants, plans."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta, timezone
from functools import partial
from urllib.request import urlopen

import pytest

from apiserver.gateways import Answer, Client, GatewayWorld, gateway_world
from component.store_server import StoreServer, store_of, store_server
from node import waiting
from postbase_operator.api.account import Plan
from postbase_operator.api.plan_limits import LIMITS

# The first account waits for controllers that look for new kinds every half minute.
pytestmark = pytest.mark.timeout(300)
ABSENT = {"project": "proj_" + "a" * 26, "database": "db_" + "a" * 26, "backup": "bkp_" + "a" * 26}
NOW = datetime.now(UTC).replace(microsecond=0)


def iso(at: datetime) -> str:
    return at.isoformat().replace("+00:00", "Z")


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GatewayWorld]:
    with gateway_world(tmp_path_factory.mktemp("gateway")) as world:
        world.start()
        yield world


@pytest.fixture(scope="module")
def jane(world: GatewayWorld) -> Client:
    return world.client(world.token("jane", "Pro"))


@pytest.fixture(scope="module")
def joe(world: GatewayWorld) -> Client:
    return world.client(world.token("joe", "Free"))


@pytest.fixture(scope="module")
def shop(jane: Client) -> str:
    """A project's path."""
    made = jane.post("/projects", {"name": "shop"})
    return f"/projects/{made.data['id']}"


@pytest.fixture(scope="module")
def database(jane: Client, shop: str) -> str:
    """A database's id; the path to it is `main`."""
    made = jane.post(f"{shop}/databases", {"name": "main", "region": "us-west1"})
    assert made.status == 201, made.json
    return str(made.data["id"])


@pytest.fixture
def main(world: GatewayWorld, shop: str, database: str) -> str:
    """The path of one that runs, without PITR."""
    world.run(database)
    return f"{shop}/databases/main"


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StoreServer]:
    with store_server(tmp_path_factory.mktemp("s3")) as server:
        yield server


def soon(client: Client, path: str, **wanted: object) -> Answer:
    """Once the watch has shown what the test said in the operator's place."""

    def shown() -> Answer | None:
        answer = client.get(path)
        is_so = answer.status == 200 and answer.data.items() >= wanted.items()
        return answer if is_so else None

    return waiting.until(shown, f"{path} shows {wanted}", seconds=30)


# -- who asks ------------------------------------------------------------------------------------


def test_health_is_open_and_says_what_the_page_says(world: GatewayWorld) -> None:
    answer = world.client().get("/")
    assert answer.status == 200
    assert answer.data["name"] == answer.json["name"] == "Postbase Cloud API"
    assert answer.json["status"] == "healthy"


def test_me(jane: Client, joe: Client) -> None:
    me = jane.get("/auth/me")
    assert me.headers["Cache-Control"] == "no-store"
    assert (me.data["login"], me.data["plan"], me.data["github_id"]) == ("jane", "pro", None)
    assert joe.get("/v1/auth/me/").data["plan"] == "free"


@pytest.mark.parametrize(
    "authorization",
    ["", "Bearer", "Bearer pb_short", "Basic abc", "Bearer pb_" + "a" * 36],
    ids=["none", "no token", "no token's shape", "not Bearer", "wrong checksum"],
)
def test_without_a_token_nothing_is_answered(world: GatewayWorld, authorization: str) -> None:
    answer = world.client().get("/projects", Authorization=authorization)
    assert (answer.status, answer.code) == (401, "AUTH_REQUIRED")
    assert answer.headers["WWW-Authenticate"] == "Bearer"


def test_tokens_are_listed_and_revoked(world: GatewayWorld, joe: Client) -> None:
    other = world.client(world.token("joe", "Free", "--name", "ci", "--scope", "read"))
    assert other.get("/projects").status == 200
    refused = other.post("/projects", {"name": "forbidden"})
    assert (refused.status, refused.code) == (403, "INSUFFICIENT_SCOPE")
    listed = joe.get("/auth/tokens").data["tokens"]
    (ci,) = [each for each in listed if each["name"] == "ci"]
    assert (ci["scopes"], ci["current"]) == (["read"], False)
    assert [each["current"] for each in listed].count(True) == 1
    assert joe.delete(f"/auth/tokens/{ci['id']}").data == {"id": ci["id"], "deleted": True}
    assert joe.delete(f"/auth/tokens/{ci['id']}").code == "TOKEN_NOT_FOUND"
    assert other.get("/projects").code == "AUTH_REQUIRED"


def test_this_token_can_be_taken_back(world: GatewayWorld) -> None:
    client = world.client(world.token("jim", "Pro"))
    assert client.delete("/auth/token").data["deleted"] is True
    assert client.get("/auth/me").status == 401


def test_an_expired_token_is_none(world: GatewayWorld) -> None:
    client = world.client(world.token("jane", "Pro", "--expires-in", "3s"))
    waiting.until(lambda: client.get("/auth/me").status == 401, "it is refused", seconds=30)


def test_no_token_is_in_any_object_or_log(world: GatewayWorld, jane: Client) -> None:
    everything = world.api.kubectl("get", "accounts,apitokens", "-A", "-o", "yaml")
    assert jane.token not in everything
    assert jane.token not in world.replicas[0].log.read_text()


def test_the_commands_list_and_revoke(world: GatewayWorld) -> None:
    token = world.token("jack", "Free", "--name", "laptop")
    listed = world.command("token", "list", "--login", "jack").splitlines()
    assert len(listed) == 2
    assert token not in listed[1]
    world.command("token", "revoke", listed[1].split("\t")[0])
    assert len(world.command("token", "list", "--login", "jack").splitlines()) == 1


# -- projects ------------------------------------------------------------------------------------


def test_project_life(jane: Client) -> None:
    made = jane.post("/projects", {"name": "my-app"})
    assert made.status == 201
    assert made.headers["Location"] == f"/projects/{made.data['id']}"
    assert set(made.data) == {"id", "name", "created_at"}
    assert made.data in jane.get("/projects").data["projects"]
    assert jane.get("/projects/my-app").data == jane.get(f"/projects/{made.data['id']}").data
    again = jane.post("/projects", {"name": "my-app"})
    assert (again.status, again.code) == (409, "CONFLICT")
    assert jane.delete("/projects/my-app").data == {"id": made.data["id"], "status": "deleting"}
    assert jane.get("/projects/my-app").code == "PROJECT_NOT_FOUND"
    assert jane.delete("/projects/my-app").code == "PROJECT_NOT_FOUND"


def test_a_deleted_project_is_gone_while_its_finalizer_is_still_there(
    world: GatewayWorld, jane: Client
) -> None:
    """The operator takes it off once it has seen that no database is left."""
    made = jane.post("/projects", {"name": "held"}).data
    meta = world.find("projects", made["id"])["metadata"]
    where = ("patch", "project", meta["name"], f"--namespace={meta['namespace']}", "--type=merge")
    world.api.kubectl(*where, "-p", '{"metadata": {"finalizers": ["postbase.sh/test"]}}')
    assert jane.delete("/projects/held").data["status"] == "deleting"
    assert world.find("projects", made["id"])["metadata"]["deletionTimestamp"]
    gone = lambda: jane.get("/projects/held").code == "PROJECT_NOT_FOUND"  # noqa: E731
    waiting.until(gone, "the watch shows that it goes", seconds=30)
    assert made not in jane.get("/projects").data["projects"]
    world.api.kubectl(*where, "-p", '{"metadata": {"finalizers": null}}')


def test_the_same_key_makes_one(jane: Client) -> None:
    first = jane.post("/projects", {"name": "once"}, Idempotency_Key="key-1")
    again = jane.post("/projects", {"name": "once"}, Idempotency_Key="key-1")
    assert (first.status, again.status) == (201, 201)
    assert first.data == again.data
    other = jane.post("/projects", {"name": "twice"}, Idempotency_Key="key-1")
    assert (other.status, other.code) == (422, "IDEMPOTENCY_KEY_REUSED")
    assert jane.post("/projects", {"name": "once"}, Idempotency_Key="key-2").code == "CONFLICT"


@pytest.mark.parametrize(
    "name", ["My App", "123app", "my_app", "ab", "a" * 51, "app-", "", 7, None]
)
def test_names_are_checked(jane: Client, name: object) -> None:
    answer = jane.post("/projects", {"name": name})
    assert (answer.status, answer.code) == (400, "INVALID_REQUEST")


def test_pages(jane: Client) -> None:
    for number in range(5):
        jane.post("/projects", {"name": f"page-{number}"})
    whole = [each["id"] for each in jane.get("/projects").data["projects"]]
    found: list[str] = []
    cursor = ""
    while True:
        page = jane.get(f"/projects?limit=2{cursor}").data
        found += [each["id"] for each in page["projects"]]
        if page["next_cursor"] is None:
            break
        cursor = f"&cursor={page['next_cursor']}"
    assert found == whole
    assert jane.get("/projects?cursor=nonsense").status == 400


def test_what_is_kept_in_git_is_not_changed_here(world: GatewayWorld, jane: Client) -> None:
    namespace = world.find("projects", jane.post("/projects", {"name": "seen"}).data["id"])[
        "metadata"
    ]["namespace"]
    flux = {"kustomize.toolkit.fluxcd.io/name": "apps"}
    project = {
        "apiVersion": "postbase.sh/v1alpha1",
        "kind": "Project",
        "metadata": {"name": "from-git", "namespace": namespace, "labels": flux},
        "spec": {},
    }
    world.api.kubectl("apply", "-f", "-", stdin=json.dumps(project))
    assert soon(jane, "/projects/from-git", name="from-git").status == 200
    refused = jane.delete("/projects/from-git")
    assert (refused.status, refused.code) == (409, "MANAGED_EXTERNALLY")


# -- databases -----------------------------------------------------------------------------------


def test_database_life(world: GatewayWorld, jane: Client, shop: str) -> None:
    config = {"cpu": 2, "memory": 4096, "storage": 50}
    body = {"name": "production", "region": "us-west1", "config": config, "unknown": 1}
    made = jane.post(f"{shop}/databases", body)
    assert made.status == 201
    assert made.data["status"] == "provisioning"
    assert made.data["railway_service_id"] is None
    assert made.data["config"] == config
    path = f"{shop}/databases/production"
    assert jane.get(path).data == made.data
    assert made.data in jane.get(f"{shop}/databases").data["databases"]
    assert jane.get(f"{path}/url").code == "DATABASE_NOT_READY"
    spec = world.find("databases", made.data["id"])["spec"]
    assert (spec["deletionPolicy"], spec["bootstrap"]) == ("FinalBackup", {"empty": {}})
    assert jane.delete(shop).code == "PROJECT_NOT_EMPTY"
    gone = jane.delete(path)
    assert (gone.status, gone.data) == (202, {"id": made.data["id"], "status": "deleting"})
    assert jane.get(path).code == "DATABASE_NOT_FOUND"


def test_a_name_comes_again_as_another_object(world: GatewayWorld, jane: Client, shop: str) -> None:
    """The volume and the backups of the former are still there, by its name."""
    made = jane.post(f"{shop}/databases", {"name": "phoenix"}).data
    old = world.find("databases", made["id"])["metadata"]
    backup = {
        "apiVersion": "postbase.sh/v1alpha1",
        "kind": "Backup",
        "metadata": {"name": "last", "namespace": old["namespace"]},
        "spec": {"databaseRef": {"name": old["name"]}},
    }
    world.api.kubectl("apply", "-f", "-", stdin=json.dumps(backup))
    path = f"{shop}/databases/phoenix"
    waiting.until(
        lambda: jane.get(f"{path}/backups").data["backups"], "the watch shows it", seconds=30
    )
    jane.delete(path)
    again = jane.post(f"{shop}/databases", {"name": "phoenix"})
    assert again.status == 201, again.json
    assert world.find("databases", again.data["id"])["metadata"]["name"] != old["name"]
    assert jane.get(f"{path}/backups").data["backups"] == []


def test_regions(jane: Client, shop: str) -> None:
    names = [each["name"] for each in jane.get("/regions").data["regions"]]
    assert names == ["us-west1", "eu-west1"]
    assert jane.post(f"{shop}/databases", {"name": "far", "region": "mars1"}).status == 400
    made = jane.post(f"{shop}/databases", {"name": "near"})
    assert made.data["region"] == "us-west1"


def test_the_url_is_what_the_secret_says_now(
    world: GatewayWorld, jane: Client, main: str, database: str
) -> None:
    meta = world.find("databases", database)["metadata"]
    login = {
        "host": "db.svc",
        "port": "5432",
        "dbname": "app",
        "user": "app_a",
        "password": "p@ss/word",
    }
    world.secret(meta["namespace"], f"{meta['name']}-credentials", login)
    url = soon(jane, f"{main}/url", user="app_a")
    assert url.headers["Cache-Control"] == "no-store"
    assert url.data == {
        "host": "db.svc",
        "port": 5432,
        "database": "app",
        "user": "app_a",
        "connection_string": "postgresql://app_a:p%40ss%2Fword@db.svc:5432/app?sslmode=require",
    }
    rotated = {**login, "user": "app_b", "password": "other"}
    world.secret(meta["namespace"], f"{meta['name']}-credentials", rotated)
    assert "app_b:other@" in jane.get(f"{main}/url").data["connection_string"]
    assert "other" not in world.replicas[0].log.read_text()


def test_change_rotation_events_metrics(
    world: GatewayWorld, jane: Client, main: str, database: str
) -> None:
    bigger = {"config": {"memory": 1024, "storage": 20}, "parameters": {"work_mem": "8MB"}}
    changed = jane.ask("PATCH", main, bigger)
    assert changed.status == 200, changed.json
    assert changed.data["config"] == {"cpu": 1.0, "memory": 1024, "storage": 20}
    assert jane.ask("PATCH", main, {"config": {"storage": 1}}).code == "CONFLICT"
    spec = world.find("databases", database)["spec"]
    assert spec["parameters"] == {"work_mem": "8MB"}
    rotation = jane.post(f"{main}/credentials/rotate", X_Request_Id="rotate-it-now")
    assert (rotation.status, rotation.data["request_id"]) == (202, "rotate-it-now")
    notes = world.find("databases", database)["metadata"]["annotations"]
    assert notes["postbase.sh/request-rotate"] == "rotate-it-now"
    assert jane.get(f"{main}/events").data == {"events": []}
    assert jane.get(f"{main}/metrics").data["lag_seconds"] is None


def test_plans(joe: Client) -> None:
    """Free: three databases a project, and its sizes and days."""
    joe.post("/projects", {"name": "small"})
    path = "/projects/small/databases"
    too_big = joe.post(path, {"name": "big", "config": {"memory": 8192}})
    assert (too_big.status, too_big.code) == (403, "PLAN_LIMIT_EXCEEDED")
    made = [joe.post(path, {"name": f"number-{n}"}).status for n in range(3)]
    assert made == [201, 201, 201]
    fourth = joe.post(path, {"name": "number-4"})
    assert (fourth.status, fourth.code) == (403, "PLAN_LIMIT_EXCEEDED")
    days = joe.post(f"{path}/number-0/pitr/enable", {"retention_days": 14})
    assert (days.status, days.code) == (403, "PLAN_LIMIT_EXCEEDED")


@pytest.mark.parametrize(
    ("login", "field", "days", "may"),
    [
        ("joe", "backup", LIMITS[Plan.FREE].backup_days, True),
        ("joe", "backup", LIMITS[Plan.FREE].backup_days + 1, False),
        ("joe", "pitr", LIMITS[Plan.FREE].pitr_days, True),
        ("joe", "pitr", LIMITS[Plan.FREE].pitr_days + 1, False),
        ("jane", "backup", LIMITS[Plan.PRO].backup_days, True),
        ("jane", "backup", LIMITS[Plan.PRO].backup_days + 1, False),
        ("jane", "pitr", LIMITS[Plan.PRO].pitr_days + 1, False),
    ],
)
def test_plans_hold_for_kubectl_too(
    world: GatewayWorld, jane: Client, joe: Client, login: str, field: str, days: int, may: bool
) -> None:
    """What the chart's policy says is what the gateway says."""
    account = world.api.kubectl("get", f"account/login-{login}", "-o", "json")
    manifest = {
        "apiVersion": "postbase.sh/v1alpha1",
        "kind": "Database",
        "metadata": {"name": "by-hand", "namespace": json.loads(account)["status"]["namespace"]},
        "spec": {
            "projectRef": {"name": "shop"},
            "postgresVersion": "15",
            "storage": {"size": "1Gi"},
            **{"backup": {"retentionDays": 1}, field: {"retentionDays": days}},
        },
    }
    words = ("apply", "--dry-run=server", "-f", "-")
    told = world.api.try_kubectl(*words, stdin=json.dumps(manifest))
    assert (told.returncode == 0) is may, told.stderr
    assert may or f"{field}.retentionDays may be at most" in told.stderr


# -- backups and restores --------------------------------------------------------------------------


def test_backup_life(
    world: GatewayWorld, jane: Client, main: str, database: str, store: StoreServer
) -> None:
    soon(jane, main, status="running")
    made = jane.post(f"{main}/backups")
    assert made.status == 201, made.json
    backup = made.data
    assert (backup["type"], backup["status"], backup["size_bytes"]) == ("manual", "pending", None)
    path = f"{main}/backups/{backup['id']}"
    assert jane.get(path).data == backup
    assert jane.get(f"{main}/backups").data["backups"][0] == backup
    assert jane.get(f"{path}/download").code == "BACKUP_NOT_READY"
    assert jane.post(f"{path}/restore").code == "BACKUP_NOT_READY"

    config = store.config
    key = "postbase-backups/dump.gz"
    store_of(config).put(key, b"a dump")
    meta = world.find("databases", database)["metadata"]
    told = {"bucket": config.bucket, "endpoint": config.endpoint, "pathStyle": True}
    keys = {
        "store.json": json.dumps(told),
        "AWS_ACCESS_KEY_ID": config.access_key_id,
        "AWS_SECRET_ACCESS_KEY": config.secret_access_key,
    }
    world.secret(meta["namespace"], f"{meta['name']}-store", keys)
    done = {"phase": "Completed", "sizeBytes": 6, "completedAt": iso(NOW)}
    world.say("backups", backup["id"], objectKey=key, **done)
    soon(jane, path, status="completed", size_bytes=6)
    link = jane.get(f"{path}/download")
    assert link.headers["Cache-Control"] == "no-store"
    until = datetime.fromisoformat(link.data["expires_at"]) - datetime.now(UTC)
    assert timedelta(minutes=58) < until <= timedelta(hours=1)
    with urlopen(link.data["download_url"], timeout=10) as download:  # noqa: S310 - http
        assert download.read() == b"a dump"
    assert "X-Amz-Signature" not in world.replicas[0].log.read_text()

    restore = jane.post(f"{path}/restore", Idempotency_Key="restore-1")
    assert restore.status == 202, restore.json
    assert restore.data["status"] == "pending"
    assert jane.post(f"{path}/restore", Idempotency_Key="restore-1").data == restore.data
    assert jane.post(f"{path}/restore").code == "OPERATION_IN_PROGRESS"
    assert jane.post(f"{main}/backups").code == "OPERATION_IN_PROGRESS"
    assert jane.delete(path).code == "BACKUP_IN_USE"
    place = f"{main}/pitr/restores/{restore.data['restore_id']}"
    assert jane.get(place).data["type"] == "backup"
    assert jane.get(f"{main}/pitr/restores").data["restores"] == []
    assert len(jane.get(f"{main}/restores").data["restores"]) == 1
    world.say("pitrrestores", restore.data["restore_id"], phase="Completed")
    soon(jane, place, status="completed")
    assert jane.delete(path).data == {"id": backup["id"], "status": "deleting"}
    assert jane.get(path).code == "BACKUP_NOT_FOUND"


def test_backup_days_are_the_plans(jane: Client, main: str) -> None:
    soon(jane, main, status="running")
    assert jane.post(f"{main}/backups", {"retention_days": 31}).code == "PLAN_LIMIT_EXCEEDED"
    assert jane.post(f"{main}/backups", {"retention_days": "2"}).status == 400


# -- point-in-time recovery ------------------------------------------------------------------------


def test_pitr(world: GatewayWorld, jane: Client, main: str, database: str) -> None:
    soon(jane, main, status="running")
    pitr = f"{main}/pitr"
    assert jane.get(f"{pitr}/config").data == {
        "enabled": False,
        "base_backup_id": None,
        "retention_days": None,
        "recovery_window": None,
    }
    for method, path in (
        ("GET", "wal"),
        ("GET", "recovery-window"),
        ("GET", "receiver-status"),
        ("POST", "restart-receiver"),
    ):
        refused = jane.ask(method, f"{pitr}/{path}")
        assert (refused.status, refused.code) == (409, "PITR_NOT_ENABLED"), path
    assert jane.post(f"{pitr}/restore", {"target_time": "latest"}).code == "PITR_NOT_ENABLED"
    on = jane.post(f"{pitr}/enable", {"retention_days": 14})
    assert (on.status, on.data["wal_receiver_status"]) == (202, "starting")
    assert jane.post(f"{pitr}/enable").status == 202
    assert jane.get(f"{pitr}/config").data["retention_days"] == 7
    early = jane.post(f"{pitr}/restore", {"target_time": iso(NOW)})
    assert (early.status, early.code) == (422, "TARGET_TIME_INVALID")

    begin = NOW - timedelta(days=1)
    receiver = {
        "state": "Running",
        "startedAt": iso(begin),
        "bytesReceived": 42 << 24,
        "segmentsArchived": 42,
        "errors": 0,
        "lagSeconds": 0.5,
        "lastWALFile": "000000010000000000000042",
    }
    status = {
        "receiver": receiver,
        "recoveryWindow": {"from": iso(begin), "to": iso(NOW)},
        "baseBackupTime": iso(begin),
        "latestWALTime": iso(NOW),
        "observedAt": iso(NOW),
    }
    world.run(database, pitr=status)
    window = soon(jane, f"{pitr}/recovery-window", **{"from": iso(begin)}).data
    assert window["to"] == window["latest_wal_time"] == iso(NOW)
    told = jane.get(f"{pitr}/receiver-status").data
    assert (told["status"], told["bytes_received"], told["live"]) == ("running", 704643072, False)
    assert jane.get(f"{pitr}/wal").data["total_count"] == 42
    unreachable = jane.post(f"{pitr}/restart-receiver")
    assert (unreachable.status, unreachable.code) == (503, "SERVICE_UNAVAILABLE")
    for moment in (begin - timedelta(seconds=1), NOW + timedelta(days=1)):
        assert jane.post(f"{pitr}/restore", {"target_time": iso(moment)}).status == 422
    for wrong in (
        "2026-01-25T14:30:00",
        "yesterday",
        "2026-13-01T00:00:00Z",
        "2026-02-30T00:00:00Z",
        "",
    ):
        assert jane.post(f"{pitr}/restore", {"target_time": wrong}).status == 400, wrong
    dry = jane.post(f"{pitr}/restore", {"target_time": "latest", "dry_run": True})
    assert (dry.status, dry.data["target_time"]) == (202, "latest")
    offset = (NOW - timedelta(hours=1)).astimezone(timezone(timedelta(hours=2)))
    restore = jane.post(f"{pitr}/restore", {"target_time": offset.isoformat()})
    assert restore.status == 202, restore.json
    assert restore.data["target_time"] == iso(NOW - timedelta(hours=1))
    listed = jane.get(f"{pitr}/restores").data["restores"]
    assert {each["id"] for each in listed} == {dry.data["restore_id"], restore.data["restore_id"]}
    again = jane.post(f"{pitr}/restore", {"target_time": "latest"})
    assert (again.status, again.code) == (409, "OPERATION_IN_PROGRESS")
    world.say("pitrrestores", restore.data["restore_id"], phase="Completed", walFilesApplied=35)
    place = f"{pitr}/restores/{restore.data['restore_id']}"
    assert soon(jane, place, status="completed").data["wal_files_applied"] == 35
    beside = jane.post(f"{pitr}/restore", {"target_time": "latest", "target_name": "copy"})
    assert beside.status == 202, beside.json
    spec = world.find("pitrrestores", beside.data["restore_id"])["spec"]
    assert spec["target"] == {"newDatabase": {"name": "copy"}}
    off = jane.post(f"{pitr}/disable")
    assert (off.status, off.data) == (202, {"enabled": False})
    assert jane.post(f"{pitr}/disable").data == {"enabled": False}
    assert jane.get(f"{pitr}/config").data["enabled"] is False
    assert len(jane.get(f"{pitr}/restores").data["restores"]) == 3


# -- tenants --------------------------------------------------------------------------------------


def patiently(ask: Callable[[], Answer]) -> Answer:
    """Waits as it is told where it was too fast: a machine may be."""
    while (answer := ask()).status == 429:
        time.sleep(int(answer.headers["Retry-After"]))
    return answer


def test_anothers_is_as_what_is_not_there(jane: Client, joe: Client, shop: str, main: str) -> None:
    """Byte for byte, but for the request's own id and the counters."""
    own = jane.get(main).data["id"]
    project = shop.rpartition("/")[2]
    pairs = [
        (shop, f"/projects/{ABSENT['project']}"),
        (f"{shop}/databases", f"/projects/{ABSENT['project']}/databases"),
        (f"/projects/small/databases/{own}", f"/projects/small/databases/{ABSENT['database']}"),
        (f"/projects/{project}/databases/main/url", "/projects/nothing/databases/main/url"),
    ]
    for theirs, nobodys in pairs:
        left, right = (patiently(partial(joe.get, each)) for each in (theirs, nobodys))
        assert left.status == right.status == 404
        assert left.raw == right.raw
    assert patiently(partial(joe.delete, shop)).status == 404
    assert jane.get(shop).status == 200


def test_rates_differ_by_plan(jane: Client, joe: Client) -> None:
    assert jane.get("/auth/me").headers["X-RateLimit-Limit"] == "1000"
    rate, began = LIMITS[Plan.FREE].rate, time.monotonic()
    answers = [joe.get("/auth/me")]
    assert answers[0].headers["RateLimit-Policy"] == '"free";q=60;w=60'

    def limited() -> bool:
        """As many as a slow machine asks: each second lets one more through."""
        answers.append(joe.get("/auth/me"))
        return answers[-1].status == 429

    waiting.until(limited, "the rate is used up", seconds=60, every=0.0)
    seconds = time.monotonic() - began
    assert len(answers) - 1 <= rate.burst + 1 + rate.per_minute / 60 * seconds
    assert answers[-1].code == "RATE_LIMIT_EXCEEDED"
    assert int(answers[-1].headers["Retry-After"]) >= 1
