"""Named pipes between two containers of a pod: an end that never comes must not be waited for.

Opening one blocks until the other side opens it too, which a crashed container will not do.
So both are opened without blocking, and `over()` says that nobody is there any more.
"""

from __future__ import annotations

import errno
import os
import select
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

BLOCK = 1 << 20
TURN = 0.05
"""Seconds between two looks at whether the other side is still to come."""


def read_pipe(path: Path, over: Callable[[], bool]) -> Iterator[bytes]:
    """What is written into it, until the writer closes it, or is over before it has come."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    try:
        while True:
            # Asked first: all that was written before the end is in the pipe by the time of a look
            # that comes after it. The other way round a short text fell between the two.
            ended = over()
            if not poll.poll(0 if ended else TURN * 1000):
                if ended:
                    return
                continue
            chunk = os.read(descriptor, BLOCK)
            if not chunk:
                return
            yield chunk
    finally:
        os.close(descriptor)


def write_pipe(
    path: Path, chunks: Iterator[bytes], over: Callable[[], bool], *, to_end: bool = True
) -> None:
    """Writes all chunks; takes them `to_end` where the reader has seen enough of them."""
    descriptor = _opened(path, over)
    try:
        for chunk in chunks:
            if descriptor is not None and not _written(descriptor, chunk):
                os.close(descriptor)
                descriptor = None
            if descriptor is None and not to_end:
                return
    finally:
        if descriptor is not None:
            os.close(descriptor)


def _opened(path: Path, over: Callable[[], bool]) -> int | None:
    while not over():
        try:
            descriptor = os.open(path, os.O_WRONLY | os.O_NONBLOCK)
        except OSError as error:
            if error.errno != errno.ENXIO:  # there is no reader yet
                raise
            time.sleep(TURN)
        else:
            os.set_blocking(descriptor, True)
            return descriptor
    return None


def _written(descriptor: int, chunk: bytes) -> bool:
    rest = memoryview(chunk)
    with suppress(BrokenPipeError):
        while rest:
            rest = rest[os.write(descriptor, rest) :]
        return True
    return False
