"""Commits numbered rows and notes each acknowledgement, and how far the log was flushed after it.

python -m bench.probe CONNINFO FILE, until SIGTERM

The position is asked for behind the acknowledgement, so it lies behind the row's commit: what is
lost with it is at most as young as it seems.
"""

from __future__ import annotations

import signal
import sys
import time
from pathlib import Path

import psycopg

EVERY = 0.01


def main(conninfo: str, file: str) -> None:
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    lines: list[str] = []
    with psycopg.connect(conninfo, autocommit=True) as connection:
        while signal.sigtimedwait({signal.SIGTERM}, EVERY) is None:
            connection.execute("INSERT INTO ledger VALUES (%s)", (len(lines),))
            at = time.time()
            row = connection.execute("SELECT pg_current_wal_flush_lsn()::text").fetchone()
            assert row is not None
            lines.append(f"{at:.6f} {row[0]}\n")
    Path(file).write_text("".join(lines))


if __name__ == "__main__":
    main(*sys.argv[1:])
