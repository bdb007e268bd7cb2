"""How many requests Databases on Railway take, beside what a plan allows: counted by the double.

`make bench PART=railway`. No PostgreSQL runs and the clock is virtual, so that each run counts the
same. The operator's queue, its workers and its count of what a token may send are the product's;
each request takes 0.2 s of that clock.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from bench.fleet import Fleet
from postbase_operator.railway.graphql.budget import HOBBY, PRO, Rates
from railway.clock import VirtualClock
from railway.double import RailwayDouble
from railway.settings import Delays, Settings
from railway.virtual_loop import VirtualLoop

HOUR = 3600.0
PATIENCE = 12 * HOUR

HEAD = """\
## Requests to Railway

Counted by the double of Railway, with its times of a good day, on a virtual clock. Databases are
applied at once. A window is an hour of the token, whoever uses it. 10 and 20 are as many as a
project has volumes for: 100 are ten projects on Hobby, and five on Pro, each with an operator of
its own, which knows of the others only what Railway says is left to their token.

| plan | Databases | operators | all are Ready after | requests | for each | most in an hour | \
most in a second | an idle hour | most in a second | refused (429) | the plan allows an hour | \
a second |
|---|---|---|---|---|---|---|---|---|---|---|---|---|"""


@dataclass(frozen=True)
class Case:
    plan: str
    shares: tuple[int, ...]
    """Databases of each operator."""
    rates: Rates


CASES = (
    Case("HOBBY", (1,), HOBBY),
    Case("HOBBY", (10,), HOBBY),
    Case("HOBBY", (10,) * 10, HOBBY),
    Case("PRO", (20,), PRO),
    Case("PRO", (20,) * 5, PRO),
)


@dataclass(frozen=True)
class Span:
    """What was asked for within it. Times are the clock's."""

    double: RailwayDouble
    since: float
    until: float

    def _served(self) -> list[float]:
        calls = [call for call in self.double.calls if self.since <= call.at < self.until]
        return [call.at for call in calls if call.status != 429]

    @property
    def requests(self) -> int:
        return len(self._served())

    @property
    def most_in_a_second(self) -> int:
        """Wherever it begins."""
        served, first, most = self._served(), 0, 0
        for last, at in enumerate(served):
            while served[first] <= at - 1:
                first += 1
            most = max(most, last - first + 1)
        return most

    @property
    def most_in_a_window(self) -> int:
        """Each begins with the first request after the one before."""
        begins, most, count = -HOUR, 0, 0
        for at in self._served():
            if at >= begins + HOUR:
                begins, count = at, 0
            count += 1
            most = max(most, count)
        return most


async def counted(double: RailwayDouble, case: Case) -> str:
    clock, fleet = double.clock, Fleet(double)
    async with fleet.running(case.shares):
        began = clock.now()
        await asyncio.wait_for(fleet.ready.wait(), PATIENCE)
        made = clock.now()
        await asyncio.sleep(HOUR / 6)  # what comes right after is no idling
        idle = clock.now()
        await asyncio.sleep(HOUR)
        return row(case, double, Span(double, began, made), Span(double, idle, idle + HOUR))


def row(case: Case, double: RailwayDouble, making: Span, idling: Span) -> str:
    refused = sum(call.status == 429 for call in double.calls)
    assert idling.requests < case.rates.per_window
    databases = sum(case.shares)
    cells = (
        case.plan.capitalize(),
        databases,
        len(case.shares),
        f"{making.until - making.since:,.0f} s",
        f"{making.requests:,}",
        f"{making.requests / databases:.1f}",
        f"{making.most_in_a_window:,}",
        making.most_in_a_second,
        f"{idling.requests:,}",
        idling.most_in_a_second,
        refused,
        f"{case.rates.per_window:,}",
        case.rates.per_second,
    )
    return f"| {' | '.join(map(str, cells))} |"


def measured(case: Case) -> str:
    settings, clock = Settings(delays=Delays.railway()), VirtualClock()
    with (
        RailwayDouble(settings, clock, processes=False, plan=case.plan) as double,
        asyncio.Runner(loop_factory=lambda: VirtualLoop(clock)) as runner,
    ):
        return runner.run(counted(double, case))


def measure() -> str:
    lines = [HEAD]
    for case in CASES:
        lines.append(measured(case))
        print(lines[-1], flush=True)
    return "\n".join(lines)
