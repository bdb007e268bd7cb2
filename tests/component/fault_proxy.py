"""A proxy of HTTP that does to a request what networks and stores do to requests.

with FaultProxy(port) as proxy:
    proxy.next("PUT", Lost())          # the next PUT is done, and its answer never comes
"""

from __future__ import annotations

import contextlib
import re
import socket
import struct
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from http import HTTPStatus

PATIENCE = 20.0
"""Seconds until a socket of the proxy gives up: no test hangs on it."""


@dataclass(frozen=True)
class Request:
    method: str
    target: str
    head: bytes
    body_size: int
    client: socket.socket
    rest: bytes
    """What of the body came with the head."""

    proxy: FaultProxy

    def header(self, name: str) -> str:
        found = re.search(rf"^{name}: *(.*?)\r$", self.head.decode("latin-1"), re.I | re.M)
        return found.group(1) if found else ""

    def body(self, size: int | None = None) -> bytes:
        """The first bytes of the body, or all of them."""
        wanted = self.body_size if size is None else size
        body = bytearray(self.rest)
        while len(body) < wanted and (more := self.client.recv(1 << 18)):
            body += more
        return bytes(body)

    def passed_on(self) -> socket.socket:
        """A connection to the server, on which the whole request was sent. Of a client that went
        away before its end nothing is passed on."""
        body = self.body()
        if len(body) < self.body_size:
            raise ConnectionError("the client has gone")
        head = re.sub(rb"(?im)^(expect|connection):.*\r\n", b"", self.head)
        head = head.replace(b"\r\n\r\n", b"\r\nconnection: close\r\n\r\n")
        server = socket.create_connection(("127.0.0.1", self.proxy.server_port), PATIENCE)
        try:
            server.sendall(head + body)
        except OSError:
            server.close()
            raise
        return server


Fault = Callable[[Request], None]


@dataclass(frozen=True)
class Answers:
    """An answer of the proxy's own, in place of the server's."""

    status: int
    code: str = ""
    sentence: str = "told by the proxy"

    def __call__(self, request: Request) -> None:
        request.body()
        told = f"<Error><Code>{self.code}</Code><Message>{self.sentence}</Message></Error>"
        body = told.encode() if self.code and request.method != "HEAD" else b""
        line = f"HTTP/1.1 {self.status} {HTTPStatus(self.status).phrase}\r\n"
        fields = f"content-length: {len(body)}\r\nconnection: close\r\n\r\n"
        request.client.sendall((line + fields).encode() + body)


@dataclass(frozen=True)
class Resets:
    """The connection is reset after so many bytes of the request's body."""

    after: int = 0

    def __call__(self, request: Request) -> None:
        request.body(min(self.after, request.body_size))
        reset(request.client)


class Lost:
    """The request is done; the answer never comes."""

    def __call__(self, request: Request) -> None:
        with request.passed_on() as server:
            while server.recv(1 << 18):
                pass
        reset(request.client)


@dataclass(frozen=True)
class Cuts:
    """The answer ends after so many bytes of its body, as if the server had gone."""

    after: int

    def __call__(self, request: Request) -> None:
        with request.passed_on() as server:
            answer = bytearray()
            while b"\r\n\r\n" not in answer:
                answer += server.recv(1 << 18)
            ends = answer.index(b"\r\n\r\n") + 4 + self.after
            while len(answer) < ends and (more := server.recv(1 << 18)):
                answer += more
            request.client.sendall(answer[:ends])


class Hangs:
    """Nothing happens until the client goes away."""

    def __call__(self, request: Request) -> None:
        request.client.settimeout(None)  # that is for the client to say
        while request.client.recv(1 << 16):
            pass


@dataclass(frozen=True)
class Slow:
    """The request is passed on after a while, in seconds."""

    seconds: float

    def __call__(self, request: Request) -> None:
        request.proxy.closing.wait(self.seconds)
        relay(request)


def relay(request: Request) -> None:
    with request.passed_on() as server:
        while more := server.recv(1 << 18):
            request.client.sendall(more)


def reset(client: socket.socket) -> None:
    """Closes with RST: what was sent and not read is lost."""
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    client.close()


@dataclass
class _Rule:
    wanted: re.Pattern[str]
    fault: Fault
    times: int


@dataclass
class FaultProxy:
    """In front of a server on loopback; one request a connection."""

    server_port: int
    seen: list[str] = field(default_factory=list)
    """`METHOD target` of each request, in order."""

    heads: list[bytes] = field(default_factory=list)
    """Request line and headers of each request."""

    closing: threading.Event = field(default_factory=threading.Event)
    _rules: list[_Rule] = field(default_factory=list)
    _threads: list[threading.Thread] = field(default_factory=list)
    _clients: list[socket.socket] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def __enter__(self) -> FaultProxy:
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        self._start(self._accept)
        return self

    def __exit__(self, *_: object) -> None:
        self.closing.set()
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for client in self._clients:
            with contextlib.suppress(OSError):
                client.shutdown(socket.SHUT_RDWR)
        for thread in tuple(self._threads):
            thread.join(PATIENCE)

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self._listener.getsockname()[1]}"

    def next(self, wanted: str, fault: Fault, times: int = 1) -> None:
        """Does it to the next requests whose `METHOD target` matches (a pattern)."""
        self._rules.append(_Rule(re.compile(wanted), fault, times))

    def settle(self) -> None:
        """Until all that clients have sent by now is done and answered, also of those that are no
        more: what they asked for just before would else be done in the midst of what follows."""
        with socket.create_connection(self._listener.getsockname(), PATIENCE) as last:
            last.shutdown(socket.SHUT_WR)
            last.recv(1)  # closed once it has its turn: who came before has a thread by then
        for thread in tuple(self._threads)[1:]:  # the first accepts
            thread.join(2 * PATIENCE)
            assert not thread.is_alive(), "a request is not answered"

    def _accept(self) -> None:
        while not self.closing.is_set():
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            self._clients.append(client)
            self._start(lambda client=client: self._serve(client))

    def _serve(self, client: socket.socket) -> None:
        client.settimeout(PATIENCE)
        with client:
            try:
                request = _read(client, self)
                if request is not None:
                    self.heads.append(request.head)
                    self._fault(f"{request.method} {request.target}")(request)
            except OSError:
                return  # the client went away, as some tests want it

    def _fault(self, line: str) -> Fault:
        with self._lock:
            self.seen.append(line)
            for rule in self._rules:
                if rule.times and rule.wanted.match(line):
                    rule.times -= 1
                    return rule.fault
        return relay

    def _start(self, work: object) -> None:
        thread = threading.Thread(target=work, daemon=True)  # type: ignore[arg-type]
        self._threads.append(thread)
        thread.start()


def _read(client: socket.socket, proxy: FaultProxy) -> Request | None:
    data = b""
    while b"\r\n\r\n" not in data:
        more = client.recv(1 << 16)
        if not more:
            return None
        data += more
    head, _, rest = data.partition(b"\r\n\r\n")
    head += b"\r\n\r\n"
    method, target, _ = head.split(b"\r\n", 1)[0].decode().split(" ")
    size = re.search(rb"(?im)^content-length: *(\d+)", head)
    body_size = int(size.group(1)) if size else 0
    request = Request(method, target, head, body_size, client, rest, proxy)
    if request.header("expect"):
        client.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
    return request
