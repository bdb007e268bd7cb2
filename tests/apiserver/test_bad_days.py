"""The control plane's bad days: the operator as it is deployed, on a control plane that fails it.

Each ends well by itself: what was wanted is there, once, and what served went on serving.
"""

from __future__ import annotations

import asyncio
import json
import random
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from itertools import pairwise
from pathlib import Path

import pytest

from apiserver.loop import eventually, until
from apiserver.own_plane import OwnPlane, own_plane
from apiserver.relay import Request, ahead, ended, unrenewed
from apiserver.world import CHILDREN_MADE, SEEN, World, passes, world
from postbase_operator.errors import Conflict
from postbase_operator.kube.kinds import (
    PERSISTENT_VOLUME_CLAIM,
    SERVICE,
)
from postbase_operator.kube.lease import Timing
from postbase_operator.kube.refusals import NotFound

pytestmark = pytest.mark.timeout(300)
CLAIM = "main-1-1"
DEADLINE, DURATION = Timing().deadline, Timing().duration
OUTAGE = 120.0
"""Seconds without an API server. In real time: Lease, watches and back-offs all have their own."""
STEADY = {"STEADY_LEASE": "1"}
"""Where the Lease is not what a test is about: a machine that stands still costs no leader."""


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OwnPlane]:
    with own_plane(tmp_path_factory.mktemp("plane")) as made:
        yield made


@pytest.fixture(scope="module", autouse=True)
def outage(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Future[None] | None]:
    """Goes by beside the other tests, on a control plane of its own; the last one asks for it."""
    last = test_two_minutes_without_an_api_server.__name__
    if last not in {item.name for item in request.session.items}:
        yield None
        return
    folder = tmp_path_factory.mktemp("outage")
    with ThreadPoolExecutor(1) as beside:
        yield beside.submit(asyncio.run, two_minutes_without(folder))


# -- the API server is gone ----------------------------------------------------------------------


async def two_minutes_without(folder: Path) -> None:
    with own_plane(folder) as own:
        async with world(own) as it:
            await it.create("kept", "changed")
            await it.wells("kept", "changed")
            specs = {name: (await it.database(name))["spec"] for name in it.namespaces}
            servers = {name: seen.server for name, seen in it.namespaces.items()}
            own.kill()
            told = len(it.relay.log)
            await passes(OUTAGE)
            assert len(it.relay.log) - told < 5 * OUTAGE, "it spins"
            await come_back(it)
            await it.wells("kept", "changed")
            assert set(it.ends) == {1}, "it ends for its Lease, and then stands by"
            assert len(it.ends) <= 3, "it crashes again and again"
            assert {name: seen.server for name, seen in it.namespaces.items()} == servers
            assert (await it.database("kept"))["spec"] == specs["kept"]
            changed = {**specs["changed"], "parameters": {"work_mem": "8MB"}}
            assert (await it.database("changed"))["spec"] == changed
            assert it.made("changed") == CHILDREN_MADE
            assert "False" not in it.told_ready("kept", since=told)
            assert unrenewed(it.relay.log) < still_leads(it)
            # And its watches are open again.
            await take_service_away(it, "kept")
            await service_is_back(it, "kept")
            assert it.made("kept") == {**CHILDREN_MADE, "services": 4}


def still_leads(it: World) -> float:
    """Seconds after its last renewal in which it may write. The relay's clock may be late for a
    write by as long as it stood still, on each of its turns; and whoever stands still himself as he
    is about to write, or to end, does so once he goes on."""
    return DEADLINE + 3 * it.relay.stood_still + it.operator_stood_still()


async def come_back(it: World) -> None:
    """The API server; and before the operator reaches it, something else has written."""
    it.relay.dead = True
    await asyncio.to_thread(it.own.bring_back)
    await take_service_away(it, "kept")
    await it.change("changed", parameters={"work_mem": "8MB"})
    it.relay.dead = False
    await service_is_back(it, "kept")


async def take_service_away(it: World, name: str) -> None:
    live = await it.session.get(SERVICE, name, "main")
    uid = live["metadata"]["uid"]
    await it.session.delete(SERVICE, name, "main", uid)
    bare = {"metadata": {"finalizers": None, "uid": uid}}
    with suppress(NotFound, Conflict):  # gone at once, or another by now
        await it.session.merge(SERVICE, name, "main", bare, "collector")


