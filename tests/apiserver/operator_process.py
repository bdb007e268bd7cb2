"""The operator as it is deployed, in a process of its own, but for the PostgreSQL that it asks.

That one is in the process of the test, behind a socket that POSTGRES names. Frames there and back
are pickles, each after its length.
"""

from __future__ import annotations

import asyncio
import os
import pickle
import sys
import threading
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import psycopg
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict

from apiserver.interruptions import Wire
from apiserver.postgres import Rows, Server
from postbase_operator import cli
from postbase_operator.handlers import process
from postbase_operator.kube.lease import Elector, Timing

POSTGRES = "POSTGRES"
STOOD_STILL = "stood-still-"
TICK = 0.05


async def send(writer: asyncio.StreamWriter, frame: object) -> None:
    raw = pickle.dumps(frame)
    writer.write(len(raw).to_bytes(4, "big") + raw)
    await writer.drain()


async def receive(reader: asyncio.StreamReader) -> Any:
    """Raises IncompleteReadError at the end."""
    size = int.from_bytes(await reader.readexactly(4), "big")
    return pickle.loads(await reader.readexactly(size))  # noqa: S301 - from our own test


class Connection:
    """In the place of psycopg's."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    @classmethod
    async def connect(cls, conninfo: str, *, autocommit: bool) -> Connection:
        assert autocommit
        made = cls(*await asyncio.open_unix_connection(os.environ[POSTGRES]))
        await made._ask(conninfo)
        return made

    async def execute(
        self, query: str | sql.Composed, parameters: Sequence[Any] | None = None
    ) -> Rows:
        statement = query if isinstance(query, str) else query.as_string(None)
        return Rows(await self._ask((statement, parameters)))

    async def close(self) -> None:
        self._writer.close()

    async def _ask(self, frame: object) -> Any:
        try:
            await send(self._writer, frame)
            rows, refusal = await receive(self._reader)
        except (OSError, asyncio.IncompleteReadError) as error:
            raise psycopg.OperationalError("connection to server was lost") from error
        if refusal:
            raise psycopg.OperationalError(refusal)
        return rows


async def serve(socket: Path, find: Callable[[str], Server | None]) -> asyncio.Server:
    """In the process of the test; `find` answers the server of a host's name, None: it is down."""

    async def session(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            conninfo = await receive(reader)
            server = find(str(conninfo_to_dict(conninfo)["host"]))
            if server is None:
                raise psycopg.OperationalError("connection refused")
            connection = server.connect(conninfo, Wire())
            await send(writer, ([], ""))
            while True:
                rows = await connection.execute(*await receive(reader))
                await send(writer, (await rows.fetchall(), ""))
        except psycopg.Error as error:
            await send(writer, (None, str(error)))
        except (asyncio.IncompleteReadError, ConnectionError):
            pass  # it has closed the session
        finally:
            writer.close()

    return await asyncio.start_unix_server(session, socket)


def watch_time(folder: Path) -> None:
    """The longest this process stood still, in seconds, in a file of its own."""
    longest = 0.0
    while True:
        began = time.monotonic()
        time.sleep(TICK)
        late = time.monotonic() - began - TICK
        if late > longest:
            longest = late
            file = folder / f"{STOOD_STILL}{os.getpid()}"
            file.with_suffix(".new").write_text(str(longest))
            file.with_suffix(".new").replace(file)


if __name__ == "__main__":
    if "STEADY_LEASE" in os.environ:
        steady = partial(Elector, timing=Timing(duration=60.0, deadline=50.0))
        process.Elector = steady  # type: ignore[assignment,attr-defined]
    folder = Path(os.environ[POSTGRES]).parent
    threading.Thread(target=watch_time, args=(folder,), daemon=True).start()
    psycopg.AsyncConnection.connect = Connection.connect  # type: ignore[assignment,method-assign]
    sys.exit(cli.main(["operator"]))
