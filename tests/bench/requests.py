"""What the writes to the store cost, by how busy a database is: counted for a while, and scaled."""

from __future__ import annotations

import time
from collections.abc import Callable

from bench.losable import Site, run, seconds

PRICE = 0.005 / 1000
"""USD a PUT: S3 Standard."""
HOURS = 730
"""Of a month."""
FASTER = 20
"""So often as in a pod does the heart of an idle database beat here."""
RATE = 50.0
"""Transactions a second while a database is busy."""

INTRO = """
### Requests and their price

PUTs counted over {seconds} s and scaled to an hour; while busy {rate:.0f} transactions a second
come. For the idle database the heart beats {faster} times as often as in a pod, and the count is
divided by that. At 0.005 USD for 1,000 (S3 Standard); deletions are free.

| | PUTs an hour | USD a month |
|---|---|---|"""


def idle(site: Site) -> float:
    with site.receiving(beat=600.0 / FASTER):
        return _counted(site, time.sleep) / FASTER


def busy(site: Site) -> float:
    with site.receiving():
        return _counted(site, lambda lasts: run(site, None, RATE, lasts))


def now_and_then(site: Site) -> float:
    """A second in ten."""

    def load(lasts: int) -> None:
        for _ in range(max(1, lasts // 10)):
            run(site, None, RATE, 1)
            time.sleep(9)

    with site.receiving():
        return _counted(site, load)


def _counted(site: Site, load: Callable[[int], object]) -> float:
    before, began = site.proxy.puts, time.monotonic()
    load(seconds())
    return (site.proxy.puts - before) / (time.monotonic() - began) * 3600


def table(site: Site) -> str:
    head = INTRO.format(seconds=seconds(), rate=RATE, faster=FASTER)
    rows = {"idle": idle, "busy a tenth of the time": now_and_then, "always busy": busy}
    lines = [head]
    for name, count in rows.items():
        puts = count(site)
        lines.append(f"| {name} | {puts:.0f} | {puts * HOURS * PRICE:.2f} |")
        print(lines[-1], flush=True)
    return "\n".join(lines)