async def service_is_back(it: World, name: str) -> None:
    async def probe() -> bool:
        live = await it.session.find(SERVICE, name, "main")
        return live is not None and "deletionTimestamp" not in live["metadata"]

    await eventually(probe, f"the Service of {name} is back", seconds=60)


# -- it refuses, for a while ---------------------------------------------------------------------


async def test_a_storm_of_refusals_is_weathered(own: OwnPlane) -> None:
    """Of every ten requests seven are refused, those of the watches too."""
    rate = 10
    async with world(own, POSTBASE_WRITES_PER_SECOND=str(rate), **STEADY) as it:
        # All but Secrets; until then it has written nothing but its Lease.
        await until(lambda: len(it.relay.watched) >= len(SEEN) - 1, "it watches")
        started = time.monotonic()
        await it.create("storm-still", "storm-changed", "storm-going")
        await it.wells("storm-still", "storm-changed", "storm-going")
        since = await it.ready("storm-still")
        dice, refused = random.Random(5), 0  # noqa: S311 - no secret

        def storm(request: Request) -> int | None:
            nonlocal refused
            if request.renews or dice.random() > 0.7:
                return None
            refused += 1
            return 1

        it.relay.refuse = storm
        stormed, begun = time.monotonic(), len(it.relay.log)
        it.relay.cut_watches()
        await it.create("storm-new", "storm-newer")
        await it.change("storm-changed", parameters={"work_mem": "8MB"})
        await it.delete("storm-going")
        await passes(8.0, doing=lambda: it.nudge("storm-still"))
        await until(lambda: refused > 15, "many are refused")
        it.relay.refuse = lambda _: None
        await it.wells("storm-still", "storm-changed", "storm-new", "storm-newer", seconds=90)
        await it.gone("storm-going")
        assert it.ends == []
        assert await it.ready("storm-still") == since
        assert it.asked("storm-still", since=begun), "it was not looked at"
        assert "False" not in it.told_ready("storm-still", since=begun)
        for name in ("storm-new", "storm-newer"):
            assert it.made(name) == CHILDREN_MADE
            assert [disk.made for disk in it.namespaces[name].disks.values()] == [1]
        writes = [each for each in it.relay.log if each.writes and not each.renews]
        assert ahead(writes, rate, started) < 1
        assert ahead(writes, rate, stormed) < 1 + rate  # and what was under way by then


async def test_an_edit_that_meets_the_write_of_a_status_is_looked_at(own: OwnPlane) -> None:
    """Its event is older than the answer that we have: it was once lost until the resync."""
    async with world(own) as it:
        await it.create("met")
        await it.wells("met")
        met: list[Request] = []

        async def meet(request: Request) -> None:
            """The last one of a change: nothing brings us back by itself after that."""
            tells = request.writes and request.path.endswith("/status")
            if not met and tells and "/namespaces/met/databases/" in request.path:
                told = json.loads(request.body)["status"]["conditions"]
                if {c["type"]: c["status"] for c in told}["Ready"] == "True":
                    met.append(request)
                    it.relay.watches_flow.clear()
                    await it.change("met", parameters={"work_mem": "9MB"})

        def has_the_answer() -> bool:
            """It posts the event of what it has told after that."""
            at = it.relay.log.index(met[0]) if met else len(it.relay.log)
            return any(each.path.endswith("/events") for each in it.relay.log[at:])

        await it.change("met", parameters={"work_mem": "8MB"})
        it.relay.before = meet
        await until(has_the_answer, "it has the answer before the event")
        it.relay.watches_flow.set()
        await it.wells("met", seconds=25)  # less than it takes to look at Secrets again


async def test_one_that_is_told_when_to_ask_again_asks_no_sooner(own: OwnPlane) -> None:
    async with world(own, **STEADY) as it:
        await it.create("patient")
        await it.wells("patient")
        asked: list[float] = []

        def refuse(request: Request) -> int | None:
            if "/namespaces/patient/configmaps" not in request.path:
                return None
            asked.append(request.at)
            return 4

        it.relay.refuse = refuse
        await it.change("patient", parameters={"work_mem": "8MB"})
        await until(lambda: len(asked) >= 3, "it has asked three times")
        it.relay.refuse = lambda _: None
        waits = [later - sooner for sooner, later in pairwise(asked)]
        assert min(waits) >= 4.0, waits
        await it.wells("patient")


