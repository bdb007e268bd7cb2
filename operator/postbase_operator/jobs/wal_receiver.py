"""The sidecar beside every database, while archiving is off: there, and costing nothing.

It sits in the pod from the first day so that switching archiving on restarts nothing. Until then
it only waits to be told to stop, and imports nothing: its memory is a bare interpreter's.
"""

from __future__ import annotations

import signal


def main() -> int:
    """Waits for SIGTERM or SIGINT; as PID 1 it would ignore both without asking for them."""
    stop = {signal.SIGTERM, signal.SIGINT}
    signal.pthread_sigmask(signal.SIG_BLOCK, stop)
    signal.sigwait(stop)
    return 0
