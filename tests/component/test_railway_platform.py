"""A Database on Railway through its life: the real client and platform against the double, which
really runs PostgreSQL."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from component.railway_caller import Caller
from component.railway_operator import (
    REGION,
    Operator,
    changed,
    deployments,
    instances,
    is_ready,
    proxies,
    railway_database,
    said,
    volumes,
)
from postbase_operator.api.database import Database
from postbase_operator.archive.lsn import Lsn
from postbase_operator.planning.restart import REQUEST
from postbase_operator.railway.graphql.reads import Place
from postbase_operator.railway.services import DRAINING_SECONDS, MARKER, service_name
from railway.double import RailwayDouble
from railway.state import Deployment
from railway.variables import draining_seconds

POSITION = "SELECT pg_current_wal_lsn()::text"


@pytest.fixture(scope="module")
def railway() -> Iterator[RailwayDouble]:
    with RailwayDouble() as double:
        yield double


def replayed_from(deployment: Deployment) -> Lsn:
    """Where its PostgreSQL began, after one that was killed."""
    log = "\n".join(line for _, line in deployment.logs)
    (begun,) = re.findall("redo starts at (.+)", log)
    return Lsn.parse(begun)


@pytest.mark.trap(
    "image-before-volume",
    "volume-without-environment",
    "deploy-makes-another",
    "variables-need-deployment",
    "look-per-database",
    "mount-path",
)
async def test_from_nothing_to_sql_and_then_nothing_is_asked(
    railway: RailwayDouble, place: Place, ours: Operator
) -> None:
    db = await ours.ready(railway_database(extensions=[{"name": "pg_trgm"}]))
    assert ours.sql(db, "SELECT current_user, current_database()", app=True) == [("app", "app")]
    ours.sql(db, "CREATE TABLE t AS SELECT 1 AS n", app=True)
    extensions = ours.sql(db, "SELECT extname FROM pg_extension ORDER BY 1", app=True)
    assert ("pg_trgm",) in extensions
    assert ours.sql(db, "SELECT datacl::text FROM pg_database WHERE datname = 'app'") == [
        ("{app=CTc/app}",)
    ]
    (service,) = instances(railway, place)
    (volume,) = volumes(railway, place)
    assert len(deployments(railway, place)) == 1  # one that comes second kills initdb
    assert (service.region, volume.region) == (REGION, REGION)
    assert service.variables[MARKER].endswith(db.metadata.uid)
    assert service.limits == {"containers": {"cpu": 0.5, "memoryBytes": 269_000_000}}
    assert railway.world.state.volumes[volume.volume_id].name.startswith(service_name(db, "c"))
    told = db.status
    assert told.railway is not None
    assert (told.railway.service_id, told.railway.volume_id) == (
        service.service_id,
        volume.volume_id,
    )
    assert told.railway.cost is not None
    # Half a processor, 269 MB, and the 50 GB that a volume of this plan begins with.
    assert told.railway.cost.at_most == "20.19"
    assert told.endpoint is not None
    assert (told.endpoint.host, told.endpoint.port) == (
        "127.0.0.1",
        ours.ring.fronts[db.metadata.uid].port,
    )
    assert told.system_id == service.variables["POSTBASE_SYSTEM_ID"]
    before = len(ours.client.asked)
    for _ in range(10):
        db, _ = await ours.look(db)
    assert is_ready(db)
    assert set(ours.client.asked[before:]) <= {"EnvironmentState"}
    assert len(ours.client.asked) - before <= 10  # one look serves for its time


@pytest.mark.trap("variables-need-deployment")
async def test_limits_and_parameters_change_without_a_restart(
    railway: RailwayDouble, place: Place, ours: Operator
) -> None:
    db = await ours.ready(railway_database(parameters={"work_mem": "8MB"}))
    started = ours.sql(db, "SELECT pg_postmaster_start_time()")
    assert ours.sql(db, "SHOW work_mem") == [("8MB",)]
    resources = {"cpu": "1", "memory": "512Mi"}
    db = changed(db, parameters={"search_path": '"$user", public'}, resources=resources)
    db = await ours.ready(db)
    assert ours.sql(db, "SHOW work_mem") == [("4MB",)]
    assert ours.sql(db, "SHOW search_path", app=True) == [('"$user", public',)]
    (service,) = instances(railway, place)
    assert service.limits == {"containers": {"cpu": 1.0, "memoryBytes": 537_000_000}}
    assert ours.sql(db, "SELECT pg_postmaster_start_time()") == started
    bad = changed(db, parameters={"work_mem": "a lot"})
    bad = await ours.until(bad, lambda each: said(each)[1] == "ParametersRejected")
    assert "spec.parameters.work_mem" in said(bad)[2]
    assert ours.sql(db, "SHOW search_path", app=True) == [('"$user", public',)]


@pytest.mark.trap("sigterm-goes-nowhere")
async def test_a_parameter_that_needs_a_restart_gets_one_after_a_checkpoint(
    railway: RailwayDouble, place: Place, ours: Operator
) -> None:
    db = await ours.ready(railway_database())
    ours.sql(db, "CREATE TABLE t AS SELECT 7 AS n", app=True)
    ((written,),) = ours.sql(db, POSITION)
    db = await ours.ready(changed(db, parameters={"max_connections": "50"}))
    db = await ours.until(db, lambda each: is_ready(each) and said(each, "RestartPending")[0] == "")
    assert ours.sql(db, "SHOW max_connections") == [("50",)]
    assert ours.sql(db, "SELECT n FROM t", app=True) == [(7,)]
    old, new = sorted(deployments(railway, place), key=lambda each: each.created_at)
    # SIGTERM does not reach PostgreSQL: it is down for the drain (on the double a part of it).
    assert draining_seconds(railway.world, old) == DRAINING_SECONDS
    assert (old.status, old.status_at > new.created_at) == ("REMOVED", True)
    assert replayed_from(new) >= Lsn.parse(written)
    assert railway.counted()["serviceInstanceRedeploy"] == 0


@pytest.mark.trap("deploy-makes-another", "redeploy-hides-image")
async def test_a_restart_by_request_takes_the_new_image_with_it(
    railway: RailwayDouble, place: Place, ours: Operator
) -> None:
    image = "ghcr.io/railwayapp-templates/postgres-ssl"
    spec = railway_database(image=f"{image}:17")
    db = await ours.ready(spec)
    db = changed(db, image=f"{image}:17.10")
    db = await ours.until(db, lambda each: "image of postgres" in said(each, "RestartPending")[2])
    assert len(deployments(railway, place)) == 1  # it waits to be asked
    body = db.to_wire()
    body["metadata"]["annotations"] = {REQUEST: "now"}
    db = Database.model_validate(body)
    db = await ours.until(db, lambda each: each.status.requests == {"restart": "now"})
    db = await ours.until(db, lambda each: is_ready(each) and not each.status.restarting)
    made = sorted(deployments(railway, place), key=lambda each: each.created_at)
    assert [each.image for each in made] == [f"{image}:17", f"{image}:17.10"]
    db, _ = await ours.look(db)
    assert len(deployments(railway, place)) == 2  # once


@pytest.mark.trap("railway-redeploys")
async def test_a_deployment_of_railways_own_is_no_drift(
    railway: RailwayDouble, place: Place, ours: Operator
) -> None:
    db = await ours.ready(railway_database())
    (service,) = instances(railway, place)
    theirs = railway.migrate_host(service.service_id, place.environment_id)
    db = await ours.until(db, lambda each: not is_ready(each))
    db = await ours.ready(db)
    assert max(deployments(railway, place), key=lambda each: each.created_at).id == theirs.id
    assert len(deployments(railway, place)) == 2


@pytest.mark.trap("commit-is-async", "plan-limits")
async def test_a_volume_grows_live_and_a_plans_limit_is_told(
    railway: RailwayDouble, place: Place, ours: Operator
) -> None:
    db = await ours.ready(railway_database())
    started = ours.sql(db, "SELECT pg_postmaster_start_time()")
    db = await ours.ready(changed(db, storage={"size": "60Gi"}))
    db = await ours.until(db, lambda _: volumes(railway, place)[0].size_mb > 64_000)
    assert volumes(railway, place)[0].size_mb == 64_425
    assert ours.sql(db, "SELECT pg_postmaster_start_time()") == started
    large = changed(db, storage={"size": "2Ti"})
    large = await ours.until(large, lambda each: said(each)[1] == "PlanLimitExceeded")
    assert "spec.storage.size" in said(large)[2]


@pytest.mark.trap("sigterm-goes-nowhere")
async def test_paused_and_resumed(railway: RailwayDouble, place: Place, ours: Operator) -> None:
    db = await ours.ready(railway_database())
    ours.sql(db, "CREATE TABLE t AS SELECT 7 AS n", app=True)
    ((written,),) = ours.sql(db, POSITION)
    db = await ours.until(changed(db, paused=True), lambda each: said(each)[1] == "Paused")
    asked = railway.counted()["deploymentStop"]
    db, _ = await ours.look(db)
    assert railway.counted()["deploymentStop"] == asked
    db = await ours.ready(changed(db, paused=False))
    assert ours.sql(db, "SELECT n FROM t", app=True) == [(7,)]
    resumed = max(deployments(railway, place), key=lambda each: each.created_at)
    assert replayed_from(resumed) >= Lsn.parse(written)


@pytest.mark.parametrize(
    ("policy", "keep", "left"),
    [
        ("Retain", False, 1),
        ("Delete", False, 0),
        ("Delete", True, 1),
        ("FinalBackup", False, 0),  # it is complete
        ("FinalBackup", True, 1),
    ],
)
@pytest.mark.trap("volume-outlives-service", "deleted-volume-shown", "kept-password")
async def test_what_deletion_leaves(
    railway: RailwayDouble, place: Place, ours: Operator, policy: str, keep: bool, left: int
) -> None:
    db = await ours.ready(railway_database(deletionPolicy=policy))
    await ours.gone(db, keep=keep)
    assert instances(railway, place) == []
    assert len(volumes(railway, place)) == left
    assert proxies(railway, place) == []
    uid, named = db.metadata.uid, railway.world.state.volumes
    kept = [named[each.volume_id].name for each in volumes(railway, place)]
    assert ours.ring.opens.get(uid, []) == kept  # and the password that opens them stays
    assert (uid in ours.ring.passwords) is bool(left)
    assert await ours.platform.destroy(db, keep=keep)


@pytest.mark.trap("volume-outlives-service")
async def test_a_kept_volume_is_not_passed_over_in_silence(
    railway: RailwayDouble, place: Place, ours: Operator
) -> None:
    first = await ours.ready(railway_database())
    await ours.gone(first)
    body = railway_database().to_wire()
    body["metadata"]["uid"] = "4b1e4f5c-0000-4000-8000-000000000002"
    second = Database.model_validate(body)
    second = await ours.until(second, lambda each: said(each)[1] == "VolumeExists")
    assert instances(railway, place) == []
    body["spec"]["bootstrap"] = {"empty": {}}
    await ours.ready(Database.model_validate(body))
    assert len(volumes(railway, place)) == 2


@pytest.mark.trap("names-are-shared", "no-labels")
async def test_a_strangers_service_is_neither_taken_nor_deleted(
    railway: RailwayDouble, place: Place, ours: Operator
) -> None:
    db = railway_database()
    call = Caller(railway, railway.token())
    given = {"projectId": place.project_id, "environmentId": place.environment_id}
    name = service_name(db, "c")
    call("CreateService", input=given | {"name": name, "variables": {MARKER: "other/team/x/uid"}})
    before = railway.world.state.services.copy()
    db = await ours.until(db, lambda each: said(each)[1] == "NameTaken")
    assert "other/team/x/uid" in said(db)[2]
    await ours.gone(db)
    assert railway.world.state.services == before
    assert len(instances(railway, place)) == 1
    assert volumes(railway, place) == []


@pytest.mark.trap("staged-by-others")
async def test_what_others_have_staged_stays_staged(
    railway: RailwayDouble, place: Place, ours: Operator
) -> None:
    call = Caller(railway, railway.token())
    given = {"projectId": place.project_id, "environmentId": place.environment_id}
    other = call("CreateService", input=given | {"name": "web", "variables": {}})["id"]
    patch = {"services": {other: {"source": {"image": "nginx"}}}}
    call("StagePatch", environmentId=place.environment_id, patch=patch)
    await ours.ready(railway_database())
    staged = railway.world.state.staged(place.environment_id)
    assert staged is not None
    assert staged.patch == patch
    (web,) = [each for each in instances(railway, place) if each.service_id == other]
    assert web.image is None


async def test_no_password_is_told(
    railway: RailwayDouble, ours: Operator, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")
    db = await ours.ready(railway_database())
    ring, uid = ours.ring, db.metadata.uid
    told = caplog.text + db.model_dump_json() + "".join(ours.refusals) + repr(ring.held)
    for secret in (ring.passwords[uid], ring.held[uid].login.password, railway.token()):
        assert secret not in told