# -- it is slow ----------------------------------------------------------------------------------


async def test_a_slow_etcd_is_waited_for(own: OwnPlane) -> None:
    """Stopped for two seconds of each two and a half, and once for longer than a Lease lasts."""
    async with world(own) as it:
        await it.create("slow-old")
        await it.wells("slow-old")
        await it.create("slow-new", "slow-newer")
        await it.change("slow-old", parameters={"work_mem": "8MB"})
        try:
            for seconds in (2.0, 2.0, 2.0, 2.0, 2.0, DEADLINE + 2.0):
                own.freeze()
                await passes(seconds)
                own.thaw()
                await passes(0.5)
        finally:
            own.thaw()
        await it.wells("slow-old", "slow-new", "slow-newer", seconds=90)
        assert unrenewed(it.relay.log) < still_leads(it), (
            "it wrote when it could not know that it leads"
        )
        assert set(it.ends) == {1}, "it went on without its Lease"
        for name in ("slow-new", "slow-newer"):
            twice = Counter(it.made(name)) - Counter(CHILDREN_MADE)
            assert not twice  # fewer: an answer was lost, and what is there was found
            assert [disk.made for disk in it.namespaces[name].disks.values()] == [1]


# -- the watches break ---------------------------------------------------------------------------


async def test_watches_that_are_cut_again_and_again_miss_nothing(own: OwnPlane) -> None:
    async with world(own, **STEADY) as it:
        await it.create("cut-1", "cut-2")
        await it.wells("cut-1", "cut-2")
        cuts = 0

        async def cut() -> None:
            nonlocal cuts
            while True:
                cuts += it.relay.cut_watches()
                await asyncio.sleep(0.3)

        cutting = asyncio.create_task(cut())
        await it.create("cut-3", "cut-4", "cut-5")
        await it.delete("cut-1")
        await it.wells("cut-3", "cut-4", "cut-5")
        await it.delete("cut-3")
        await it.change("cut-2", parameters={"work_mem": "8MB"})
        await it.gone("cut-1")
        await it.gone("cut-3")
        await it.wells("cut-2")
        await until(lambda: cuts >= 5 * len(it.relay.ever_watched), "each is cut five times")
        await ended(cutting)
        every = it.relay.ever_watched
        await until(lambda: it.relay.watched == every, "every watch is open again")
        await take_service_away(it, "cut-4")
        await service_is_back(it, "cut-4")
        assert it.ends == []
        assert it.made("cut-5") == CHILDREN_MADE


# -- its definitions go --------------------------------------------------------------------------


async def test_a_definition_that_went_and_came_back_begins_nothing_empty(own: OwnPlane) -> None:
    """All Databases go with it; their volumes stay, and are taken over when somebody says so."""
    async with world(own, **STEADY) as it:
        await it.create("defined")
        await it.wells("defined")
        (disk,) = it.namespaces["defined"].disks.values()
        system, uid = disk.system_id, (await it.database("defined"))["metadata"]["uid"]
        words = ("delete", "crd", "databases.postbase.sh", "--timeout=90s")
        await asyncio.to_thread(own.kubectl, *words)
        without = len(it.relay.log)
        await passes(20.0)
        assert len(it.relay.log) - without < 100, "it spins"
        assert len(it.ends) <= 1, "it crashes again and again"
        await asyncio.to_thread(own.apply_definitions)
        await it.apply("defined")
        found = await it.told("defined", "VolumeExists", seconds=120)
        assert "spec.adoptVolume" in found["message"]
        assert CLAIM in found["message"]
        assert (await it.database("defined"))["metadata"]["uid"] != uid
        claims = await it.session.list(PERSISTENT_VOLUME_CLAIM, "defined")
        assert [claim["metadata"]["name"] for claim in claims.items] == [CLAIM]
        await it.change("defined", adoptVolume=CLAIM)
        await it.wells("defined")
        (same,) = it.namespaces["defined"].disks.values()
        assert (same.system_id, same.made) == (system, 1)
        status = (await it.database("defined"))["status"]
        assert (status["systemId"], status["phase"]) == (system, "Running")


# -- and at last ---------------------------------------------------------------------------------


def test_two_minutes_without_an_api_server(outage: Future[None]) -> None:
    outage.result()
