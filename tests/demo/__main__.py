"""`make demo`: from a bare machine to a row written and read over TLS, told step by step.

Its story begins anew each time in the namespace `demo`; what it has made stays, to be looked at.
Every step is checked, and a row that differs ends it with an error. Standard library only, as the
node's bring-up is.
"""

from __future__ import annotations

import os
import shutil
import sys
import time
from collections.abc import Callable

from demo.on_kubernetes import Kubernetes
from demo.on_railway import Railway
from demo.provider import Provider
from demo.story import STEPS
from demo.telling import ROOT, tell
from node.errors import NodeError

FREE_GIB = 12

PROVIDERS: dict[str, Callable[[], Provider]] = {"kubernetes": Kubernetes, "railway": Railway}


def main() -> int:
    started = time.monotonic()
    try:
        provider = chosen(sys.argv[1:])
        preflight()
        tell("The cluster, and the operator from its chart")
        with provider.ready():
            for step in (*STEPS, *provider.also):
                step(provider)
    except NodeError as error:
        first = error.__context__ if isinstance(error.__context__, NodeError) else error
        print(f"\nmake demo failed: {first}", flush=True)
        return 1
    minutes = (time.monotonic() - started) / 60
    print(f"\nIt works ({minutes:.1f} min). {provider.told_at_the_end()}")
    print("and take it all away with: make down", flush=True)
    return 0


def chosen(words: list[str]) -> Provider:
    name = (words or ["kubernetes"])[0].lower()
    if name not in PROVIDERS:
        raise NodeError(f"PROVIDER={name} is unknown: {' or '.join(PROVIDERS)}")
    return PROVIDERS[name]()


def preflight() -> None:
    """Says what will happen to this machine, and asks where somebody can answer."""
    if os.environ.get("CLUSTER") == "context":
        print(f"Uses the context {os.environ.get('CONTEXT')!r} of your kubeconfig; nothing else.")
    else:
        if os.geteuid() != 0 and shutil.which("docker") is None:
            raise NodeError("needs root (for a node on this machine) or a Docker engine (for kind)")
        free = shutil.disk_usage(ROOT).free / 2**30
        if free < FREE_GIB:
            raise NodeError(f"needs {FREE_GIB} GB of free disk, there are {free:.0f}")
        print(
            "Brings up a real Kubernetes on this machine: installs Debian packages (containerd,\n"
            "runc, buildah, ...), builds Kubernetes and the images from source packages, makes a\n"
            "bridge, firewall rules and loop devices. State: /var/lib/postbase-node, cache:\n"
            "~/.cache/postbase. `make down` takes the node away, `make purge` the cache too.\n"
            "The first time takes about 20 minutes, later ones about one."
        )
    asks = sys.stdin.isatty() and os.environ.get("YES") != "1"
    if asks and input("Go on? [y/N] ").strip().lower() not in ("y", "yes"):
        raise NodeError("nothing was done (YES=1 does not ask)")


if __name__ == "__main__":
    sys.exit(main())
