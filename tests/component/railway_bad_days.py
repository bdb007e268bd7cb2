"""Two hundred provisions on bad days, drawn from a seed, on a clock that the test moves.

In the end there is one service, one volume and one proxy, and a database that answers; or a
condition says what a person must change. Deleted, it leaves nothing. `RAILWAY_SEED=n` draws other
days; what fails names its seed. PostgreSQL is not run here: test_railway_platform_killed.py beside
this file has it really started, and killed. The tests are test_railway_fault_runs*.py.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random

from component.railway_caller import Caller
from component.railway_clocked import Process, Script, Site
from component.railway_operator import (
    REGION,
    Killed,
    instances,
    is_ready,
    new_place,
    proxies,
    railway_database,
    said,
    volumes,
)
from postbase_operator.api.database import Database
from postbase_operator.railway.graphql.budget import HOBBY, PRO
from postbase_operator.railway.graphql.reads import Place
from railway.clock import VirtualClock
from railway.double import RailwayDouble
from railway.errors import VOLUMES_TOO_QUICKLY
from railway.execution import Answer
from railway.faults import (
    Blocked,
    Crashes,
    Fault,
    Gateway,
    Lost,
    NotFoundFor,
    PatchRejected,
    Problem,
    Refuses,
    Revoked,
    Stale,
    TooMany,
)
from railway.settings import PLANS, Delays, Settings

SEED = int(os.environ.get("RAILWAY_SEED", "0"))
TESTS, RUNS = 20, 10
FIRST, SECOND = range(TESTS // 2), range(TESTS // 2, TESTS)
"""Of the tests, in two files: a worker takes a file, and two may share them."""
PATIENCE = 3 * 3600.0
"""Seconds of the virtual clock: a commit that was rejected is made again after a quarter of an
hour, and a run may meet several."""
QUIET = 120.0
REPLACEMENT = "us-west2"
CHANGES = (
    "serviceCreate",
    "serviceInstanceUpdate",
    "volumeCreate",
    "volumeUpdate",
    "variableCollectionUpsert",
    "serviceInstanceLimitsUpdate",
    "environmentPatchCommit",
    "serviceInstanceDeployV2",
    "tcpProxyDelete",
    "serviceDelete",
    "volumeDelete",
)


@dataclass
class Retired(Fault):
    """Railway gives the region up right before the call."""

    def before(self, double: RailwayDouble, field: str) -> Answer | None:  # noqa: ARG002 - a Fault's
        double.retire_region(REGION, REPLACEMENT)
        return None


Drawn = tuple[str, Fault]
DAYS: dict[str, Callable[[Random], Drawn]] = {
    "429": lambda draw: ("*", TooMany(draw.randint(1, 60))),
    "504 after success": lambda draw: (draw.choice(CHANGES), Gateway(504)),
    "503, not done": lambda _: ("*", Gateway(503, done=False)),
    "no answer": lambda draw: (draw.choice(CHANGES), Lost()),
    "problem": lambda draw: (draw.choice(CHANGES), Problem(draw.random() < 0.5)),
    "not found for 8 s": lambda _: ("serviceCreate", NotFoundFor(8)),
    "a page": lambda draw: ("*", Blocked(draw.choice((200, 403)))),
    "rejected later": lambda _: ("environmentPatchCommit", PatchRejected("Something went wrong")),
    "too quickly": lambda _: ("volumeCreate", Refuses(VOLUMES_TOO_QUICKLY)),
    "late to show": lambda draw: (draw.choice(CHANGES[:8]), Stale(draw.uniform(1, 9))),
    "crashes": lambda draw: ("environmentPatchCommit", Crashes(draw.randint(1, 12))),
    "revoked": lambda _: ("*", Revoked()),
    "region retired": lambda _: ("*", Retired()),
}
EARLY = ("not found for 8 s", "too quickly", "rejected later", "crashes")
"""Of requests that each provision sends once: armed from the start, or they would miss it."""


@dataclass
class Day:
    """What one run meets, all of it drawn from its seed."""

    seed: int
    names: list[str] = field(default_factory=list)
    full: bool = False
    keeps: bool = False
    plan: str = "HOBBY"

    @classmethod
    def of(cls, seed: int) -> tuple[Day, Script, Random]:
        draw = Random(seed)  # noqa: S311 - a test that can be repeated
        names = draw.sample(list(DAYS), draw.randint(1, 4))
        day = cls(seed, names, draw.random() < 0.1, draw.random() < 0.3)
        day.plan = draw.choice(("HOBBY", "PRO"))
        faults = {
            0 if name in EARLY and name == names[0] else draw.randrange(30): DAYS[name](draw)
            for name in names
        }
        deaths = draw.sample(range(1, 45), draw.choice((0, 0, 1, 2, 5)))
        return day, Script(faults, frozenset(deaths)), draw


@dataclass
class Life:
    """One Database, from nothing to nothing; its operators come and go."""

    day: Day
    site: Site
    db: Database
    reasons: set[str] = field(default_factory=set)
    """Why it was not Ready, in the conditions' words."""

    @property
    def told(self) -> str:
        return f"RAILWAY_SEED={SEED}, {self.day}: {said(self.db)}; before: {sorted(self.reasons)}"

    async def until(self, step: Callable[[Process], object]) -> None:
        """Runs processes until `step`, a coroutine, answers None."""
        ends = self.site.double.clock.now() + PATIENCE
        while True:
            try:
                async with self.site.process() as ours:
                    while (wait := await step(ours)) is not None:  # type: ignore[misc]
                        assert self.site.double.clock.now() < ends, self.told
                        await self.site.rest(wait)
                        if self._is_locked_out():
                            break  # a person brings a new token, and the operator starts anew
                    else:
                        return
            except Killed:
                pass
            await self.site.rest(3)

    def _is_locked_out(self) -> bool:
        if not self.site.double.world.state.tokens[self.site.token].revoked:
            return False
        self.site.token = self.site.double.token()
        return True

    async def provision(self, ours: Process) -> float | None:
        self.db, wait = await ours.look(self.db)
        status, reason, message = said(self.db)
        if status != "True":
            self.reasons.add(reason)
            assert message, self.told
        return None if is_ready(self.db) or is_stalled(self.db) else max(wait, 0.1)


