"""What Flux and Argo CD would say of an object: by kstatus itself, and by Argo CD's interpreter.

Neither tool runs here; what they judge by does (tests/node/go/cmd/verdict).
"""

from __future__ import annotations

import json
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from node import golang

HEALTH = Path(__file__).resolve().parents[1] / "charts" / "postbase" / "argocd" / "health.lua"


@dataclass(frozen=True)
class Verdict:
    """`status` is the tool's own word: Current, Failed …, or Healthy, Degraded …"""

    status: str
    message: str


def kstatus(body: dict[str, Any]) -> Verdict:
    return _ask(body, "kstatus")


def health(body: dict[str, Any], script: Path = HEALTH) -> Verdict:
    return _ask(body, "health", str(script))


def _ask(body: dict[str, Any], *words: str) -> Verdict:
    program = golang.built("verdict")
    if not program.exists():
        pytest.skip("verdict is not built: run `make build`")
    done = subprocess.run(
        [str(program), *words],
        input=json.dumps(body),
        check=False,
        capture_output=True,
        text=True,
        timeout=30,
    )
    assert done.returncode == 0, done.stderr
    return Verdict(**json.loads(done.stdout))
