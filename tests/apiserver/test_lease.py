"""Leader election on a real API server: one at a time, handed over when stopped, killed or cut off.

Times are a tenth of the product's; what is asserted are orders of events, never durations alone.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import replace

import pytest
from kubernetes.aio import client, config

from apiserver.access import Api
from postbase_operator.errors import Unavailable
from postbase_operator.kube.budget import WriteBudget
from postbase_operator.kube.kinds import LEASE, Body, Kind
from postbase_operator.kube.lease import Elector, LeaseLost, Timing
from postbase_operator.kube.session import Session

TIMING = Timing(duration=1.0, deadline=0.7, retry=0.2)
STEADY = Timing(duration=6.0, deadline=5.5, retry=0.2)
"""Where a leader must not lose its Lease because the machine stands still for a while."""
LONG = Timing(duration=60.0, deadline=50.0, retry=0.2)
"""Expires in no test."""


class Cuttable(Session):
    """A session whose connection can be cut: what it asks hangs, as behind a dead router."""

    cut = False

    async def find(self, kind: Kind, namespace: str | None, name: str) -> Body | None:
        if self.cut:
            await asyncio.sleep(3600)
        return await super().find(kind, namespace, name)

    async def replace(self, kind: Kind, namespace: str | None, body: Body, manager: str) -> Body:
        if self.cut:
            await asyncio.sleep(3600)
        return await super().replace(kind, namespace, body, manager)


@pytest.fixture
async def sessions(api: Api) -> AsyncIterator[list[Cuttable]]:
    made = []
    for _ in range(2):
        settings = client.Configuration()
        await config.load_kube_config(str(api.kubeconfig), client_configuration=settings)
        made.append(Cuttable(client.ApiClient(settings), WriteBudget(1000)))
    yield made
    for session in made:
        await session.close()


def elector(
    session: Session,
    namespace: str,
    identity: str,
    timing: Timing = TIMING,
    clock: Callable[[], float] = time.monotonic,
) -> Elector:
    return Elector(session, namespace, "operator", identity, timing, clock)


async def holder(session: Session, namespace: str) -> str:
    return str((await session.get(LEASE, namespace, "operator"))["spec"]["holderIdentity"])


async def test_one_leads_and_the_other_waits(sessions: list[Cuttable], namespace: str) -> None:
    first, second = (
        elector(s, namespace, name, STEADY) for s, name in zip(sessions, "ab", strict=True)
    )
    began, ended = time.monotonic(), list[float]()
    await first.acquire()
    keeping = asyncio.create_task(first.keep())
    keeping.add_done_callback(lambda _: ended.append(time.monotonic()))
    try:
        await asyncio.wait_for(second.acquire(), STEADY.duration * 1.5)
    except TimeoutError:
        assert keeping.done() or await holder(sessions[0], namespace) == "a"
    else:  # the first stood still for as long as it lasts, and has ended for it
        assert keeping.done(), "two lead"
        assert isinstance(keeping.exception(), LeaseLost)
    assert not ended or ended[0] - began >= STEADY.deadline, "it gave up without a reason"
    keeping.cancel()


async def test_an_orderly_end_hands_over_at_once(sessions: list[Cuttable], namespace: str) -> None:
    # It has `retry` for giving it back: that must not be too short for the machine.
    first = elector(sessions[0], namespace, "a", replace(LONG, retry=20.0))
    second = elector(sessions[1], namespace, "b", LONG)
    await first.acquire()
    waiting = asyncio.create_task(second.acquire())
    await asyncio.sleep(LONG.retry * 2)
    await first.release()
    await asyncio.wait_for(waiting, LONG.duration * 0.9)  # sooner than it would expire
    assert await holder(sessions[0], namespace) == "b"


async def test_a_killed_leader_is_followed(sessions: list[Cuttable], namespace: str) -> None:
    first = elector(sessions[0], namespace, "a")
    second = elector(sessions[1], namespace, "b", replace(TIMING, deadline=LONG.deadline))
    await first.acquire()  # and never renews: it was killed
    await asyncio.wait_for(second.acquire(), 30)
    assert await holder(sessions[0], namespace) == "b"
    with pytest.raises(
        TimeoutError
    ):  # and goes on leading: it took a dead one's Lease, no live one's
        await asyncio.wait_for(second.keep(), TIMING.duration * 2)
    transitions = (await sessions[0].get(LEASE, namespace, "operator"))["spec"]["leaseTransitions"]
    assert transitions == 2


async def test_one_that_is_cut_off_stops_before_another_begins(
    sessions: list[Cuttable], namespace: str
) -> None:
    first, second = (elector(s, namespace, name) for s, name in zip(sessions, "ab", strict=True))
    await first.acquire()
    order: list[str] = []

    async def lead() -> None:
        try:
            await first.keep()
        except LeaseLost:
            order.append("a stopped")

    async def follow() -> None:
        await second.acquire()
        order.append("b began")

    leading, following = asyncio.create_task(lead()), asyncio.create_task(follow())
    await asyncio.sleep(TIMING.retry * 3)
    sessions[0].cut = True
    await asyncio.wait_for(asyncio.gather(leading, following), 30)
    assert order == ["a stopped", "b began"]


async def test_a_leader_that_finds_another_in_its_place_stops(
    sessions: list[Cuttable], namespace: str
) -> None:
    first = elector(sessions[0], namespace, "a")
    await first.acquire()
    live = await sessions[1].get(LEASE, namespace, "operator")
    usurped = {**live, "spec": {**live["spec"], "holderIdentity": "b"}}
    await sessions[1].replace(LEASE, namespace, usurped, "test")
    with pytest.raises(LeaseLost):
        await asyncio.wait_for(first.keep(), 30)


async def test_an_api_server_that_errs_is_borne_until_the_deadline(
    sessions: list[Cuttable], namespace: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    failures = 0
    # By its clock only what fails takes time: so much is left after three failures, not four.
    first = elector(sessions[0], namespace, "a", clock=lambda: failures * TIMING.retry)
    await first.acquire()

    async def fail(*_: object) -> Body | None:
        nonlocal failures
        failures += 1
        raise Unavailable("Kubernetes API", "503")

    monkeypatch.setattr(sessions[0], "find", fail)
    monkeypatch.setattr(sessions[0], "replace", fail)
    with pytest.raises(LeaseLost):
        await asyncio.wait_for(first.keep(), 30)
    assert failures == 4


async def test_six_at_once_make_one_leader(api: Api, namespace: str) -> None:
    settings = client.Configuration()
    await config.load_kube_config(str(api.kubeconfig), client_configuration=settings)
    session = Session(client.ApiClient(settings), WriteBudget(1000))
    electors = [elector(session, namespace, f"e{n}") for n in range(6)]
    won = await asyncio.gather(*(e._attempt() for e in electors))
    assert sum(won) == 1
    await session.close()
