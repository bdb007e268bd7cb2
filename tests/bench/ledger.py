"""`make bench-long`: random losses of a volume, each restored and compared with what was promised.

python -m bench.ledger RUNS    every fifth run is Async, where the youngest rows may be lost
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from component.ledger import RATE, Course, Ledger, Outcome
from component.servers import making
from postbase_operator.api.policies import RecoveryPoint

ASYNC_EVERY = 5
HEAD = """
| | runs | acknowledged | slowest second before a kill | lost | oldest lost, ms |
|---|---|---|---|---|---|"""


def table(found: dict[RecoveryPoint, list[Outcome]]) -> str:
    lines = [HEAD]
    for rpo, outcomes in found.items():
        if outcomes:
            lost = [age for each in outcomes for age in each.lost.values()]
            lines.append(
                f"| {rpo} | {len(outcomes)} | {sum(len(each.noted) for each in outcomes)} "
                f"| {min(each.rate for each in outcomes)} | {len(lost)} "
                f"| {1000 * max(lost, default=0.0):.0f} |"
            )
    return "\n".join(lines)


def main(runs: int) -> int:
    found: dict[RecoveryPoint, list[Outcome]] = {rpo: [] for rpo in RecoveryPoint}
    with tempfile.TemporaryDirectory() as folder, making() as servers:
        ledger = Ledger.made(servers, Path(folder))
        for seed in range(runs):
            zero = (seed + 1) % ASYNC_EVERY
            course = Course.drawn(seed, RecoveryPoint.ZERO if zero else RecoveryPoint.ASYNC)
            outcome = ledger.run(course)
            found[course.rpo].append(outcome)
            told = f"{len(outcome.noted)} acknowledged, {len(outcome.lost)} lost"
            print(f"{seed}: {course.rpo}, {', '.join(course.order)}: {told}", flush=True)
    print(table(found))
    broken = any(each.lost for each in found[RecoveryPoint.ZERO])
    idle = any(each.rate < RATE for outcomes in found.values() for each in outcomes)
    return int(broken or idle)


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1])))
