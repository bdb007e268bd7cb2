"""What a person reads while it runs: each step, how long it usually takes, how long it took."""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager


def say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


@contextmanager
def step(what: str, usually: float) -> Iterator[None]:
    """Names the step before it begins: one that hangs must be the last line on the screen."""
    say(f"{what} (usually {_seconds(usually)})")
    began = time.monotonic()
    try:
        yield
    except BaseException:
        say(f"  failed after {_seconds(time.monotonic() - began)}")
        raise
    say(f"  took {_seconds(time.monotonic() - began)}")


def _seconds(value: float) -> str:
    return f"{value:.1f} s" if value < 60 else f"{value / 60:.1f} min"
