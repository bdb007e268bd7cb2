"""Who holds a port: a port in a stranger's hands is an error that names port and process."""

import os
import secrets
import socket
from collections import deque
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from node import processes
from node.errors import NodeError

_LISTEN = "0A"
_ANY = "any"
_FREE = range(16_384, 30_000)
"""Below what the kernel gives to whoever connects, and below Kubernetes' node ports: of a port of
those, a client that asks over and over whether somebody listens is at last given it himself, and is
connected to himself; and another's connection may hold it when it is to be listened on again."""


_WORKERS = 8
"""Of pytest, side by side: each has ports of its own."""
_GIVEN: deque[int] = deque(maxlen=500)


@dataclass(frozen=True)
class Port:
    address: str
    number: int
    use: str


def refuse_strangers(ports: Iterable[Port]) -> None:
    taken = listening(Path("/proc/net/tcp").read_text() + Path("/proc/net/tcp6").read_text())
    for port in ports:
        for address, inode in taken.get(port.number, []):
            if overlap(address, port.address):
                raise NodeError(
                    f"port {port.number} ({port.use}) is held by {_owner(inode)}: "
                    "end that program, or run on another machine"
                )


def free(address: str = "127.0.0.1") -> int:
    """One that nobody holds now, and that nobody of this run is about to take: seconds may pass
    until whoever asked for it listens."""
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")) % _WORKERS
    while True:
        number = secrets.choice(_FREE[worker::_WORKERS])
        with socket.socket() as probe, suppress(OSError):
            if number in _GIVEN:
                continue
            probe.bind((address, number))
            _GIVEN.append(number)
            return number


def listening(table: str) -> dict[int, list[tuple[str, str]]]:
    """port -> (address, socket inode) of every listening row of /proc/net/tcp and tcp6."""
    found: dict[int, list[tuple[str, str]]] = {}
    for row in table.splitlines():
        fields = row.split()
        if len(fields) > 9 and fields[3] == _LISTEN:
            address, _, port = fields[1].rpartition(":")
            found.setdefault(int(port, 16), []).append((_address(address), fields[9]))
    return found


def _address(hexadecimal: str) -> str:
    """Only IPv4 and the two wildcards matter; other IPv6 addresses never meet ours."""
    if int(hexadecimal, 16) == 0:
        return _ANY
    if len(hexadecimal) == 8:
        return socket.inet_ntoa(bytes.fromhex(hexadecimal)[::-1])
    return f"[{hexadecimal}]"


def overlap(one: str, other: str) -> bool:
    return one == other or _ANY in (one, other)


def _owner(inode: str) -> str:
    for folder in Path("/proc").glob("[0-9]*/fd"):
        try:
            links = [str(link.readlink()) for link in folder.iterdir()]
        except (FileNotFoundError, PermissionError, ProcessLookupError):
            continue
        if f"socket:[{inode}]" in links:
            return processes.name(int(folder.parent.name))
    return "a process in another namespace"
