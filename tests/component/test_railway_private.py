"""A Database on Railway without a way in from the internet, through its life: the operator is told
by the service beside it, a real process of ours, and never makes a proxy."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from component.railway_caller import Caller
from component.railway_operator import (
    Operator,
    changed,
    deployments,
    instances,
    is_ready,
    proxies,
    said,
    volumes,
)
from component.railway_private import (
    caretakers,
    hurry,
    inside,
    own,
    private_database,
    proxies_ever,
    resolver,
)
from postbase_operator.api.database import Database
from postbase_operator.archive.server_wish import REPORT, WISH, WISH_REVISION
from postbase_operator.errors import InvalidSpec
from postbase_operator.planning import plan as steps
from postbase_operator.planning.restart import REQUEST as RESTART
from postbase_operator.planning.rotation import REQUEST as ROTATE
from postbase_operator.railway.graphql.reads import Place
from postbase_operator.railway.services import MARKER, receiver_name, service_name
from railway.double import RailwayDouble


@pytest.fixture(scope="module")
def railway() -> Iterator[RailwayDouble]:
    with RailwayDouble() as double:
        yield double


@pytest.fixture(autouse=True)
def _hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    hurry(monkeypatch)


def asked(db: Database, name: str, value: str) -> Database:
    body = db.to_wire()
    body["metadata"]["annotations"] = {name: value}
    return Database.model_validate(body)


@pytest.mark.trap("open-to-everybody", "private-network-only", "deploy-makes-another")
async def test_from_nothing_to_sql_inside_and_no_proxy_was_ever_made(
    railway: RailwayDouble, place: Place, ours: Operator
) -> None:
    db = await ours.ready(private_database(extensions=[{"name": "pg_trgm"}]))
    assert inside(ours, place, db, "SELECT current_user, current_database()") == [("app", "app")]
    assert ("pg_trgm",) in inside(ours, place, db, "SELECT extname FROM pg_extension")
    assert proxies_ever(railway, place) == 0
    name = f"{service_name(db, 'c')}.railway.internal"
    assert db.status.endpoint is not None
    assert (db.status.endpoint.host, db.status.endpoint.port) == (name, 5432)
    front = ours.ring.fronts[db.metadata.uid]
    assert (front.host, front.port) == (name, 5432)
    with pytest.raises(socket.gaierror):  # of no use outside
        socket.getaddrinfo(name, 5432)

    service, (beside,) = own(railway, place), caretakers(railway, place)
    assert len(instances(railway, place)) == 2
    assert len(volumes(railway, place)) == 1
    assert len(deployments(railway, place)) == 2  # one each: a second one kills initdb
    assert service.variables["POSTBASE_SYSTEM_ID"] == db.status.system_id
    assert beside.sealed == {WISH}
    assert beside.variables[MARKER].endswith(db.metadata.uid)
    assert beside.region == service.region
    assert db.status.railway is not None
    assert db.status.railway.receiver_service_id == beside.service_id
    assert db.status.railway.cost is not None


@pytest.mark.trap("sealed-is-not-shown")
async def test_what_it_is_told_and_tells_gives_no_password_away(
    railway: RailwayDouble, place: Place, ours: Operator, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")
    db = await ours.ready(private_database())
    (beside,) = caretakers(railway, place)
    ring, uid = ours.ring, db.metadata.uid
    shown = {n: v for n, v in beside.variables.items() if n not in beside.sealed}
    assert WISH_REVISION in shown
    logs = [line for each in deployments(railway, place) for _, line in each.logs]
    assert any(REPORT in line for line in logs)
    told = caplog.text + db.model_dump_json() + "".join(ours.refusals) + json.dumps(shown)
    told += "\n".join(logs)
    held = ring.held[uid].login.password
    for secret in (ring.passwords[uid], held, ring.replications[uid], railway.token()):
        assert secret not in told


@pytest.mark.trap("rate-limits")
async def test_idle_it_costs_a_request_in_two_minutes(
    railway: RailwayDouble, place: Place, ours: Operator, monkeypatch: pytest.MonkeyPatch
) -> None:
    db = await ours.ready(private_database())
    monkeypatch.undo()
    now = [railway.clock.now()]
    ground = await ours.platform._ground()
    ground.sight.clock = lambda: now[0]
    for _ in range(3):
        db, _ = await ours.look(db)
    before = len(ours.client.asked)
    for _ in range(600 // 5):  # ten minutes; the Caretaker's time stands still
        now[0] += 5
        await ours.platform._servers.ask(ground, db, None)
    asked_for = ours.client.asked[before:]
    assert set(asked_for) <= {"DeploymentLogs", "EnvironmentState", "ReadVariables"}
    assert asked_for.count("DeploymentLogs") == 5


async def test_parameters_change_without_a_restart_and_wrong_ones_are_told(
    railway: RailwayDouble, place: Place, ours: Operator
) -> None:
    db = await ours.ready(private_database(parameters={"work_mem": "8MB"}))
    started = inside(ours, place, db, "SELECT pg_postmaster_start_time()")
    assert inside(ours, place, db, "SHOW work_mem") == [("8MB",)]
    extensions = [{"name": "pg_trgm"}]
    db = await ours.ready(changed(db, parameters={"work_mem": "6MB"}, extensions=extensions))
    assert inside(ours, place, db, "SHOW work_mem") == [("6MB",)]
    assert ("pg_trgm",) in inside(ours, place, db, "SELECT extname FROM pg_extension")
    assert inside(ours, place, db, "SELECT pg_postmaster_start_time()") == started
    bad = changed(db, parameters={"work_mem": "a lot"})
    bad = await ours.until(bad, lambda each: said(each)[1] == "ParametersRejected")
    assert "spec.parameters.work_mem" in said(bad)[2]
    assert inside(ours, place, db, "SHOW work_mem") == [("6MB",)]
    bad = changed(db, extensions=[{"name": "no_such"}])
    bad = await ours.until(bad, lambda each: said(each)[1] == "ExtensionUnavailable")
    await ours.ready(db)


async def test_a_parameter_that_needs_a_restart_gets_exactly_one(
    railway: RailwayDouble, place: Place, ours: Operator
) -> None:
    db = await ours.ready(private_database())
    inside(ours, place, db, "CREATE TABLE t AS SELECT 7 AS n")
    service = own(railway, place)
    where = (service.service_id, place.environment_id)
    db = await ours.ready(changed(db, parameters={"max_connections": "50"}))
    db = await ours.until(db, lambda each: is_ready(each) and said(each, "RestartPending")[0] == "")
    assert inside(ours, place, db, "SHOW max_connections") == [("50",)]
    assert inside(ours, place, db, "SELECT n FROM t") == [(7,)]
    for _ in range(5):
        db, _ = await ours.look(db)
    assert len(railway.world.state.deployments_of(*where)) == 2
    db = await ours.until(asked(db, RESTART, "now"), lambda each: bool(each.status.requests))
    db = await ours.until(db, lambda each: is_ready(each) and not each.status.restarting)
    assert len(railway.world.state.deployments_of(*where)) == 3
    assert proxies_ever(railway, place) == 0


async def test_a_rotation_cuts_nobody_and_is_ready_all_the_while(
    railway: RailwayDouble, place: Place, ours: Operator
) -> None:
    db = await ours.ready(private_database())
    uid, states = db.metadata.uid, []
    before = ours.ring.held[uid].login

    def rotated(each: Database) -> bool:
        states.append(said(each)[0])
        inside(ours, place, each, "SELECT 1")  # whatever the Secret says at this moment works
        return each.status.requests.get("rotate") == "now"

    db = await ours.until(asked(db, ROTATE, "now"), rotated)
    after = ours.ring.held[uid].login
    assert (after.user, after.password) != (before.user, before.password)
    assert set(states) == {"True"}
    name = resolver(railway, place)[ours.ring.fronts[uid].host]
    login: dict[str, Any] = {"host": name, "dbname": "app", "sslmode": "require"}
    with psycopg.connect(user=before.user, password=before.password, **login):  # the overlap
        pass


async def test_paused_nothing_runs_and_resumed_it_goes_on(
    railway: RailwayDouble, place: Place, ours: Operator
) -> None:
    db = await ours.ready(private_database())
    inside(ours, place, db, "CREATE TABLE t AS SELECT 7 AS n")

    def rests(each: Database) -> bool:
        every = instances(railway, place)
        running = [railway.world.running(i.service_id, place.environment_id) for i in every]
        return said(each)[1] == "Paused" and not any(running)

    db = await ours.until(changed(db, paused=True), rests)
    db = await ours.ready(changed(db, paused=False))
    assert inside(ours, place, db, "SELECT n FROM t") == [(7,)]
    assert proxies_ever(railway, place) == 0


@pytest.mark.parametrize(("policy", "left"), [("Retain", 1), ("Delete", 0)])
async def test_what_deletion_leaves(
    railway: RailwayDouble, place: Place, ours: Operator, policy: str, left: int
) -> None:
    db = await ours.ready(private_database(deletionPolicy=policy))
    await ours.gone(db)
    assert instances(railway, place) == []
    assert proxies(railway, place) == []
    assert len(volumes(railway, place)) == left
    assert await ours.platform.destroy(db)


async def test_a_caretaker_that_dies_is_back_and_nobody_is_unready(
    railway: RailwayDouble, place: Place, ours: Operator
) -> None:
    db = await ours.ready(private_database())
    (beside,) = caretakers(railway, place)
    railway.kill_container(beside.service_id, place.environment_id)
    db = changed(db, parameters={"work_mem": "6MB"})  # by the next process of it
    db = await ours.ready(db)
    railway.kill_container(beside.service_id, place.environment_id)
    for _ in range(30):
        db, again = await ours.look(db)
        assert is_ready(db)
        await asyncio.sleep(again)
    assert inside(ours, place, db, "SHOW work_mem") == [("6MB",)]
    where = (beside.service_id, place.environment_id)
    assert len(railway.world.state.deployments_of(*where)) == 2  # none for a death


@pytest.mark.trap("railway-redeploys")
async def test_a_deployment_of_railways_own_is_no_drift(
    railway: RailwayDouble, place: Place, ours: Operator
) -> None:
    db = await ours.ready(private_database())
    service, (beside,) = own(railway, place), caretakers(railway, place)
    railway.migrate_host(service.service_id, place.environment_id)
    db = await ours.until(db, lambda each: not is_ready(each))
    db = await ours.ready(db)  # by what was said of the new process, and not of the one before
    railway.migrate_host(beside.service_id, place.environment_id)
    db = await ours.ready(db)
    assert inside(ours, place, db, "SELECT 1") == [(1,)]


async def test_a_strangers_service_of_its_name_is_told_and_not_touched(
    railway: RailwayDouble, place: Place, ours: Operator
) -> None:
    db = private_database()
    call, name = Caller(railway, railway.token()), receiver_name(db, "c")
    where = {"projectId": place.project_id, "environmentId": place.environment_id}
    call("CreateService", input=where | {"name": name, "variables": {MARKER: "theirs"}})
    db = await ours.until(db, lambda each: "belongs to theirs" in said(each)[2])
    assert said(db)[:2] == ("False", "ServerUnreachable")
    (stranger,) = caretakers(railway, place)
    assert stranger.variables == {MARKER: "theirs"}
    await ours.gone(db)
    assert caretakers(railway, place) == [stranger]
    assert proxies_ever(railway, place) == 0


async def test_what_does_not_go_with_it_is_refused_before_anything_is_made(
    railway: RailwayDouble, place: Place, ours: Operator
) -> None:
    begins = private_database(bootstrap={"latest": {}})
    begins = await ours.until(begins, lambda each: said(each)[1] == "NotSupportedOnRailway")
    assert "spec.bootstrap: " in said(begins)[2]
    dumped = private_database(backup={"method": "Logical"})
    dumped = await ours.until(dumped, lambda each: said(each)[1] == "NotSupportedOnRailway")
    assert "spec.backup.method: " in said(dumped)[2]
    with pytest.raises(InvalidSpec, match=r"spec\.databaseRef"):
        await ours.platform.carry_out(private_database(), [steps.LoadBackup("r", "k", 1, "w")])
    assert instances(railway, place) == []
