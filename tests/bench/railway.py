"""How many requests Databases on Railway take, beside what a plan allows: counted by the double.

`make bench PART=railway`. No process runs and the clock is virtual, so that each run counts the
same. Databases take turns, as with one worker; each request takes 0.2 s of that clock.
"""

from __future__ import annotations

import asyncio
import heapq
from collections import Counter
from dataclasses import dataclass, field

from component.railway_clocked import Process, Site
from component.railway_operator import is_ready, new_place, railway_database
from postbase_operator.api.database import Database
from postbase_operator.railway.budget import HOBBY, PRO, Rates
from railway.clock import VirtualClock
from railway.double import RailwayDouble
from railway.settings import Delays, Settings

LATENCY = (0.2, 0.2)
HOUR = 3600.0
PATIENCE = 4 * HOUR

HEAD = """\
## Requests to Railway

Counted by the double of Railway, with its times of a good day, on a virtual clock. Databases are
applied at once and made one after another. A window is an hour of the token, whoever uses it.
Looks take half of a window at most, and so come less often on a smaller plan. 10 and 20 are as many
as a project has volumes for.

| plan | Databases | all are Ready after | requests | for each | most in a second | an idle hour | \
most in a second | the plan allows an hour | a second |
|---|---|---|---|---|---|---|---|---|---|"""


@dataclass(frozen=True)
class Case:
    plan: str
    databases: int
    rates: Rates


CASES = (
    Case("HOBBY", 1, HOBBY),
    Case("HOBBY", 10, HOBBY),
    Case("PRO", 20, PRO),
)


@dataclass
class Fleet:
    """All Databases of an environment, each looked at when it is due."""

    ours: Process
    all: dict[str, Database]
    due: list[tuple[float, str]] = field(default_factory=list)

    async def until(self, end: float, *, ready: bool) -> None:
        """To that moment, or until all are Ready."""
        clock = self.ours.site.double.clock
        while self.due and self.due[0][0] <= end and not (ready and self._are_ready()):
            at, uid = heapq.heappop(self.due)
            await self.ours.site.rest(max(0.0, at - clock.now()))
            self.all[uid], wait = await self.ours.look(self.all[uid])
            heapq.heappush(self.due, (clock.now() + wait, uid))
        assert not ready or self._are_ready()

    def _are_ready(self) -> bool:
        return all(is_ready(db) for db in self.all.values())


def databases(count: int) -> dict[str, Database]:
    made = {}
    for number in range(count):
        db = railway_database()
        uid = f"{number:08d}-0000-4000-8000-000000000000"
        named = {"name": f"shop-{number}", "uid": uid}
        made[uid] = db.model_copy(update={"metadata": db.metadata.model_copy(update=named)})
    return made


def busiest(double: RailwayDouble, since: float, until: float) -> int:
    """Most requests within one second of the clock."""
    seconds = Counter(int(call.at) for call in double.calls if since <= call.at < until)
    return max(seconds.values(), default=0)


def requests(double: RailwayDouble, since: float, until: float) -> int:
    return sum(since <= call.at < until for call in double.calls)


async def counted(case: Case) -> str:
    settings = Settings(delays=Delays.railway())
    with RailwayDouble(settings, VirtualClock(), processes=False, plan=case.plan) as double:
        place, clock = new_place(double), double.clock
        site = Site(double, place, double.token(), case.rates, LATENCY)
        async with site.process() as ours:
            began = clock.now()
            fleet = Fleet(ours, databases(case.databases))
            fleet.due = [(began, uid) for uid in fleet.all]
            await fleet.until(began + PATIENCE, ready=True)
            made = clock.now()
            await fleet.until(made + HOUR / 6, ready=False)  # what comes right after is no idling
            idle = clock.now()
            await fleet.until(idle + HOUR, ready=False)
            return row(case, double, (began, made), (idle, idle + HOUR))


def row(
    case: Case, double: RailwayDouble, making: tuple[float, float], idling: tuple[float, float]
) -> str:
    provision, idle = requests(double, *making), requests(double, *idling)
    refused = sum(call.status == 429 for call in double.calls)
    assert not refused, f"{refused} requests were more than {case.plan} allows"
    assert idle < case.rates.per_window
    cells = (
        case.plan.capitalize(),
        case.databases,
        f"{making[1] - making[0]:.0f} s",
        provision,
        f"{provision / case.databases:.1f}",
        busiest(double, *making),
        idle,
        busiest(double, *idling),
        f"{case.rates.per_window:,}",
        case.rates.per_second,
    )
    return f"| {' | '.join(map(str, cells))} |"


def measure() -> str:
    lines = [HEAD]
    for case in CASES:
        lines.append(asyncio.run(counted(case)))
        print(lines[-1], flush=True)
    return "\n".join(lines)
