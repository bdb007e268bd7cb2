"""What plays a part in the story from this machine's side of the bridge: programs of the tests, in
their Python environment, which end with it."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

from demo.telling import ROOT
from node import paths
from node.errors import NodeError

ENDS_WITHIN = 60.0


def is_here() -> bool:
    """Pods reach this machine where the cluster is the node on it."""
    return os.environ.get("CLUSTER", "node") == "node"


@contextmanager
def beside(module: str, *words: str) -> Iterator[str]:
    """Yields its first line. It ends as its standard input does: also where the demo is killed."""
    command = [str(ROOT / ".venv/bin/python"), "-m", module, *words]
    environment = {**os.environ, "PYTHONPATH": f"{ROOT / 'operator'}:{ROOT / 'tests'}"}
    file = paths.LOG / f"{module}.log"
    with file.open("w") as log:
        process = subprocess.Popen(
            command,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
        )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        line = process.stdout.readline().strip()
        if not line:
            raise NodeError(f"{' '.join(command[1:])} did not come up: see {file}")
        yield line
    finally:
        process.stdin.close()
        try:
            process.wait(ENDS_WITHIN)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
