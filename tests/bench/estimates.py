"""Whether a restore takes as long as its plan has said: ten in place, one after another.

`make bench PART=estimates`, on the node of `make up`. Each has more data and another length of log
than the one before it; the first plans have nothing to rest on but usual speeds.
`BENCH_RESTORES` says how many (default 10).
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from bench.kubectl import kubectl
from bench.ready import namespace

WITHIN = 0.3
MIB = 2**20
MEGABYTES = (40, 120, 20, 200, 60, 160, 30, 240, 100, 80)
"""Of rows that are written before each."""
NAME = "estimated"
DATABASE = """\
apiVersion: postbase.sh/v1alpha1
kind: Database
metadata: {name: estimated}
spec:
  projectRef: {name: bench}
  postgresVersion: "15"
  storage: {size: 4Gi}
  pitr: {enabled: true, retentionDays: 1}
  deletionPolicy: Delete
"""
RESTORE = """\
apiVersion: postbase.sh/v1alpha1
kind: PitrRestore
metadata: {{name: {name}}}
spec:
  databaseRef: {{name: estimated}}
  source: {{targetTime: "{moment}"}}
  target: {{inPlace: {{}}}}
  keepPrevious: 1m
"""
NOW = "SELECT to_char(clock_timestamp() AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"')"
PATIENCE = 900.0


@dataclass(frozen=True)
class Told:
    """One restore: what its plan said, and what became of it."""

    content: int
    log: int
    estimated: int
    by: str
    took: float

    @property
    def error(self) -> float:
        """Of what it took."""
        return abs(self.estimated - self.took) / self.took


@contextmanager
def running(where: str) -> Iterator[None]:
    kubectl("apply", f"--namespace={where}", "-f", "-", stdin=DATABASE)
    in_place = (f"--namespace={where}", f"database/{NAME}", "--timeout=300s")
    kubectl("wait", *in_place, "--for=condition=Ready")
    kubectl("wait", *in_place, "--for=jsonpath={.status.pitr.recoveryWindow.from}")
    sql(where, "CREATE TABLE load (body text)")
    yield


def sql(where: str, statement: str) -> str:
    words = ("psql", "-U", "postgres", "-d", "app", "-AtqX", "-v", "ON_ERROR_STOP=1")
    pod = (f"{NAME}-1-0", f"--namespace={where}", "--container=postgres")
    return kubectl("exec", *pod, "--", *words, "-c", statement).strip()


def told(where: str, number: int) -> Told:
    """Writes, restores to the moment after that, and waits for the end."""
    megabytes = MEGABYTES[number % len(MEGABYTES)]
    rows = f"SELECT repeat(md5(n::text), 31) FROM generate_series(1, {megabytes * 1024}) n"  # noqa: S608
    sql(where, f"INSERT INTO load {rows}")
    name, moment = f"number-{number}", sql(where, NOW)
    sql(where, "INSERT INTO load VALUES ('after the target')")
    made = RESTORE.format(name=name, moment=moment)
    kubectl("apply", f"--namespace={where}", "-f", "-", stdin=made)
    status = _ended(where, name)
    plan = status["plan"]
    begun, done = (datetime.fromisoformat(status[each]) for each in ("startedAt", "completedAt"))
    return Told(
        content=plan["contentBytes"],
        log=plan["logBytes"],
        estimated=plan["estimatedSeconds"],
        by=plan["estimatedBy"],
        took=(done - begun).total_seconds(),
    )


def _ended(where: str, name: str) -> dict[str, Any]:
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        live = json.loads(kubectl("get", "pitrrestore", name, f"--namespace={where}", "-o", "json"))
        status: dict[str, Any] = live.get("status") or {}
        if status.get("phase") == "Completed":
            return status
        if status.get("phase") == "Failed":
            raise SystemExit(f"make bench: {name} has failed: {status['conditions']}")
        time.sleep(1)
    raise SystemExit(f"make bench: {name} has not ended in {PATIENCE:.0f} s: {status}")


INTRO = """
## What a plan says, and what it takes

{count} restores in place to a moment, one after another, of one Database that grows: from the first
step until it accepts connections. Wanted: within 30 %. **{right} of {count} were.**

| | content MiB | log MiB | said s | took s | off by | by |
|---|---|---|---|---|---|---|"""


def table(found: list[Told]) -> str:
    right = sum(each.error <= WITHIN for each in found)
    lines = [INTRO.format(count=len(found), right=right)]
    for number, each in enumerate(found, 1):
        sizes = f"{each.content / MIB:.0f} | {each.log / MIB:.0f}"
        seconds = f"{each.estimated} | {each.took:.0f} | {each.error:.0%}"
        lines.append(f"| {number} | {sizes} | {seconds} | {each.by} |")
    return "\n".join(lines)


def measure(where: str) -> str:
    """The table, in a namespace with a Project."""
    count = int(os.environ.get("BENCH_RESTORES", "10"))
    with running(where):
        found = []
        for number in range(count):
            found.append(told(where, number))
            print(f"restore {number + 1}: {found[-1]}", flush=True)
    return table(found)


def on_the_node() -> str:
    """The table, in a namespace of its own."""
    with namespace("bench-estimates") as where:
        return measure(where)
