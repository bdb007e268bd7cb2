"""From apply to Ready beside a bare StatefulSet, and what a fleet costs that nobody touches."""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from bench import figures, manifests
from bench.figures import Spent
from bench.kubectl import kubectl

IDLE_SECONDS = 120.0


@dataclass
class Found:
    """Of one number of Databases: seconds by contender and round, and what the operator spent."""

    count: int
    bare: list[float] = field(default_factory=list)
    ours: list[float] = field(default_factory=list)
    spent: list[Spent] = field(default_factory=list)

    def each(self, values: Iterable[float]) -> float:
        return statistics.median(values) / self.count


def measure() -> str:
    """The tables. `BENCH_NODE_ROUNDS` (5) says how often."""
    rounds = int(os.environ.get("BENCH_NODE_ROUNDS", "5"))
    found = [table(compare(count, rounds)) for count in (1, 20)]
    return manifests.READY.format(rounds=rounds, tables="\n".join(found))


@contextmanager
def namespace(name: str) -> Iterator[str]:
    """Fresh, and gone afterwards: what it held goes first, or the namespace waits for its pods."""
    kubectl("create", "namespace", name)
    kubectl("apply", f"--namespace={name}", "-f", "-", stdin=manifests.PROJECT)
    yield name
    everything = ("databases,statefulsets,persistentvolumeclaims", "--all", "--timeout=300s")
    kubectl("delete", f"--namespace={name}", *everything)
    kubectl("delete", "namespace", name, "--timeout=300s")
    settle()


def settle() -> None:
    """Until the provisioner has freed the volumes: their deletion must not slow the next round."""
    deadline = time.monotonic() + 120
    while "bench-" in kubectl("get", "persistentvolumes", "-o", "jsonpath={..claimRef.namespace}"):
        if time.monotonic() > deadline:
            raise SystemExit("make bench: volumes of the last round do not go")
        time.sleep(1)


def timed(where: str, manifest: str, waits: Iterable[tuple[str, ...]]) -> float:
    began = time.monotonic()
    kubectl("apply", f"--namespace={where}", "-f", "-", stdin=manifest)
    for wait in waits:
        kubectl("wait", f"--namespace={where}", "--timeout=300s", *wait)
    return time.monotonic() - began


def bare(where: str, count: int) -> float:
    names = [f"db-{n}" for n in range(count)]
    waits = [(f"pod/{name}-0", "--for=create") for name in names]
    waits += [(f"pod/{name}-0", "--for=condition=Ready") for name in names]
    known = manifests.images()
    return timed(where, "---\n".join(manifests.bare(name, known) for name in names), waits)


def ours(where: str, count: int) -> tuple[float, Spent]:
    names = [f"db-{n}" for n in range(count)]
    waits = [(f"database/{name}", "--for=condition=Ready") for name in names]
    before = figures.leader()
    seconds = timed(where, "---\n".join(map(manifests.database, names)), waits)
    return seconds, Spent.between(before, figures.leader())


def compare(count: int, rounds: int) -> Found:
    """Ours and the floor in turns."""
    found = Found(count)
    for run in range(rounds):
        with namespace(f"bench-bare-{count}-{run}") as where:
            found.bare.append(bare(where, count))
        with namespace(f"bench-ours-{count}-{run}") as where:
            seconds, spent = ours(where, count)
        found.ours.append(seconds)
        found.spent.append(spent)
        print(
            f"{count} at once: bare {found.bare[-1]:.1f} s, ours {seconds:.1f} s, {spent}",
            flush=True,
        )
    return found


def idle() -> str:
    """Twenty that are Ready, and their sidecars' weight."""
    count = 20
    with namespace("bench-idle") as where:
        ours(where, count)
        time.sleep(IDLE_SECONDS)  # let the controllers finish what the start-up set in motion
        before, served = figures.leader(), figures.api_server()
        time.sleep(IDLE_SECONDS)
        after, taken = figures.leader(), figures.api_server()
        weights = figures.sidecars()
    spent = Spent.between(before, after)
    minutes = IDLE_SECONDS / 60
    others = figures.writes_in_cluster(served, taken)
    return manifests.IDLE.format(
        count=count,
        writes=spent.writes / minutes,
        requests=spent.requests / minutes / count,
        cpu=spent.cpu_seconds / IDLE_SECONDS,
        cluster=", ".join(f"{name} {n / minutes:.1f}" for name, n in others.items()) or "none",
        resident=spent.resident_mib,
        sidecars=len(weights),
        median=statistics.median(weights),
        heaviest=max(weights),
    )


def table(found: Found) -> str:
    rows = {"bare StatefulSet": found.bare, "Database": found.ours}
    lines = [f"\n### {found.count} at once\n", "| | median s | min | max |", "|---|---|---|---|"]
    for name, seconds in rows.items():
        low, high = min(seconds), max(seconds)
        lines.append(f"| {name} | {statistics.median(seconds):.1f} | {low:.1f} | {high:.1f} |")
    floor, own = statistics.median(found.bare), statistics.median(found.ours)
    lines.append(f"\nDatabase / bare = **{own / floor:.2f}**, {own - floor:+.1f} s.")
    lines.append(
        "The operator, medians for each Database to Ready: "
        f"{found.each(s.cpu_seconds for s in found.spent):.2f} CPU-s, "
        f"{found.each(s.requests for s in found.spent):.1f} API requests "
        f"({found.each(s.writes for s in found.spent):.1f} of them writes); "
        f"resident afterwards {max(s.resident_mib for s in found.spent):.0f} MiB."
    )
    return "\n".join(lines)
