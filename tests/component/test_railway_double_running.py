"""The double of Railway runs what it deploys: PostgreSQL behind a port, and our own image."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psycopg
import pytest

from component.railway_caller import VARIABLES, Caller, Place
from railway.double import RailwayDouble
from railway.images import Exits, OperatorImage, Spec
from railway.postgres_ssl import MOUNT, NAME
from railway.schema import documents
from railway.settings import Settings

BOTH_LINES = {"POSTGRES_HOST_AUTH_METHOD": "scram-sha-256\nhost replication all all scram-sha-256"}


@pytest.fixture(scope="module")
def railway() -> Iterator[RailwayDouble]:
    with RailwayDouble() as double:
        yield double


@pytest.fixture(scope="module")
def call(railway: RailwayDouble) -> Caller:
    return Caller(railway, railway.token())


@pytest.fixture(scope="module")
def place(call: Caller) -> Place:
    """A database that tests share, with Railway's defaults."""
    made = Place(call).deployed()
    made.wait(made.answers)
    return made


def failure(place: Place, **more: str) -> str:
    with pytest.raises(psycopg.OperationalError) as raised:
        psycopg.connect(place.conninfo(**more))
    return str(raised.value)


def test_sql_through_the_proxy_with_a_password_over_tls(place: Place) -> None:
    assert place.sql("SELECT current_database(), usesuper FROM pg_user WHERE usename = user") == [
        ("railway", True)
    ]
    assert place.sql("SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()") == [(True,)]
    assert place.sql("SHOW server_encoding") == [("UTF8",)]
    assert "password authentication failed" in failure(place, password="wrong")


def test_psql_through_the_proxy(place: Place) -> None:
    psql = ["psql", place.conninfo(), "-Atc", "SELECT 6 * 7"]
    done = subprocess.run(psql, capture_output=True, text=True, check=False)
    assert done.stdout == "42\n", done.stderr


def test_the_certificate_is_localhosts_and_its_root_can_be_read(
    place: Place, tmp_path: Path
) -> None:
    rows = place.sql("SELECT pg_read_file(current_setting('ssl_ca_file'))")
    root = tmp_path / "root.crt"
    root.write_text(rows[0][0])
    trust = {"sslrootcert": str(root)}
    assert place.sql("SELECT 1", sslmode="verify-ca", **trust)
    by_address = {"host": "localhost", "hostaddr": "127.0.0.1"}
    assert place.sql("SELECT 1", sslmode="verify-full", **trust, **by_address)
    assert "does not match host name" in failure(place, sslmode="verify-full", **trust)


def test_replication_is_refused_until_pg_hba_has_it(place: Place) -> None:
    told = failure(place, replication="true")
    assert "no pg_hba.conf entry for replication connection" in told
    place.sql(
        "COPY (SELECT 'hostssl replication postgres all scram-sha-256') "
        "TO PROGRAM 'cat >> \"$(pwd)/pg_hba.conf\"'"
    )
    place.sql("SELECT pg_reload_conf()")
    place.wait(lambda: identified(place), "replication")


def identified(place: Place) -> bool:
    try:
        with psycopg.connect(place.conninfo(replication="true"), autocommit=True) as connection:
            return connection.pgconn.exec_(b"IDENTIFY_SYSTEM").ntuples == 1
    except psycopg.OperationalError:
        return False


def test_the_private_name_reaches_it_from_its_network(place: Place) -> None:
    one = {"environmentId": place.environment}
    network = place.call("PrivateNetworks", **one)[0]["publicId"]
    which = {"privateNetworkId": network, **place.where}
    endpoint = place.call("PrivateEndpoint", **which)
    assert endpoint["dnsName"] == "shop-main"
    (address,) = endpoint["privateIps"]
    assert place.sql("SELECT 1", host=address, port="5432") == [(1,)]
    rendered = place.call("ReadRenderedVariables", projectId=place.project, **place.where)
    assert rendered["RAILWAY_PRIVATE_DOMAIN"] == "shop-main.railway.internal"
    assert rendered["RAILWAY_TCP_PROXY_PORT"] == str(place.proxy()["proxyPort"])


