"""`make bench`: the tables of docs/benchmarks.md, ours and a peer side by side in one run.

Machines are noisy, so every figure is a ratio to something measured between ours, in turns, with
the same image, limits and probes; absolute seconds are printed beside it and judge nothing.
"""

from __future__ import annotations

import sys
from collections.abc import Callable

from bench import archiving, backups, document, estimates, gateway, railway, ready, recovery
from bench.kubectl import ROOT

PARTS: dict[str, Callable[[], str]] = {
    "ready": ready.measure,
    "idle": ready.idle,
    "estimates": estimates.on_the_node,
    "backups": backups.measure,
    "archiving": archiving.measure,
    "recovery": recovery.measure,
    "gateway": gateway.measure,
    "railway": railway.measure,
}
"""The first three need the node of `make up`."""


def main(parts: list[str]) -> int:
    """All of them, or those that are named."""
    unknown = set(parts) - set(PARTS)
    if unknown:
        print(f"make bench: no PART {', '.join(unknown)}; there are {', '.join(PARTS)}")
        return 2
    for part in parts or PARTS:
        text = PARTS[part]()
        print(text, flush=True)
        document.written(part, text)
    print(f"written: {document.DOCUMENT.relative_to(ROOT)}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
