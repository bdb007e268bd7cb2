"""docs/benchmarks.md, a section at a time: each is written as soon as it has been measured."""

from __future__ import annotations

import os
import re
import subprocess
from datetime import UTC, datetime
from pathlib import Path

from bench.kubectl import ROOT

DOCUMENT = ROOT / "docs" / "benchmarks.md"
HEAD = """\
# Benchmarks

Made by `make bench`, ours and the peer in turns in one run. Ratios are what counts: these machines
are noisy. Beneath each heading stands by which command it was made, of which commit, and when.
"""


def written(part: str, text: str) -> None:
    """In the place of what had its heading before, or at the end."""
    sections = read(DOCUMENT)
    heading, _, rest = text.strip().partition("\n")
    chosen = "".join(f"{k}={v} " for k, v in sorted(os.environ.items()) if k.startswith("BENCH_"))
    stamp = f"`{chosen}make bench PART={part}`, commit `{commit()}`, {datetime.now(UTC).date()}."
    sections[heading] = f"\n{stamp}\n\n{rest.strip()}\n"
    body = "\n".join(f"{name}\n{content}" for name, content in sections.items())
    DOCUMENT.write_text(f"{HEAD}\n{body}")


def read(document: Path) -> dict[str, str]:
    """Heading → what stands beneath it."""
    parts = re.split(r"^(?=## )", document.read_text(), flags=re.MULTILINE)[1:]
    pairs = (part.rstrip("\n").partition("\n") for part in parts)
    return {heading: f"{content}\n" for heading, _, content in pairs}


def commit() -> str:
    described = ["git", "describe", "--always", "--dirty"]
    done = subprocess.run(described, cwd=ROOT, capture_output=True, text=True, check=True)
    return done.stdout.strip()
