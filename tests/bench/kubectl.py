"""kubectl on the checkout's own cluster and no other."""

from __future__ import annotations

import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
KUBECTL = [str(ROOT / ".cluster/bin/kubectl"), f"--kubeconfig={ROOT / '.cluster/kubeconfig'}"]


def kubectl(*words: str, stdin: str = "") -> str:
    done = subprocess.run(
        [*KUBECTL, *words], input=stdin, capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        raise SystemExit(f"make bench: kubectl {' '.join(words)}: {done.stderr.strip()}")
    return done.stdout
