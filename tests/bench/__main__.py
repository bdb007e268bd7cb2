"""`make bench`: the tables of docs/benchmarks.md, ours and a peer side by side in one run.

Machines are noisy, so every figure is a ratio to something measured between ours, in turns, with
the same image, limits and probes; absolute seconds are printed beside it and judge nothing.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime

from bench import archiving, backups, estimates, figures, gateway, manifests, recovery
from bench.figures import Spent
from bench.kubectl import ROOT, kubectl

DOCUMENT = ROOT / "docs" / "benchmarks.md"
ROUNDS = 5
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


def idle(count: int) -> str:
    """What a fleet costs that nobody touches, and what its sidecars weigh."""
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


PARTS = {
    "archiving": archiving.measure,
    "backups": backups.measure,
    "gateway": gateway.measure,
    "recovery": recovery.measure,
}
"""What needs no node: `make bench PART=archiving` prints its tables."""


def main(parts: list[str]) -> int:
    if parts:
        print("\n".join(PARTS[part]() for part in parts))
        return 0
    described = ["git", "describe", "--always", "--dirty"]
    done = subprocess.run(described, cwd=ROOT, capture_output=True, text=True, check=True)
    tables = [table(compare(1, ROUNDS)), table(compare(20, ROUNDS)), idle(20)]
    with namespace("bench-estimates") as where:
        tables.append(estimates.measure(where))
    tables += [backups.measure(), archiving.measure(), recovery.measure(), gateway.measure()]
    DOCUMENT.write_text(
        manifests.HEAD.format(
            commit=done.stdout.strip(),
            day=datetime.now(UTC).date(),
            rounds=ROUNDS,
            tables="\n".join(tables),
        )
    )
    print(f"written: {DOCUMENT.relative_to(ROOT)}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
