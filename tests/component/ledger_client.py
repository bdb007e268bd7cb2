"""Writes numbered rows, each a transaction, and notes each that was acknowledged, and when.

python -m component.ledger_client CONNINFO FILE CONNECTIONS

A process of its own: what it has noted when everything else is killed was promised to somebody.
"""

from __future__ import annotations

import contextlib
import os
import sys
import threading
import time

import psycopg

ROWS = 1_000_000
"""Numbers of one connection: they say which one wrote a row."""


def write(conninfo: str, ledger: int, number: int) -> None:
    """Until the server has gone."""
    with (
        contextlib.suppress(psycopg.OperationalError),
        psycopg.connect(conninfo, autocommit=True) as connection,
    ):
        for n in range(number * ROWS, (number + 1) * ROWS):
            connection.execute("INSERT INTO ledger VALUES (%s)", (n,))
            os.write(ledger, f"{n} {time.time():.6f}\n".encode())


def main(conninfo: str, path: str, connections: int) -> None:
    ledger = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    threads = [
        threading.Thread(target=write, args=(conninfo, ledger, number))
        for number in range(connections)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
