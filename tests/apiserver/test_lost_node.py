"""A pod whose node is gone stays Terminating: told, and given up only where the spec says so."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta

import pytest

from apiserver.access import Api
from apiserver.checks import check_alive
from apiserver.controllers import Controllers
from apiserver.interruptions import Clock
from apiserver.life import NAME, POD_NAME, Life, living, worlds_apart
from apiserver.loop import MANAGER
from postbase_operator.handlers import reconcile
from postbase_operator.kube.kinds import DATABASE, POD, Body
from postbase_operator.kube.session import Session

__all__ = ["worlds_apart"]
LATER = timedelta(minutes=10)
"""Later than a pod's grace, and the minute that its node's kubelet gets beside."""


class OnNode(Controllers):
    """Pods are bound to a node, which answers until it is gone."""

    def __init__(self, session: Session) -> None:
        super().__init__(session)
        self.node_is_gone = False

    async def _make_pod(self, workload: Body) -> None:
        template = workload["spec"]["template"]
        spec = {**template["spec"], "nodeName": "node-1"}
        bound = {**workload["spec"], "template": {**template, "spec": spec}}
        await super()._make_pod({**workload, "spec": bound})
        self.node_is_gone = False  # the next one is on another

    async def _pods(self) -> bool:
        pod = self.one(POD)
        waits = pod is not None and pod["metadata"].get("deletionGracePeriodSeconds", 0) > 0
        if waits and self.node_is_gone:
            return False  # nobody says that it has ended, so nobody takes it away
        return await super()._pods()


def play(
    api: Api,
    namespace: str,
    monkeypatch: pytest.MonkeyPatch,
    scene: Callable[[Life, Body], Awaitable[None]],
) -> None:
    """The scene, with a pod that was told to end and will never say that it has."""

    async def acted() -> None:
        async with living(api) as life:
            await life.begin(f"{namespace}-lost")
            life.controllers = controllers = OnNode(life.session)
            await life.provision()
            pod = life.controllers.objects[POD, POD_NAME]
            controllers.node_is_gone = True
            controllers.server = None
            # As the taint manager does when a node has not answered for long.
            await life.session.delete(POD, life.namespace, POD_NAME, pod["metadata"]["uid"])
            await life.until(lambda: told(life) == "Restarting")
            monkeypatch.setattr(reconcile, "now", lambda: datetime.now(UTC) + LATER)
            await scene(life, pod)

    with asyncio.Runner(loop_factory=Clock) as runner:
        runner.run(acted())


def ready(life: Life) -> Body:
    conditions = life.database["status"]["conditions"]
    found: Body = next(c for c in conditions if c["type"] == "Ready")
    return found


def told(life: Life) -> str:
    return str(ready(life)["reason"])


@pytest.mark.usefixtures("worlds_apart")
def test_a_lost_node_is_told_and_its_pod_is_left_alone(
    api: Api, namespace: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def scene(life: Life, pod: Body) -> None:
        await life.until(lambda: told(life) == "NodeLost")
        life.wire.writes.clear()
        await life.wait(50.0)
        assert "node.kubernetes.io/out-of-service" in ready(life)["message"]
        assert "spec.onNodeLoss: Replace" in ready(life)["message"]
        assert life.controllers.objects[POD, POD_NAME]["metadata"]["uid"] == pod["metadata"]["uid"]
        assert not life.wire.writes, life.wire.writes

    play(api, namespace, monkeypatch, scene)


@pytest.mark.usefixtures("worlds_apart")
def test_a_lost_node_is_given_up_once_where_the_spec_says_so(
    api: Api, namespace: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def scene(life: Life, pod: Body) -> None:
        await life.until(lambda: told(life) == "NodeLost")
        life.wire.writes.clear()
        patch = {"spec": {"onNodeLoss": "Replace"}}
        await life.session.merge(DATABASE, life.namespace, NAME, patch, MANAGER)
        await life.until(lambda: ready(life)["status"] == "True")
        given_up = [what for what in life.wire.writes if what.endswith(f"/pods/{POD_NAME}")]
        assert [what.split()[0] for what in given_up] == ["DELETE"]
        assert life.controllers.objects[POD, POD_NAME]["metadata"]["uid"] != pod["metadata"]["uid"]
        await check_alive(life)

    play(api, namespace, monkeypatch, scene)
