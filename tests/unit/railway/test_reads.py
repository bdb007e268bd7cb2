"""What is read of Railway's answers: whole lists, one look for all, states that are not what they
seem."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from postbase_operator.errors import NotReady, Unavailable
from postbase_operator.railway.graphql import changes, reads
from postbase_operator.railway.graphql.client import Client, TokenKind
from postbase_operator.railway.graphql.deployments import Deployment, Standing
from postbase_operator.railway.graphql.faults import NotAuthorized, NotFound, UnknownOutcome
from postbase_operator.railway.graphql.models import TcpProxy, VolumeInstance
from postbase_operator.railway.graphql.reads import Place
from unit.railway.server import Reply, error, ok, served

PLACE = Place("p1", "e1")


def page(nodes: list[Any], cursor: str | None = None) -> dict[str, Any]:
    info = {"hasNextPage": cursor is not None, "endCursor": cursor}
    return {"edges": [{"node": node} for node in nodes], "pageInfo": info}


def instance(number: int) -> dict[str, Any]:
    return {
        "serviceId": f"s{number}",
        "serviceName": f"db-{number}",
        "region": "europe-west4-drams3a",
        "source": {"image": "postgres:17"},
        "latestDeployment": {"id": f"d{number}", "status": "SUCCESS", "meta": {"image": "i"}},
        "activeDeployments": [],
    }


def volume(number: int, **more: Any) -> dict[str, Any]:
    ids = {"id": f"vi{number}", "volumeId": f"v{number}", "serviceId": f"s{number}"}
    sizes = {"mountPath": "/d", "sizeMB": 5000, "currentSizeMB": 12.5}
    return ids | sizes | {"volume": {"name": "a"}} | more


def proxy(number: int, **more: Any) -> dict[str, Any]:
    where = {"domain": "x.proxy.rlwy.net.", "proxyPort": 40000 + number, "applicationPort": 5432}
    return {"id": f"t{number}", "syncStatus": "ACTIVE"} | where | more


def seen(services: dict[str, Any], volumes: dict[str, Any], **proxies: Any) -> Reply:
    shown = {"id": "e1", "name": "production", "configEtag": "1", "unmergedChangesCount": 2}
    return ok(
        environment=shown | {"serviceInstances": services, "volumeInstances": volumes}, **proxies
    )


@pytest.mark.trap("proxy-only-by-query", "look-per-database")
async def test_one_request_shows_all_databases_of_an_environment() -> None:
    answer = seen(
        page([instance(1), instance(2)]),
        page([volume(1), volume(2, isPendingDeletion=True)]),
        proxy0=[proxy(1, deletedAt="2026-11-28T12:00:00Z"), proxy(2)],
        proxy1=[],
    )
    async with served(answer) as (server, railway):
        state = await reads.environment(railway, PLACE, ["s1", "s2", "s1"])
    assert len(server.bodies) == 1
    sent = server.bodies[0]["variables"]
    assert (sent["service0"], sent["service1"]) == ("s1", "s2")
    assert "service2" not in sent
    assert (state.unmerged, state.config_etag) == (2, "1")
    found = state.named("db-1")
    assert found is not None
    assert found is state.service("s1")
    assert found.image == "postgres:17"
    assert found.latest_deployment is not None
    assert found.latest_deployment.image == "i"
    assert [each.size_mb for each in state.volumes_of("s1")] == [5000]
    assert state.volumes_of("s2") == ()  # it is seen for 48 hours more
    way = state.proxy_of("s1")
    assert way is not None
    assert (way.id, way.domain, way.proxy_port, way.ready) == (
        "t2",
        "x.proxy.rlwy.net",
        40002,
        True,
    )
    assert state.proxies["s2"] == ()


async def test_all_pages_of_both_lists_are_read() -> None:
    async with served(
        seen(page([instance(1)], "a"), page([volume(1)])),
        seen(page([instance(2)], "b"), page([])),
        seen(page([instance(3)]), page([volume(9)])),
    ) as (server, railway):
        state = await reads.environment(railway, PLACE, ["s1"])
    assert [each.service_id for each in state.services] == ["s1", "s2", "s3"]
    assert [each.volume_id for each in state.volumes] == ["v1"]
    assert [body["variables"].get("after") for body in server.bodies] == [None, "a", "b"]
    assert ["proxy0" in body["query"] for body in server.bodies] == [True, False, False]


@pytest.mark.parametrize("words", ["ServiceInstance not found", "Not Authorized"])
async def test_a_service_that_is_gone_does_not_take_the_sight_of_the_others(words: str) -> None:
    async with served(
        error(words, "proxy1"),
        seen(page([instance(1)]), page([]), proxy0=[proxy(1)], proxy1=[proxy(3)]),
    ) as (server, railway):
        state = await reads.environment(railway, PLACE, ["s1", "gone", "s3"])
    assert set(state.proxies) == {"s1", "s3"}
    assert len(server.bodies) == 2
    third = state.proxy_of("s3")
    assert third is not None
    assert third.id == "t3"


@pytest.mark.parametrize(
    ("words", "kind"), [("Environment not found", NotFound), ("Not Authorized", NotAuthorized)]
)
async def test_what_is_said_of_the_environment_counts(words: str, kind: type[Exception]) -> None:
    async with served(error(words, "environment")) as (server, railway):
        with pytest.raises(kind):
            await reads.environment(railway, PLACE, ["s1"])
    assert len(server.bodies) == 1


@pytest.mark.parametrize("cursor", ["a", ""])
async def test_a_list_that_leads_in_circles_ends(cursor: str) -> None:
    told = ok(projects=page([{"id": "p", "name": "n"}], cursor))
    async with served(told) as (server, railway):
        with pytest.raises(Unavailable, match="does not end"):
            await reads.projects(railway, "w1")
    assert len(server.bodies) == 2


async def test_what_is_being_deleted_is_not_listed() -> None:
    nodes = [
        {"id": "p1", "name": "a"},
        {"id": "p2", "name": "a", "deletedAt": "2026-11-28T12:00:00Z"},
    ]
    async with served(ok(projects=page(nodes))) as (_, railway):
        assert [each.id for each in await reads.projects(railway, "w1")] == ["p1"]


async def test_the_rest_is_read_as_what_it_is() -> None:
    moment = datetime(2026, 11, 28, tzinfo=UTC)
    cases: list[tuple[Any, Reply, Any]] = [
        (
            lambda c: reads.token_place(c),
            ok(projectToken={"projectId": "p1", "environmentId": "e1"}),
            PLACE,
        ),
        (lambda c: reads.limits(c, PLACE, "s"), ok(override=None), None),
        (lambda c: reads.variables(c, PLACE, "s"), ok(variables={"A": "1"}), {"A": "1"}),
        (lambda c: reads.logs(c, "d", since=moment), ok(deploymentLogs=[]), ()),
        (lambda c: reads.measured(c, PLACE, "s", moment), ok(metrics=[]), ()),
        (lambda c: reads.tcp_proxies(c, PLACE, "s"), ok(tcpProxies=[]), ()),
        (lambda c: reads.recent_patches(c, "e1"), ok(environmentPatches=page([])), ()),
        (lambda c: reads.environments(c, "p1"), ok(environments=page([])), ()),
        (lambda c: reads.services(c, "p1"), ok(project={"services": page([])}), ()),
        (lambda c: reads.deployment_steps(c, "d"), ok(deploymentEvents=page([])), ()),
        (lambda c: reads.workspaces(c, TokenKind.WORKSPACE), ok(apiToken={"workspaces": []}), ()),
    ]
    for ask, answer, expected in cases:
        async with served(answer) as (_, railway):
            assert await ask(railway) == expected
    async with served(ok(workspace={"plan": "HOBBY"})) as (_, railway):
        assert (await reads.quota(railway, "w1")).plan == "HOBBY"
    async with served(ok(project={"id": "p", "name": "n", "subscriptionType": "pro"})) as (
        _,
        railway,
    ):
        assert (await reads.project(railway, "p")).subscription_type == "pro"
    async with served(ok(workflowStatus={"status": "Running"})) as (_, railway):
        assert (await reads.workflow(railway, "w")).status == "Running"
    async with served(ok(deployment={"id": "d", "status": "NEW_WORD"})) as (_, railway):
        assert (await reads.deployment(railway, "d")).standing is Standing.COMING
    told = {"isDeprecated": True, "replacementRegion": "europe-west4-drams3a"}
    region = {"name": "europe-west4", "deploymentConstraints": {"deprecationInfo": told}}
    async with served(ok(regions=[region, {"name": "us-west2"}])) as (_, railway):
        assert [each.replacement for each in await reads.regions(railway)] == [
            "europe-west4-drams3a",
            None,
        ]
    override = {"containers": {"cpu": 0.5, "memoryBytes": 512_000_000}}
    async with served(ok(override=override)) as (_, railway):
        limits = await reads.limits(railway, PLACE, "s")
    assert limits is not None
    assert limits.containers is not None
    assert (limits.containers.cpu, limits.containers.memory_bytes) == (0.5, 512_000_000)


@pytest.mark.parametrize(
    ("status", "stopped", "instances", "standing"),
    [
        ("SUCCESS", False, [], Standing.RUNNING),
        ("SUCCESS", False, ["RUNNING"], Standing.RUNNING),
        ("SUCCESS", False, ["EXITED", "RUNNING"], Standing.RUNNING),
        ("SUCCESS", False, ["RESTARTING"], Standing.RUNNING),
        ("SUCCESS", False, ["EXITED"], Standing.STOPPED),
        ("SUCCESS", False, ["CRASHED"], Standing.FAILED),
        ("SUCCESS", True, ["RUNNING"], Standing.STOPPED),
        ("SLEEPING", False, [], Standing.STOPPED),
        ("CRASHED", False, [], Standing.FAILED),
        ("FAILED", False, [], Standing.FAILED),
        ("SKIPPED", False, [], Standing.FAILED),
        ("REMOVED", False, [], Standing.GONE),
        ("QUEUED", False, [], Standing.COMING),
        ("NEEDS_APPROVAL", False, [], Standing.COMING),
        ("A_NEW_WORD", False, [], Standing.COMING),
    ],
)
@pytest.mark.trap("success-is-started")
def test_success_is_not_all_that_counts(
    status: str, stopped: bool, instances: list[str], standing: Standing
) -> None:
    told = {"id": "d", "status": status, "deploymentStopped": stopped}
    deployment = Deployment.model_validate(
        told | {"instances": [{"status": each} for each in instances], "meta": "text"}
    )
    assert deployment.standing is standing
    assert deployment.image is None


@pytest.mark.parametrize(
    ("more", "gone"),
    [
        ({}, False),
        ({"state": "READY"}, False),
        ({"state": "UPDATING"}, False),
        ({"state": "DELETING"}, True),
        ({"deletedAt": "2026-11-28T12:00:00Z"}, True),
        ({"isPendingDeletion": True}, True),
    ],
)
@pytest.mark.trap("deleted-volume-shown")
def test_a_volume_that_waits_for_its_end_is_gone(more: dict[str, Any], gone: bool) -> None:
    assert VolumeInstance.model_validate(volume(1, **more)).gone is gone


@pytest.mark.parametrize("status", ["CREATING", "UPDATING", "UNSPECIFIED", "DELETED", "NEW"])
@pytest.mark.trap("proxy-only-by-query")
def test_a_proxy_is_ready_when_it_is_active(status: str) -> None:
    assert not TcpProxy.model_validate(proxy(1, syncStatus=status)).ready


@pytest.mark.trap("instance-found-late")
async def test_a_young_service_is_not_gone() -> None:
    missing = error("ServiceInstance not found", "serviceInstanceUpdate")
    async with served(missing) as (_, railway):
        with pytest.raises(NotReady):
            await changes.update_instance(railway, PLACE, "s1", {}, young=True)
        with pytest.raises(NotFound):
            await changes.update_instance(railway, PLACE, "s1", {})
    async with served(error("Project not found")) as (_, railway):
        with pytest.raises(NotFound):
            await changes.update_instance(railway, PLACE, "s1", {}, young=True)


@pytest.mark.parametrize(
    ("delete", "words"),
    [
        (lambda c: changes.delete_service(c, PLACE, "s1"), "Service not found"),
        (lambda c: changes.delete_service(c, PLACE, "s1"), "ServiceInstance not found"),
        (lambda c: changes.delete_volume(c, "v1"), "Volume not found"),
        (lambda c: changes.delete_tcp_proxy(c, "t1"), "TCP proxy not found"),
    ],
)
async def test_gone_already_is_fine_but_not_what_was_around_it(delete: Any, words: str) -> None:
    async with served(error(words)) as (_, railway):
        await delete(railway)
    for other in ("Project not found", "Not Authorized", "Region not found"):
        async with served(error(other)) as (_, railway):
            with pytest.raises(Exception, match=other):
                await delete(railway)


async def call(railway: Client, name: str) -> Any:
    made: dict[str, Any] = {
        "projectCreate": lambda: changes.create_project(railway, "w1", "a", "production"),
        "environmentCreate": lambda: changes.create_environment(railway, "p1", "a"),
        "serviceCreate": lambda: changes.create_service(railway, PLACE, "a", {"K": "v"}),
        "volumeCreate": lambda: changes.create_volume(railway, PLACE, "s1", "/d", None),
        "volumeUpdate": lambda: changes.rename_volume(railway, "v1", "a"),
        "variableCollectionUpsert": lambda: changes.set_variables(railway, PLACE, "s1", {"K": "v"}),
        "serviceInstanceLimitsUpdate": lambda: changes.set_limits(railway, PLACE, "s1", 0.5, 0.6),
        "deploymentRestart": lambda: changes.restart(railway, "d1"),
        "deploymentStop": lambda: changes.stop(railway, "d1"),
        "environmentPatchCommit": lambda: changes.commit(railway, PLACE, {"services": {}}, "m"),
        "serviceInstanceDeployV2": lambda: changes.deploy(railway, PLACE, "s1"),
    }
    return await made[name]()


@pytest.mark.parametrize(
    ("name", "inputs"),
    [
        ("projectCreate", {"name": "a", "prDeploys": False, "workspaceId": "w1"}),
        ("environmentCreate", {"name": "a", "projectId": "p1"}),
        ("serviceCreate", {"name": "a", "variables": {"K": "v"}, "environmentId": "e1"}),
        ("volumeCreate", {"environmentId": "e1", "serviceId": "s1", "mountPath": "/d"}),
        ("volumeUpdate", {"name": "a"}),
        ("variableCollectionUpsert", {"skipDeploys": True, "variables": {"K": "v"}}),
        ("serviceInstanceLimitsUpdate", {"vCPUs": 0.5, "memoryGB": 0.6}),
    ],
)
async def test_what_changes_send(name: str, inputs: dict[str, Any]) -> None:
    made = {"id": "x", "name": "a"}
    answer = made if name.endswith("Create") or name == "volumeUpdate" else True
    async with served(ok(**{name: answer})) as (server, railway):
        await call(railway, name)
    sent = server.bodies[0]["variables"]["input"]
    assert sent == sent | inputs
    assert not {"source", "region", "replace"}.intersection(sent)


async def test_changes_that_answer_an_id_or_nothing() -> None:
    for name, answer in (("deploymentRestart", True), ("deploymentStop", True)):
        async with served(ok(**{name: answer})) as (_, railway):
            assert await call(railway, name) is None
    for name in ("environmentPatchCommit", "serviceInstanceDeployV2"):
        async with served(ok(**{name: "id"})) as (_, railway):
            assert await call(railway, name) == "id"
        async with served(ok(**{name: None})) as (_, railway):
            with pytest.raises(UnknownOutcome):
                await call(railway, name)
