"""How long a recovery takes, by rates. PURE.

Taken from the slow side of what operators report of replay (36 to 120 MB a second), not
measured on any one machine: a restore that ends sooner disappoints nobody.
"""

from __future__ import annotations

MIB = 2**20
FETCH = 120 * MIB
"""Bytes of a backup's content that are fetched, unpacked, verified and synced, a second."""
REPLAY = 60 * MIB
"""Bytes of the log that PostgreSQL replays, a second: one thread."""
START = 12.0
"""Seconds that do not depend on sizes: volume, pods, the end's checkpoint, the switch."""


def estimate(stored_bytes: int, source_bytes: int, log_bytes: int) -> int:
    """Whole seconds, from the first step to accepting connections."""
    content = max(stored_bytes, source_bytes)
    return round(START + content / FETCH + log_bytes / REPLAY)
