"""The double of Railway: patches that are applied later, tokens, rates, plans, places."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from component.railway_caller import Caller, Failed, Place
from railway.clock import VirtualClock
from railway.double import RailwayDouble
from railway.settings import Settings


@pytest.fixture
def railway() -> Iterator[RailwayDouble]:
    with RailwayDouble(clock=VirtualClock(), processes=False) as double:
        yield double


@pytest.fixture
def call(railway: RailwayDouble) -> Caller:
    return Caller(railway, railway.token())


@pytest.fixture
def place(call: Caller) -> Place:
    return Place(call).made()


def on_hobby(**settings: Any) -> RailwayDouble:
    return RailwayDouble(Settings(**settings), VirtualClock(), processes=False, plan="HOBBY")


def test_a_commit_says_success_and_one_bad_value_rejects_all_of_it_later() -> None:
    with on_hobby() as railway:
        place = Place(Caller(railway, railway.token())).made()
        proxy: dict[str, Any] = {"networking": {"tcpProxies": {"5432": {}}}}
        volume = {place.volume: {"sizeMB": 6_000}}
        place.commit({"services": {place.service: proxy}, "volumes": volume})
        assert place.patches()[0]["status"] == "APPLYING"
        railway.advance(10)
        (patch,) = place.patches()
        assert patch["lastAppliedError"] == (
            "Max size of 5000 MB on current plan. Please select a valid size or upgrade"
        )
        assert patch["appliedAt"] is None
        assert place.proxy() is None
        assert place.instances()[0]["sizeMB"] == 5_000
        assert place.latest() is None


def test_a_volume_grows_without_a_deployment_and_never_shrinks(
    railway: RailwayDouble, place: Place
) -> None:
    for size in (60_000, 55_000):
        place.commit({"volumes": {place.volume: {"sizeMB": size}}})
        railway.advance(10)
    assert place.instances()[0]["sizeMB"] == 60_000
    assert "decreased" in place.patches()[0]["lastAppliedError"]
    assert place.latest() is None


def test_in_a_patch_an_omitted_key_stays_and_null_removes(
    railway: RailwayDouble, place: Place
) -> None:
    deploy = {"drainingSeconds": 60, "limitOverride": {"containers": {"cpu": 1}}}
    place.commit({"services": {place.service: {"deploy": deploy}}})
    variables = {"POSTBASE_OWNER": None, "NEW": {"value": "1"}}
    place.commit({"services": {place.service: {"variables": variables}}})
    railway.advance(10)
    config = place.call("EnvironmentConfig", environmentId=place.environment)["config"]
    service = config["services"][place.service]
    assert service["deploy"]["drainingSeconds"] == 60
    assert "POSTBASE_OWNER" not in service["variables"]
    assert service["variables"]["PGDATA"]
    assert service["variables"]["NEW"] == {"value": "1"}
    cleared = {"deploy": {"limitOverride": {"containers": None}}}
    place.commit({"services": {place.service: cleared}})
    railway.advance(10)
    assert place.call("ReadLimits", **place.where)["override"] is None


def test_a_patch_of_an_unknown_id_makes_nothing(railway: RailwayDouble, place: Place) -> None:
    place.commit({"services": {"nobody": {"source": {"image": "x"}}}})
    railway.advance(10)
    assert len(place.instances("serviceInstances")) == 1


def test_what_others_have_staged_is_committed_too(railway: RailwayDouble, place: Place) -> None:
    def staged() -> int:
        return int(place.call("EnvironmentState", **place.here)["unmergedChangesCount"])

    one = {"environmentId": place.environment}
    assert staged() == 0
    theirs = {"sharedVariables": {"THEIRS": {"value": "1"}}}
    mine = {"volumes": {place.volume: {"sizeMB": 60_000}}}
    place.call("StagePatch", **one, patch=theirs)
    first = place.call("StagePatch", **one, patch=mine)
    assert (first["status"], staged()) == ("STAGED", 2)
    place.call("CommitStaged", **one)
    flow = f"commitChanges/{place.environment}/{first['id']}"
    assert place.call("WorkflowState", workflowId=flow)["status"] == "NotFound"
    railway.advance(10)
    assert place.call("WorkflowState", workflowId=flow) == {"status": "Complete", "error": None}
    shared = place.call("EnvironmentConfig", **one)["config"]["sharedVariables"]
    assert (shared, staged()) == (theirs["sharedVariables"], 0)


def test_a_proxy_is_one_has_a_dot_and_is_in_no_configuration(
    railway: RailwayDouble, place: Place
) -> None:
    place.commit_proxy()
    railway.advance(0.15)
    proxy = place.proxy()
    assert (proxy["syncStatus"], proxy["domain"][-1]) == ("CREATING", ".")
    with pytest.raises(Failed, match="operation is already in progress"):
        place.call("DeleteTcpProxy", id=proxy["id"])
    railway.advance(1)
    assert place.proxy()["syncStatus"] == "ACTIVE"
    with pytest.raises(Failed, match="already exists"):
        place.call("CreateTcpProxyFallback", input=place.where | {"applicationPort": 5433})
    other: dict[str, Any] = {"networking": {"tcpProxies": {"5433": {}}}}
    place.commit({"services": {place.service: other}})
    railway.advance(1)
    assert "already exists" in place.patches()[0]["lastAppliedError"]
    config = place.call("EnvironmentConfig", environmentId=place.environment)["config"]
    assert "networking" not in config["services"][place.service]
    place.call("DeleteTcpProxy", id=proxy["id"])
    (row,) = place.call("ReadTcpProxies", **place.where)
    assert row["deletedAt"]
    assert row["syncStatus"] == "DELETING"


def test_without_skip_variables_deploy(railway: RailwayDouble, call: Caller) -> None:
    place = Place(call).deployed()
    before = place.latest()["id"]
    given = place.here | {"serviceId": place.service, "variables": {"A": "1"}}
    call("SetVariables", input=given | {"skipDeploys": True})
    assert place.latest()["id"] == before
    call("SetVariables", input=given)
    assert place.latest()["id"] != before
    which = {"projectId": place.project, **place.where}
    assert call("ReadVariables", **which)["POSTBASE_OWNER"] == "uid-1"
    call("SetVariables", input=given | {"replace": True})
    assert call("ReadVariables", **which) == {"A": "1"}


def test_references_are_resolved_by_the_name_of_a_service(call: Caller) -> None:
    place = Place(call).made()
    given = {"URL": "pg://${{RAILWAY_PRIVATE_DOMAIN}}/${{ POSTGRES_DB }}"}
    where = {"serviceId": place.service}
    skip = {"skipDeploys": True}
    call("SetVariables", input=place.here | where | skip | {"variables": given})
    other = place.make_service("receiver")
    where = {"serviceId": other}
    given = {"FROM": "${{shop-main.URL}}", "GONE": "<${{renamed.URL}}>"}
    call("SetVariables", input=place.here | where | skip | {"variables": given})
    rendered = call("ReadRenderedVariables", **place.here, **where)
    assert rendered["FROM"] == "pg://shop-main.railway.internal/railway"
    assert rendered["GONE"] == "<>"
    assert call("ReadVariables", **place.here, **where)["FROM"] == "${{shop-main.URL}}"


def test_tokens_open_what_is_theirs(railway: RailwayDouble, place: Place) -> None:
    other = railway.add_workspace("other", "HOBBY")
    stranger = Caller(railway, railway.token("workspace", other))
    with pytest.raises(Failed, match=r"^Not Authorized$"):
        stranger("ReadProject", id=place.project)
    with pytest.raises(Failed, match=r"^Project not found$"):
        stranger("ReadProject", id="nothing")
    account = Caller(railway, railway.token("account"))
    assert len(account("TokenWorkspaces")["workspaces"]) == 2
    value = railway.project_token(place.environment)
    own = Caller(railway, value, "Project-Access-Token")
    assert own("EnvironmentState", **place.here)["name"] == "production"
    given = {"name": "x", "workspaceId": railway.workspace_id}
    with pytest.raises(Failed, match=r"^Not Authorized$"):
        own("CreateProject", input=given)
    with pytest.raises(Failed, match=r"^Not Authorized$"):
        Caller(railway, value)("EnvironmentState", **place.here)
    with pytest.raises(Failed, match=r"^Not Authorized$"):
        Caller(railway, place.call.token, "Team-Access-Token")("TokenWorkspaces")
    railway.revoke(value)
    with pytest.raises(Failed, match=r"^project token not found$"):
        own("ProjectTokenScope")
    railway.revoke(place.call.token)
    with pytest.raises(Failed, match=r"^Not Authorized$"):
        place.latest()


def test_the_plan_limits_calls_by_hour_and_second() -> None:
    with on_hobby() as railway:
        call = Caller(railway, railway.token())
        for n in range(10):
            answer = call.send("query { apiToken { workspaces { id } } }")
            assert answer.headers["X-RateLimit-Limit"] == "1000"
            assert answer.headers["X-RateLimit-Remaining"] == str(999 - n)
        answer = call.send("query { apiToken { workspaces { id } } }")
        assert (answer.status, answer.headers["Retry-After"]) == (429, "1")
        railway.world.budgets[call.token].spent = 999
        railway.advance(1)
        assert call.send("{ apiToken { workspaces { id } } }").status == 200
        answer = call.send("{ apiToken { workspaces { id } } }")
        assert (answer.status, answer.headers["X-RateLimit-Remaining"]) == (429, "0")
        railway.advance(float(answer.headers["Retry-After"]))
        quota = call("WorkspaceQuota", workspaceId=railway.workspace_id)
        assert quota["apiTokenRateLimit"]["remainingPoints"] == 999


def test_a_caller_without_a_source_meets_a_page(call: Caller) -> None:
    call.source = ""
    answers = [call.send("{ apiToken { workspaces { id } } }") for _ in range(11)]
    assert {each.status for each in answers[:10]} == {200}
    assert answers[10].text.startswith("<!DOCTYPE html>")


def test_environments_of_which_only_forks_are_spared(call: Caller, place: Place) -> None:
    given = {"projectId": place.project, "name": "second"}
    second = call("CreateEnvironment", input=given)["id"]
    with pytest.raises(Failed, match="one environment can be created per user every 30s"):
        call("CreateEnvironment", input=given)
    call.double.advance(30)
    fork = call("CreateEnvironment", input=given | {"sourceEnvironmentId": place.environment})["id"]

    def names(environment: str) -> list[str]:
        which = {"environmentId": environment, "projectId": place.project}
        edges = call("EnvironmentState", **which)["serviceInstances"]["edges"]
        return [edge["node"]["serviceName"] for edge in edges]

    place.make_service("other")
    assert names(second) == ["other"]
    assert names(fork) == ["shop-main"]


def test_with_environments_for_pull_requests_connecting_fails(
    railway: RailwayDouble, call: Caller, place: Place
) -> None:
    image = {"image": place.image}
    call("ConnectService", id=place.service, input=image)
    railway.advance(10)
    assert place.latest()["status"] == "SUCCESS"
    given = {"name": "team", "workspaceId": railway.workspace_id, "prDeploys": True}
    project = call("CreateProject", input=given)
    here = {"projectId": project["id"], "environmentId": project["primaryEnvironmentId"]}
    made = call("CreateService", input=here | {"name": "web"})["id"]
    with pytest.raises(Failed, match="ServiceInstance not found"):
        call("ConnectService", id=made, input=image)
    where = {"serviceId": made, "environmentId": here["environmentId"]}
    call("UpdateServiceInstance", **where, input={"source": image})


def test_volumes_of_a_project_are_counted_by_plan() -> None:
    with on_hobby(rate_limited=False) as railway:
        place = Place(Caller(railway, railway.token()))
        made = [place.make_volume(serviceId=None) for _ in range(10)]
        with pytest.raises(Failed, match="Volume limit"):
            place.make_volume(serviceId=None)
        place.call("DeleteVolume", volumeId=made[0])
        place.make_volume(serviceId=None)


def test_a_retired_region_names_its_replacement(railway: RailwayDouble, place: Place) -> None:
    railway.retire_region("europe-west4-drams3a", "us-west2")
    found = place.call("Regions")
    told = {each["name"]: each["deploymentConstraints"]["deprecationInfo"] for each in found}
    gone = {"isDeprecated": True, "replacementRegion": "us-west2"}
    assert told["europe-west4-drams3a"] == gone
    assert told["us-west2"] is None
    with pytest.raises(Failed, match="deprecated"):
        place.configure(region="europe-west4-drams3a")


def test_a_region_that_is_not_the_volumes_fails_the_deployment(
    railway: RailwayDouble, place: Place
) -> None:
    place.configure(multiRegionConfig={"europe-west4-drams3a": {"numReplicas": 1}})
    made = place.call("Deploy", **place.where)
    railway.advance(10)
    assert place.deployment(made)["status"] == "FAILED"
    steps = place.call("DeploymentSteps", id=made)["edges"]
    assert "another region" in steps[-1]["node"]["payload"]["error"]
    europe = {"europe-west4-drams3a": {"numReplicas": 1}, "us-west2": None}
    place.commit({"volumes": {place.volume: {"region": "europe-west4-drams3a"}}})
    place.commit({"services": {place.service: {"deploy": {"multiRegionConfig": europe}}}})
    railway.advance(0.12)
    assert place.instances()[0]["state"] == "MIGRATION_PENDING"
    railway.advance(10)
    assert place.instances()[0]["state"] == "READY"
    assert place.latest()["status"] == "SUCCESS"


def test_the_usage_limit_stops_databases(railway: RailwayDouble, call: Caller) -> None:
    place = Place(call).deployed()
    railway.reach_usage_limit()
    railway.advance(10)
    latest = place.latest()
    assert (latest["status"], latest["deploymentStopped"]) == ("SUCCESS", True)
    with pytest.raises(Failed, match="Usage limit"):
        call("Deploy", **place.where)


def test_calls_are_counted(railway: RailwayDouble, call: Caller) -> None:
    Place(call).deployed()
    counted = railway.counted()
    assert counted["serviceCreate"] == counted["volumeCreate"] == 1
    assert railway.counted(since=railway.clock.now() + 1) == {}
