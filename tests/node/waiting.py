"""Polls a condition until a deadline: nothing here sleeps in place of one."""

import time
from collections.abc import Callable
from typing import TypeVar

from node.errors import NodeError

T = TypeVar("T")


def until(condition: Callable[[], T | None], what: str, *, seconds: float, every: float = 0.1) -> T:
    """Returns the condition's first true answer; the error names what did not come."""
    deadline = time.monotonic() + seconds
    while not (answer := condition()):
        if time.monotonic() > deadline:
            raise NodeError(f"{what}: not so after {seconds:.0f} s")
        time.sleep(every)
    return answer
