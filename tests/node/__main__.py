"""`python3 -m node <command>`: the Makefile's way in. Each may be run again at any time."""

import argparse
import json
import signal
import sys
from collections.abc import Callable

from node import cluster, golang, images, programs, residue, status
from node.console import say
from node.errors import NodeError


def _programs() -> None:
    programs.provide()
    golang.provide_go()


def _build() -> None:
    programs.provide()
    programs.use_only_declared()
    golang.build()


def _images() -> None:
    _build()
    images.ensure()


def _residue() -> None:
    say(json.dumps(residue.snapshot(), indent=1))


COMMANDS: dict[str, tuple[Callable[[], None], str]] = {
    "programs": (_programs, "install the declared programs, link them in .cluster/bin"),
    "build": (_build, "build the Go programs into the cache"),
    "images": (_images, "build every image into the cache"),
    "up": (cluster.up, "the cluster with the operator of this checkout, Ready"),
    "install": (cluster.install, "the chart alone, on the cluster that is up"),
    "down": (cluster.down, "all of it gone; the cache stays"),
    "purge": (cluster.purge, "down, and the cache gone too"),
    "status": (status.show, "what runs, on one screen"),
    "residue": (_residue, "what this machine has of all that a node makes, as JSON"),
}


def main() -> int:
    parser = argparse.ArgumentParser(prog="node", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    for name, (_, summary) in COMMANDS.items():
        commands.add_parser(name, help=summary)
    command = parser.parse_args().command
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # `node status | head` is no failure
    try:
        COMMANDS[command][0]()
    except (NodeError, OSError) as error:
        say(f"node {command} failed: {error}")
        return 1
    except KeyboardInterrupt:
        say(f"node {command} was interrupted: run it again, it goes on from any state")
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