def test_a_deployment_recovers_from_the_kill_and_keeps_data_and_password(place: Place) -> None:
    place.sql("CREATE TABLE kept AS SELECT 1 AS n")
    before = place.sql("SELECT pg_postmaster_start_time()")
    given = {"POSTGRES_PASSWORD": "another", "POSTGRES_DB": "another"}
    variables = place.here | {"serviceId": place.service, "variables": given, "skipDeploys": True}
    place.call("SetVariables", input=variables)
    assert place.sql("SELECT pg_postmaster_start_time()") == before
    old, new = place.latest()["id"], place.deploy()
    assert place.deployment(old)["status"] == "REMOVED"
    place.wait(place.answers)
    assert place.sql("SELECT n FROM kept") == [(1,)]
    assert "was not properly shut down; automatic recovery in progress" in place.log(new)


def test_restart_stop_and_a_death(railway: RailwayDouble, place: Place) -> None:
    def started() -> object:
        try:
            return place.sql("SELECT pg_postmaster_start_time()")
        except psycopg.OperationalError:
            return False

    before, latest = started(), place.latest()["id"]
    place.call("RestartDeployment", id=latest)
    place.wait(lambda: started() not in (before, False), "another start")
    before = started()
    railway.kill_container(place.service, place.environment)
    place.wait(lambda: started() not in (before, False), "a start after a death")
    place.call("StopDeployment", id=latest)
    place.wait(lambda: place.deployment(latest)["deploymentStopped"], "the stop")
    assert not place.answers()
    place.deploy()
    place.wait(place.answers)


def test_a_backup_comes_back_by_a_swap_that_is_only_staged(place: Place) -> None:
    place.sql("CREATE TABLE saved AS SELECT 1 AS n")
    (volume,) = place.instances()
    which = {"volumeInstanceId": volume["id"]}
    flow = place.call("CreateBackup", **which, name="before")["workflowId"]
    place.wait(lambda: ended(place, flow), "the backup")
    place.sql("DROP TABLE saved")
    (backup,) = place.call("ListBackups", **which)
    flow = place.call("RestoreBackup", **which, backupId=backup["id"])["workflowId"]
    place.wait(lambda: ended(place, flow), "the restore")
    assert place.instances()[0]["serviceId"] == place.service
    with pytest.raises(psycopg.errors.UndefinedTable):
        place.sql("SELECT n FROM saved")
    before = place.latest()["id"]
    place.call("CommitStaged", environmentId=place.environment)
    place.wait(lambda: place.latest()["id"] != before, "a deployment")
    place.wait(lambda: place.latest()["status"] == "SUCCESS" and place.answers())
    assert place.sql("SELECT n FROM saved") == [(1,)]
    assert [each["serviceId"] for each in place.instances()] == [None, place.service]
    (file,) = place.sql("SHOW ssl_cert_file")[0]
    assert f"v-{place.instances()[1]['id'][:8]}" in file


def ended(place: Place, workflow: str) -> bool:
    told = place.call("WorkflowState", workflowId=workflow)
    assert told["error"] is None
    return bool(told["status"] == "Complete")


def test_two_lines_of_authentication_at_creation_let_replication_in(call: Caller) -> None:
    place = Place(call, name="replicated", variables=VARIABLES | BOTH_LINES).deployed()
    place.wait(place.answers)
    assert identified(place)
    assert "password authentication failed" in failure(place, replication="true", password="wrong")


@pytest.mark.parametrize(
    ("image", "variables", "mount", "told"),
    [
        ("17", {"PGDATA": MOUNT}, MOUNT, "exists but is not empty"),
        ("18", {"PGDATA": ""}, MOUNT, "PGDATA does not start with"),
        ("17", {}, "/data", "Railway volume not mounted to the correct path"),
        ("17", {"POSTGRES_PASSWORD": ""}, MOUNT, "superuser password is not specified"),
    ],
)
def test_what_the_image_refuses(
    call: Caller, image: str, variables: dict[str, str], mount: str, told: str
) -> None:
    given = {name: text for name, text in (VARIABLES | variables).items() if text}
    place = Place(call, variables=given, image=f"{NAME}:{image}", mount=mount)
    place.made()
    place.configure(restartPolicyType="NEVER")
    place.call("Deploy", **place.where)
    place.wait(lambda: place.latest()["status"] == "CRASHED", "CRASHED")
    assert told in place.log()


def test_data_that_another_image_wrote_is_taken_over(railway: RailwayDouble, place: Place) -> None:
    """As a restore does it: our image fills the volume, then the image is switched."""
    latest = place.latest()["id"]
    place.call("StopDeployment", id=latest)
    place.wait(lambda: place.deployment(latest)["deploymentStopped"], "the stop")
    mine = next(each for each in place.instances() if each["serviceId"] == place.service)
    data = railway.world.folder / f"v-{mine['id'][:8]}" / "pgdata"
    for path in (data, *data.rglob("*")):
        os.chown(path, os.getuid(), os.getgid(), follow_symlinks=False)
    place.deploy()
    place.wait(place.answers)


