"""The receiver's port: its report, its metrics, and a restart, over TLS with a token.

A few lines of HTTP of our own: a library would be a fifth of the process's memory.
"""

from __future__ import annotations

import asyncio
import hmac
import logging
import socket
import ssl
import threading
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

from postbase_operator.api.database_status import ReceiverState
from postbase_operator.archive.receiver import TOKEN_KEY, ReceiverReport
from postbase_operator.wal.lsn import Lsn

logger = logging.getLogger(__name__)
PATIENCE = 10.0
"""Seconds that one request may take to come."""
LONGEST_HEAD = 16 << 10
PHRASES = {
    200: "OK",
    202: "Accepted",
    400: "Bad Request",
    401: "Unauthorized",
    404: "Not Found",
    405: "Method Not Allowed",
}
TEXT, JSON = "text/plain; version=0.0.4", "application/json"

Answer = tuple[int, str, bytes]
"""Status, type of the content, content."""


class Desk:
    """Who may ask, and what is answered."""

    def __init__(
        self, tls: Path, report: Callable[[], ReceiverReport], restart: threading.Event
    ) -> None:
        self.tls, self._report, self._restart = tls, report, restart

    def answer(self, method: str, path: str, authorization: str) -> Answer:
        if not self._may(authorization):
            return 401, TEXT, b"a token is needed\n"
        match method, path:
            case "GET", "/status":
                return 200, JSON, self._report().to_bytes()
            case "GET", "/metrics":
                return 200, TEXT, exposition(self._report())
            case "POST", "/restart":
                return 202, TEXT, b"restarting\n"
            case _, "/status" | "/metrics" | "/restart":
                return 405, TEXT, b"not so\n"
            case _:
                return 404, TEXT, b"there is /status, /metrics, and POST /restart\n"

    def answered(self, answer: Answer) -> None:
        """Does what was promised, once that is told: the restart takes the connection along."""
        if answer[0] == 202:
            self._restart.set()

    def _may(self, authorization: str) -> bool:
        """By the token in the mounted Secret, as it is now; without one nobody may."""
        try:
            token = (self.tls / TOKEN_KEY).read_bytes().strip()
        except OSError:
            return False
        given = authorization.removeprefix("Bearer ").encode()
        return bool(token) and authorization != "" and hmac.compare_digest(given, token)


class Port:
    """Listens in a thread of its own."""

    def __init__(self, desk: Desk, port: int) -> None:
        self._desk, self._port = desk, port
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.minimum_version = ssl.TLSVersion.TLSv1_2
        self._loaded: object = None

    def begin(self) -> None:
        self.refresh()
        listener = _listener(self._port)
        run = threading.Thread(target=self._run, args=(listener,), name="port", daemon=True)
        run.start()

    def refresh(self) -> None:
        """Takes up a certificate that was renewed; keeps the former while it cannot be read."""
        files = (self._desk.tls / "tls.crt", self._desk.tls / "tls.key")
        try:
            mark = tuple((file.stat().st_ino, file.stat().st_mtime_ns) for file in files)
            if mark != self._loaded:
                self._context.load_cert_chain(*files)
                self._loaded = mark
        except (OSError, ssl.SSLError) as error:
            logger.warning("the certificate cannot be read: %s", error)

    def _run(self, listener: socket.socket) -> None:
        asyncio.run(self._serve(listener))

    async def _serve(self, listener: socket.socket) -> None:
        server = await asyncio.start_server(
            self._handle,
            sock=listener,
            ssl=self._context,
            ssl_handshake_timeout=PATIENCE,
            limit=LONGEST_HEAD,
        )
        async with server:
            await server.serve_forever()

    async def _handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), PATIENCE)
            answer = self._answered(head.decode("latin-1"))
            try:
                writer.write(_written(answer))
                await asyncio.wait_for(writer.drain(), PATIENCE)
            finally:
                self._desk.answered(answer)
        except (OSError, TimeoutError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            logger.debug("a client went away or took too long")
        finally:
            writer.close()

    def _answered(self, head: str) -> Answer:
        request, *fields = head.split("\r\n")
        words = request.split(" ")
        if len(words) != 3:
            return 400, TEXT, b"this is no request\n"
        named = {
            name.strip().lower(): value.strip()
            for name, _, value in (field.partition(":") for field in fields)
        }
        path = words[1].partition("?")[0]
        return self._desk.answer(words[0], path, named.get("authorization", ""))


def exposition(report: ReceiverReport) -> bytes:
    """The report as metrics, in Prometheus' text format."""
    running = report.state is ReceiverState.RUNNING
    figures: list[tuple[str, str, float | None]] = [
        ("up", "gauge", float(running)),
        ("lag_seconds", "gauge", report.lag_seconds),
        ("lag_bytes", "gauge", report.lag_bytes),
        ("received_bytes_total", "counter", report.bytes_received),
        ("segments_total", "counter", report.segments_archived),
        ("errors_total", "counter", report.errors),
        ("timeline", "gauge", report.timeline),
        ("durable_lsn_bytes", "gauge", _position(report.durable_lsn)),
        ("last_commit_timestamp_seconds", "gauge", _seconds(report.last_commit_at)),
        ("covered_until_timestamp_seconds", "gauge", _seconds(report.covered_until)),
        ("store_failing_since_timestamp_seconds", "gauge", _seconds(report.store_failing_since)),
        ("suspended", "gauge", float(report.suspended)),
        ("slot_lost", "gauge", float(report.slot_lost)),
    ]
    lines = [
        f"# TYPE postbase_wal_{name} {kind}\npostbase_wal_{name} {value}\n"
        for name, kind, value in figures
        if value is not None
    ]
    return "".join(lines).encode()


def _position(text: str | None) -> int | None:
    return None if text is None else int(Lsn.parse(text))


def _seconds(moment: datetime | None) -> float | None:
    return None if moment is None else moment.timestamp()


def _written(answer: Answer) -> bytes:
    status, kind, content = answer
    head = (
        f"HTTP/1.1 {status} {PHRASES[status]}\r\ncontent-type: {kind}\r\n"
        f"content-length: {len(content)}\r\nconnection: close\r\n\r\n"
    )
    return head.encode() + content


def _listener(port: int) -> socket.socket:
    """On all addresses of both families; of one where the other is not there."""
    if socket.has_dualstack_ipv6():
        return socket.create_server(("::", port), family=socket.AF_INET6, dualstack_ipv6=True)
    return socket.create_server(("", port))