def is_stalled(db: Database) -> bool:
    return said(db, "Stalled")[0] == "True"


def filled(double: RailwayDouble, place: Place) -> None:
    """As many volumes of others as the plan allows."""
    call = Caller(double, double.token("account"))
    here = {"projectId": place.project_id, "environmentId": place.environment_id}
    for number in range(PLANS[double.plan].volumes or 0):
        double.advance(0.3)
        made = call("CreateService", input=here | {"name": f"other-{number}", "variables": {}})
        mount = {"serviceId": made["id"], "mountPath": "/data"}
        call("CreateVolume", input=here | mount)


def refusal(day: Day) -> set[str]:
    """What may be told of it, for a person to change; nothing else may."""
    told = {"PlanLimitExceeded"} if day.full else set()
    return told | ({"UnknownRegion"} if "region retired" in day.names else set())


async def check_one_of_each(life: Life) -> None:
    double, place = life.site.double, life.site.place
    (service,) = [each for each in instances(double, place) if "POSTBASE_OWNER" in each.variables]
    (volume,) = [each for each in volumes(double, place) if each.service_id == service.service_id]
    (proxy,) = proxies(double, place)
    assert proxy.service_id == service.service_id, life.told
    assert len(double.world.boxes) == 1, life.told
    assert life.db.status.railway is not None
    assert life.db.status.railway.volume_id == volume.volume_id
    assert life.site.disks[volume.volume_id].password == service.variables["POSTGRES_PASSWORD"]


async def stays_so(life: Life) -> None:
    """Left alone it asks for nothing, and is Ready as it was."""
    double, since = life.site.double, life.site.double.clock.now()
    life.site.script = Script()
    async with life.site.process() as ours:
        while double.clock.now() < since + QUIET:
            life.db, wait = await ours.look(life.db)
            await life.site.rest(min(max(wait, 5.0), QUIET / 4))
    assert is_ready(life.db), life.told
    changes = set(double.counted(since)) & set(CHANGES)
    assert not changes, (changes, life.told)


async def one_life(seed: int) -> Life:
    day, script, draw = Day.of(seed)
    settings = Settings(delays=Delays.railway())
    with RailwayDouble(settings, VirtualClock(), processes=False, plan=day.plan) as double:
        place = new_place(double)
        if day.full:
            filled(double, place)
        strangers = double.left_behind()
        rates = PRO if day.plan == "PRO" else HOBBY
        db = railway_database(deletionPolicy="Retain" if day.keeps else "Delete")
        site = Site(double, place, double.token(), rates, draw=draw, script=script)
        life = Life(day, site, db)
        await life.until(life.provision)
        if is_ready(life.db):
            await check_one_of_each(life)
            await stays_so(life)
            site.script = script
        else:
            assert said(life.db)[1] in refusal(day), life.told
        await life.until(lambda ours: ours.destroy(life.db))
        await site.rest(60)
        asked_twice = [c for c in double.calls if "Service already has a volume" in c.errors]
        assert not asked_twice, life.told
        left = [each for each in double.left_behind() if each not in strangers]
        kept = site.ring.opens.get(db.metadata.uid, [])
        assert left == [f"volume {name}" for name in kept], life.told
        assert day.keeps or not kept, life.told
        return life


async def bad_days(number: int) -> None:
    """Ten of them."""
    seeds = seeds_of(number)
    print(f"RAILWAY_SEED={SEED}, {seeds.start} to {seeds.stop - 1} of {TESTS * RUNS}")
    lives = [await one_life(seed) for seed in seeds]
    # No proof of anything where nothing went wrong.
    assert sum(bool(life.reasons - {"Starting"}) for life in lives) > RUNS / 2
    assert sum(life.site.script.died for life in lives) > 0


def seeds_of(number: int) -> range:
    first = SEED + number * RUNS
    return range(first, first + RUNS)
