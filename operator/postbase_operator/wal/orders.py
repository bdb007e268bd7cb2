"""What the receiver is told while it runs, by other threads and by signals."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from postbase_operator.archive.receiver import ReceiverConfig


class Orders:
    """The configuration as it is now, and whether to end."""

    def __init__(self, config: ReceiverConfig) -> None:
        self.config = config
        self._left = threading.Event()
        self.stopping_since: float | None = None
        """Since when the server is on its way down for good, by the monotonic clock."""
        self.wake: Callable[[], None] = lambda: None
        """Of whoever waits for something else at present."""

    @property
    def leaving(self) -> bool:
        return self._left.is_set()

    def leave(self) -> None:
        """Write what has come, and end."""
        self._left.set()
        self.wake()

    def stop(self) -> None:
        """The server stops for good: end with it, or without the store when that takes too long."""
        if self.stopping_since is None:
            self.stopping_since = time.monotonic()
            self.wake()

    def pause(self, seconds: float) -> None:
        """Waits, but not when leaving."""
        self._left.wait(seconds)
