"""One bring-up at a time on a machine, whichever checkout it comes from."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TextIO

from node import paths, waiting
from node.console import say


@contextmanager
def held(what: str) -> Iterator[None]:
    """`down` takes the folder away with the lock in it, so a lock on a lost file counts for
    nothing: it is taken again until the locked file is the one that the path names."""
    file = _attempt(what)
    if not file:
        say(f"another checkout or terminal is at work here ({_holder()}): waiting for it")
        seconds = 1800
        file = waiting.until(lambda: _attempt(what), "the node's lock is free", seconds=seconds)
    with file:
        try:
            yield
        finally:
            _leave_no_empty_folder()


def _attempt(what: str) -> TextIO | None:
    try:
        paths.STATE.mkdir(parents=True, exist_ok=True)
        file = paths.LOCK.open("a+")
    except FileNotFoundError:  # taken away between the two
        return None
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        same = os.fstat(file.fileno()).st_ino == paths.LOCK.stat().st_ino
    except (BlockingIOError, FileNotFoundError):
        same = False
    if not same:
        file.close()
        return None
    file.truncate(0)
    file.write(f"{what} of {paths.CHECKOUT}, pid {os.getpid()}\n")
    file.flush()
    return file


def _leave_no_empty_folder() -> None:
    """Nothing but the lock: the node is down, or was refused before it began."""
    if list(paths.STATE.iterdir()) == [paths.LOCK]:
        paths.LOCK.unlink()
        paths.STATE.rmdir()


def _holder() -> str:
    try:
        return paths.LOCK.read_text().strip() or "unnamed"
    except FileNotFoundError:
        return "unnamed"
