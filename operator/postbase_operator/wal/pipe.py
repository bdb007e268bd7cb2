"""Bytes from one thread to another, of which only so many are held."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterator

from postbase_operator.errors import PostbaseError

BLOCK = 1 << 20
"""Bytes are handed over in blocks of this size: a lock for each header of a tar costs more."""
LIMIT = 8 << 20


class Broken(PostbaseError):
    """The other side is gone. Its own error says why."""


class Pipe:
    """One thread writes, one iterates. An end that fails frees the other: nothing hangs."""

    def __init__(self, limit: int = LIMIT) -> None:
        self._limit = limit
        self._parts: list[bytes] = []
        self._gathered = 0
        self._ready: deque[bytes] = deque()
        self._held = 0
        self._closed = self._broken = False
        self._changed = threading.Condition()

    def write(self, data: bytes) -> None:
        """Waits while the reader is behind. Raises Broken once there is no reader."""
        self._parts.append(data)
        self._gathered += len(data)
        if self._gathered >= BLOCK:
            self._hand_over()

    def close(self) -> None:
        """The reader comes to an end after what was written."""
        self._hand_over()
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def break_off(self) -> None:
        """From either side: the reader gets Broken and no end, the writer too."""
        with self._changed:
            self._broken = True
            self._ready.clear()
            self._changed.notify_all()

    def __iter__(self) -> Iterator[bytes]:
        while (block := self._take()) is not None:
            yield block

    def _hand_over(self) -> None:
        block = b"".join(self._parts)
        self._parts, self._gathered = [], 0
        with self._changed:
            self._changed.wait_for(lambda: self._broken or self._held < self._limit)
            self._whole()
            if block:
                self._ready.append(block)
                self._held += len(block)
                self._changed.notify_all()

    def _take(self) -> bytes | None:
        with self._changed:
            self._changed.wait_for(lambda: self._broken or self._closed or self._ready)
            self._whole()
            if not self._ready:
                return None
            block = self._ready.popleft()
            self._held -= len(block)
            self._changed.notify_all()
            return block

    def _whole(self) -> None:
        if self._broken:
            raise Broken("the other side of the pipe is gone")