def ended_by_itself(latest: Any) -> bool:
    """A container may end before Railway has come to say that it was started."""
    return bool(latest and latest["deploymentStopped"] and latest["status"] != "DEPLOYING")


def test_our_own_image_runs_as_a_process_with_its_volume(
    railway: RailwayDouble, call: Caller
) -> None:
    image = f"{railway.settings.operator_image}:0.1"
    root = {"RAILWAY_RUN_UID": "0"}
    place = Place(call, variables=root, image=image, mount="/data").made()
    place.configure(startCommand="postbase-operator crds /data")
    place.call("Deploy", **place.where)
    place.wait(lambda: ended_by_itself(place.latest()), "its end")
    told = place.deployment(place.latest()["id"])
    assert (told["status"], told["instances"][0]["status"]) == ("SUCCESS", "EXITED"), place.log()
    volume = next(iter(railway.world.folder.glob(f"v-{place.instances()[0]['id'][:8]}")))
    assert list(volume.glob("*.postbase.sh.yaml"))


def test_an_image_with_a_user_of_its_own_writes_on_no_volume() -> None:
    spec = Spec("x", "postbase-operator crds /data", {}, "127.1.1.1", "/data", Path("/tmp/v"))
    with pytest.raises(Exits, match="Permission denied"):
        OperatorImage().check(spec)
    spec.variables["RAILWAY_RUN_UID"] = "0"
    OperatorImage().check(spec)


def test_a_container_knows_private_names_and_its_mount() -> None:
    spec = Spec(
        "x", None, {}, "127.1.1.1", "/data", Path("/tmp/v"), {"a.railway.internal": "127.9"}
    )
    assert spec.on_host("host=a.railway.internal file=/data/wal") == "host=127.9 file=/tmp/v/wal"


def test_api_and_proxies_are_where_they_are_to_be_reached() -> None:
    """As pods do it, to whom this machine's loopback is their own."""
    with RailwayDouble(Settings(public_address="127.0.0.77")) as railway:
        assert urlsplit(railway.url).hostname == "127.0.0.77"
        place = Place(Caller(railway, railway.token())).deployed()
        place.wait(place.answers)
        proxy = place.proxy()
        assert proxy["domain"] == "127.0.0.77."
        rendered = place.call("ReadRenderedVariables", projectId=place.project, **place.where)
        assert rendered["RAILWAY_TCP_PROXY_DOMAIN"] == "127.0.0.77"
        listen = {each.host for each in railway.world.forwarders.values()}
        assert "127.0.0.77" in listen
        assert "127.0.0.1" not in listen


def test_as_a_process_it_ends_with_its_standard_input() -> None:
    words = [sys.executable, "-m", "railway", "127.0.0.78"]
    path = {"PYTHONPATH": os.pathsep.join(p for p in sys.path if p)}
    with subprocess.Popen(
        words, env=os.environ | path, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        told = json.loads(process.stdout.readline())
        asked = urllib.request.Request(  # noqa: S310 - of the double
            f"{told['url']}?source=test",
            json.dumps({"query": documents()["ProjectTokenScope"]}).encode(),
            {"Project-Access-Token": told["token"], "Content-Type": "application/json"},
        )
        with urllib.request.urlopen(asked, timeout=30) as answer:  # noqa: S310
            assert json.loads(answer.read())["data"]["projectToken"]["environmentId"]
        process.communicate(timeout=60)
    assert process.returncode == 0
    with pytest.raises(urllib.error.URLError, match="refused"):
        urllib.request.urlopen(asked, timeout=30)  # noqa: S310


def test_nothing_listens_and_nothing_runs_afterwards() -> None:
    with RailwayDouble() as railway:
        place = Place(Caller(railway, railway.token())).deployed()
        place.wait(place.answers)
        conninfo = place.conninfo()
        place.call("DeleteTcpProxy", id=place.proxy()["id"])
        place.call("DeleteService", id=place.service)
        place.call("DeleteVolume", volumeId=place.volume)
        place.wait(lambda: not railway.left_behind(), "nothing left")
        with pytest.raises(psycopg.OperationalError):
            psycopg.connect(conninfo)
        folder = railway.world.folder
    assert not folder.exists()
