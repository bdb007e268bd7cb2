"""`make bench PART=archiving`: receiving, what can be lost, what it costs. Needs no node.

`BENCH_WAL_GB` (2), `BENCH_ROUNDS` (3) and `BENCH_SECONDS` (60) say how much is done.
"""

from __future__ import annotations

import shutil
import subprocess

from bench import losable, receiving, requests
from bench.losable import DELAY, Site
from bench.runs import Failed

PEERS = ("postgresql-client-15", "postgresql-15")

HEAD = "\n## Archiving the log"

LOSSES = """
### What a lost volume takes with it

The age of what is acknowledged and not archived, p50 / p99 / p99.9 / max in ms over {seconds} s.
Outside: of rows of another client, from their acknowledgement until the store has them and all
before them. Inside: of the server's messages, from sent to acknowledged. The store lies in memory
behind a proxy that takes {delay:.0f} ms for each answer; the limit leaves some 30 % of the
processors free. Wanted with a limit: p99 500, p99.9 1,000; the maximum stands beside the machine's
pressure (percent of the time in which something waited for a processor / for the disk).

| load | a second | outside | inside | free | pressure |
|---|---|---|---|---|---|"""

COMMITS = """
### A commit under Zero

{clients} clients that commit one row each; the same store.

| | p50 ms | p99 | max | free | pressure |
|---|---|---|---|---|---|"""


def measure() -> str:
    """The tables."""
    provide()
    parts = [HEAD, receiving.measure()]
    with Site.made() as site:
        lasts = losable.seconds()
        rows = losable.losses(site)
        parts.append("\n".join([LOSSES.format(seconds=lasts, delay=1000 * DELAY), *map(str, rows)]))
        commits = [losable.commits(site, rpo) for rpo in ("Async", "Zero")]
        parts.append("\n".join([COMMITS.format(clients=losable.CLIENTS), *commits]))
        parts.append(requests.table(site))
    return "\n".join(parts)


def provide() -> None:
    """pg_receivewal and pgbench, of Debian's packages."""
    if shutil.which("pgbench") is None or shutil.which("pg_receivewal") is None:
        command = ["apt-get", "install", "--yes", "--no-install-recommends", *PEERS]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise Failed(f"{' '.join(command)}: {done.stderr[-1000:]}")


if __name__ == "__main__":
    print(measure())
