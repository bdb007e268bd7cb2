"""A store that is far away: each answer takes its time. Requests over one connection stay so.

python -m component.far PORT SECONDS FILE    prints its own port; FILE has a byte for each PUT
"""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

PIECE = 1 << 18
SKEWED = (
    b"HTTP/1.1 403 Forbidden\r\ncontent-length: 73\r\nconnection: close\r\n\r\n"
    b"<Error><Code>RequestTimeTooSkewed</Code><Message>skewed</Message></Error>"
)
"""As S3 answers once its clock and the client's are a quarter of an hour apart."""


@dataclass(frozen=True)
class Far:
    """One that runs."""

    endpoint: str
    file: Path
    process: subprocess.Popen[str]

    @property
    def puts(self) -> int:
        """So far."""
        return self.file.stat().st_size

    def cut(self) -> None:
        """The network is gone, for good."""
        self.process.kill()
        self.process.wait()

    def skew(self) -> None:
        """The store's clock is another one from now on: it refuses whatever is signed."""
        self.process.send_signal(signal.SIGUSR1)


@contextmanager
def far(port: int, seconds: float, folder: Path) -> Iterator[Far]:
    """In front of a server on loopback, in a process of its own."""
    file = folder / "puts"
    file.touch()
    command = [sys.executable, "-m", "component.far", str(port), str(seconds), str(file)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as running:
        assert running.stdout is not None
        try:
            endpoint = f"http://127.0.0.1:{running.stdout.readline().strip()}"
            yield Far(endpoint, file, running)
        finally:
            running.kill()


async def _serve(port: int, seconds: float, count: int) -> None:
    skewed = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGUSR1, skewed.set)

    async def carry(client: asyncio.StreamReader, back: asyncio.StreamWriter) -> None:
        answers, out = await asyncio.open_connection("127.0.0.1", port, limit=PIECE)
        with suppress(ConnectionError):
            await asyncio.gather(
                _there(client, out, count, back, skewed), _back(answers, back, seconds)
            )

    server = await asyncio.start_server(carry, "127.0.0.1", 0, limit=PIECE)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


async def _there(
    client: asyncio.StreamReader,
    out: asyncio.StreamWriter,
    count: int,
    back: asyncio.StreamWriter,
    skewed: asyncio.Event,
) -> None:
    while data := await client.read(PIECE):
        if skewed.is_set():
            back.write(SKEWED)
            break
        if data.startswith(b"PUT "):  # a client sends its next request when it has its answer
            os.write(count, b".")
        out.write(data)
        await out.drain()
    out.close()


async def _back(answers: asyncio.StreamReader, back: asyncio.StreamWriter, seconds: float) -> None:
    while data := await answers.read(PIECE):
        await asyncio.sleep(seconds)
        back.write(data)
        await back.drain()
    back.close()


def main(port: str, seconds: str, file: str) -> None:
    count = os.open(file, os.O_WRONLY | os.O_APPEND)
    asyncio.run(_serve(int(port), float(seconds), count))


if __name__ == "__main__":
    main(*sys.argv[1:])
