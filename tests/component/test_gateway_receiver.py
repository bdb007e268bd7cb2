"""A restart of the WAL receiver by the REST API: at a port, or by an annotation where none is."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import aiohttp
import pytest

from component.gateway_server import NAMESPACE, Running, gateway
from postbase_operator.kube.kinds import DATABASE, Body

RECEIVER = {"state": "Running", "startedAt": "2026-01-20T10:00:00Z", "bytesReceived": 7}
PATH = "/projects/project-0/databases/main/pitr/restart-receiver"


def database(**spec: Any) -> Body:
    wanted = {
        "projectRef": {"name": "project-0"},
        "postgresVersion": "15",
        "storage": {"size": "1G"},
        "pitr": {"enabled": True},
    }
    return {
        "metadata": {
            "name": "main",
            "namespace": NAMESPACE,
            "uid": str(UUID(int=7)),
            "resourceVersion": "1",
            "creationTimestamp": "2026-01-20T10:00:00Z",
        },
        "spec": wanted | spec,
        "status": {"pitr": {"enabled": True, "receiver": RECEIVER}},
    }


async def restarted(running: Running, body: Body) -> tuple[int, dict[str, Any]]:
    running.index.put(DATABASE, body)
    running.cluster.objects[DATABASE.kind, NAMESPACE, "main"] = body
    headers = running.headers | {"X-Request-Id": "again-please"}
    async with (
        aiohttp.ClientSession() as session,
        session.post(f"{running.url}{PATH}", headers=headers) as answer,
    ):
        return answer.status, await answer.json()


@pytest.mark.parametrize("managed", [False, True])
async def test_on_railway_it_is_asked_for_by_an_annotation(managed: bool) -> None:
    body = database(provider="Railway", region="europe-west4-drams3a")
    if managed:
        body["metadata"]["labels"] = {"kustomize.toolkit.fluxcd.io/name": "shop"}
    async with gateway() as running:
        status, told = await restarted(running, body)
        (written,) = running.cluster.writes
    assert (status, told["data"]["status"]) == (202, "restarting")
    assert told["data"]["bytes_received"] == 7
    notes = written["metadata"]["annotations"]
    assert notes["postbase.sh/request-restart-receiver"] == "again-please"
    assert "spec" not in written


async def test_a_sidecar_that_is_not_reached_is_told_and_nothing_is_written() -> None:
    async with gateway() as running:
        status, told = await restarted(running, database())
        assert running.cluster.writes == []
    assert (status, told["error"]["code"]) == (503, "SERVICE_UNAVAILABLE")


async def test_without_archiving_there_is_none() -> None:
    async with gateway() as running:
        off = database(provider="Railway", region="europe-west4-drams3a", pitr={"enabled": False})
        status, told = await restarted(running, off)
        assert running.cluster.writes == []
    assert (status, told["error"]["code"]) == (409, "PITR_NOT_ENABLED")
