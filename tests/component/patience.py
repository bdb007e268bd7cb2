"""How long is waited for what must come, on a machine that may stand still at any moment."""

from __future__ import annotations

import time

SLOWER = 2
"""A look may take so many times its pause before the seconds alone no longer count."""


class Patience:
    """Over once the seconds have passed and enough looks were taken in them: a machine that stands
    still for all of the seconds costs one look."""

    def __init__(self, seconds: float, every: float) -> None:
        """`every`: the pause between two looks."""
        self._ends = time.monotonic() + seconds
        self._looks = seconds / every / SLOWER

    def is_over(self) -> bool:
        """Asked once after each look that was in vain."""
        self._looks -= 1
        return self._looks < 0 and time.monotonic() > self._ends
