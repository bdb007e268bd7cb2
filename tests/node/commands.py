"""Runs a declared program to its end; the log has all it said, the error its last line."""

import os
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from node import paths
from node.errors import NodeError


def run(
    argv: Sequence[str | Path],
    *,
    env: Mapping[str, str] | None = None,
    stdin: str | None = None,
    cwd: Path | None = None,
    log: str | None = None,
    seconds: float = 600,
) -> str:
    """What the program printed. `log` also keeps everything in .cluster/log/<log>.log."""
    words = [str(word) for word in argv]
    name = Path(words[0]).name
    try:
        done = subprocess.run(
            words,
            input=stdin,
            env={**os.environ, **(env or {})},
            cwd=cwd,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=seconds,
            check=False,
        )
    except FileNotFoundError as error:
        raise NodeError(f"{name} is not among the declared programs: run `make up`") from error
    except subprocess.TimeoutExpired as error:
        raise NodeError(f"{name} did not end within {seconds:.0f} s") from error
    if log:
        _keep(log, words, done.stdout + done.stderr)
    if done.returncode:
        last = (done.stderr.strip() or done.stdout.strip() or "no output").splitlines()[-1][-300:]
        where = f" (log: .cluster/log/{log}.log)" if log else ""
        raise NodeError(f"{' '.join(words[:3])} … exit {done.returncode}: {last}{where}")
    return done.stdout


def succeeds(argv: Sequence[str | Path], *, env: Mapping[str, str] | None = None) -> bool:
    """Whether the program ends well: for questions, and for taking away what may be gone."""
    try:
        run(argv, env=env, seconds=60)
    except NodeError:
        return False
    return True


def _keep(log: str, words: Sequence[str], output: str) -> None:
    paths.LOG.mkdir(parents=True, exist_ok=True)
    with (paths.LOG / f"{log}.log").open("a") as file:
        file.write(f"$ {' '.join(words)}\n{output}\n")
