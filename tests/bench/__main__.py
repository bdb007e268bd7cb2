"""`make bench`: the tables of docs/benchmarks.md, ours and a peer side by side in one run.

Machines are noisy, so every figure is a ratio to something measured between ours, in turns, with
the same image, limits and probes; absolute seconds are printed beside it and judge nothing.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from bench import manifests

ROOT = Path(__file__).resolve().parents[2]
DOCUMENT = ROOT / "docs" / "benchmarks.md"
KUBECTL = [str(ROOT / ".cluster/bin/kubectl"), f"--kubeconfig={ROOT / '.cluster/kubeconfig'}"]
ROUNDS = 5


def kubectl(*words: str, stdin: str = "") -> str:
    done = subprocess.run(
        [*KUBECTL, *words], input=stdin, capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        raise SystemExit(f"make bench: kubectl {' '.join(words)}: {done.stderr.strip()}")
    return done.stdout


def timed(manifest: str, waits: list[tuple[str, ...]], namespace: str) -> float:
    """Seconds from the apply until every wait holds, in a namespace of its own."""
    kubectl("create", "namespace", namespace)
    kubectl("apply", f"--namespace={namespace}", "-f", "-", stdin=manifests.PROJECT)
    began = time.monotonic()
    kubectl("apply", f"--namespace={namespace}", "-f", "-", stdin=manifest)
    for wait in waits:
        kubectl("wait", f"--namespace={namespace}", "--timeout=300s", *wait)
    seconds = time.monotonic() - began
    kubectl("delete", "namespace", namespace, "--wait=true", "--timeout=300s")
    return seconds


def ours(count: int, run: int) -> float:
    names = [f"db-{n}" for n in range(count)]
    manifest = "---\n".join(manifests.database(name) for name in names)
    waits = [(f"database/{name}", "--for=condition=Ready") for name in names]
    return timed(manifest, waits, f"bench-ours-{count}-{run}")


def floor(count: int, run: int) -> float:
    names = [f"db-{n}" for n in range(count)]
    manifest = "---\n".join(manifests.bare(name, manifests.images()) for name in names)
    waits = [(f"pod/{name}-0", "--for=create") for name in names]
    waits += [(f"pod/{name}-0", "--for=condition=Ready") for name in names]
    return timed(manifest, waits, f"bench-bare-{count}-{run}")


def compare(count: int) -> str:
    """Ours and the floor in turns; the medians, and what is asked of them."""
    found: dict[str, list[float]] = {"bare StatefulSet": [], "Database": []}
    contenders: dict[str, Callable[[int, int], float]] = {
        "bare StatefulSet": floor,
        "Database": ours,
    }
    for run in range(ROUNDS):
        for name, contender in contenders.items():
            found[name].append(contender(count, run))
            print(f"{count} at once, {name}: {found[name][-1]:.1f} s", flush=True)
    lines = [f"\n### {count} at once\n", "| | median s | min | max |", "|---|---|---|---|"]
    for name, seconds in found.items():
        low, high = min(seconds), max(seconds)
        lines.append(f"| {name} | {statistics.median(seconds):.1f} | {low:.1f} | {high:.1f} |")
    medians = {name: statistics.median(seconds) for name, seconds in found.items()}
    ratio = medians["Database"] / medians["bare StatefulSet"]
    more = medians["Database"] - medians["bare StatefulSet"]
    lines.append(f"\nDatabase / bare = **{ratio:.2f}**, {more:+.1f} s.")
    return "\n".join(lines)


def main() -> int:
    commit = subprocess.run(
        ["git", "describe", "--always", "--dirty"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.strip()
    tables = [compare(1), compare(20)]
    document = manifests.HEAD.format(
        commit=commit, day=datetime.now(UTC).date(), rounds=ROUNDS, tables="\n".join(tables)
    )
    DOCUMENT.write_text(document)
    print(f"written: {DOCUMENT.relative_to(ROOT)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
