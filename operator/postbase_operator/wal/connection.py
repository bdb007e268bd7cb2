"""A replication connection: libpq without blocking, every wait with an end.

Queries go by the simple protocol, the only one that a walsender speaks. Waiting is ours and not
libpq's, so that a server that has gone silent is an error and not a thread that hangs for ever.
"""

from __future__ import annotations

import select
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType

import psycopg
from psycopg import pq
from psycopg.conninfo import make_conninfo

from postbase_operator.errors import Denied, Unavailable
from postbase_operator.wal.protocol import ProtocolError

SERVICE = "PostgreSQL"
SILENCE = 300.0
"""Seconds without an answer after which the server counts as gone. A checkpoint may take long."""
# TLS hands over whole records, of which libpq may have taken a part: the socket is then silent
# though there is more. Waiting in short turns finds it.
TLS_TURN = 0.1
DENIED = frozenset({"42501", "28000", "28P01"})
_PROBLEMS = (pq.ExecStatus.FATAL_ERROR, pq.ExecStatus.BAD_RESPONSE)
_CONNECTING = {
    pq.PollingStatus.READING: select.POLLIN,
    pq.PollingStatus.WRITING: select.POLLOUT,
}

Row = tuple[str | None, ...]


class ServerError(Unavailable):
    """The server refused a command; `sqlstate` says why, in five characters."""

    def __init__(self, sqlstate: str, why: str) -> None:
        super().__init__(SERVICE, why)
        self.sqlstate = sqlstate


class Connection:
    """One walsender. Not for two threads at a time."""

    def __init__(self, pgconn: pq.abc.PGconn, silence: float = SILENCE) -> None:
        self._pgconn, self._silence = pgconn, silence
        self._poll = select.poll()
        self.notices: list[str] = []
        """What the server warned of, in words, since the connection was opened."""
        pgconn.notice_handler = self._notice
        pgconn.nonblocking = 1

    @classmethod
    def open(cls, conninfo: str, *, timeout: float = 10.0, silence: float = SILENCE) -> Connection:
        """Connects within `timeout` seconds; Unavailable else. Adds `replication` to `conninfo`."""
        wanted = make_conninfo(conninfo, replication="true")
        pgconn = pq.PGconn.connect_start(wanted.encode())
        try:
            _establish(pgconn, time.monotonic() + timeout)
        except Unavailable:
            pgconn.finish()
            raise
        return cls(pgconn, silence)

    def __enter__(self) -> Connection:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Whatever was going on ends with the connection, temporary slots too."""
        self._pgconn.finish()

    def fileno(self) -> int:
        """For a selector: readable when the server has said something."""
        return self._pgconn.socket

    @property
    def major(self) -> int:
        return self._pgconn.server_version // 10_000

    @property
    def server_version(self) -> str:
        """`15.18`, without what a distribution adds."""
        return (self._pgconn.parameter_status(b"server_version") or b"").decode().split(" ")[0]

    def rows(self, command: str) -> list[Row]:
        """A command with one result, as text. ServerError, Denied or Unavailable."""
        self.send(command)
        found: list[Row] = []
        while (result := self.result()) is not None:
            found = found or rows_of(result)
        return found

    def send(self, command: str) -> None:
        with _translated(self._pgconn):
            self._pgconn.send_query(command.encode())
        self._flush(self._silence)

    def result(self) -> pq.abc.PGresult | None:
        """The next result, None after the last; what the server refuses is raised.

        After an error the rest is read to its end, so that the connection takes a next command.
        """
        result = self._next_result()
        if result is None or result.status not in _PROBLEMS:
            return result
        while self._next_result() is not None:
            continue
        raise refusal(result)

    def copied(self, timeout: float | None = None) -> bytes | None:
        """The next message of a COPY, b"" at its end, None if there was none in `timeout` seconds.

        Without a timeout a server that is silent for too long is Unavailable. Nothing is read
        from the network while a whole message is at hand: not calling is back-pressure.
        """
        deadline = time.monotonic() + (self._silence if timeout is None else timeout)
        while True:
            with _translated(self._pgconn):
                size, data = self._pgconn.get_copy_data(1)
            if size > 0:
                return bytes(data)
            if size < 0:
                return b""
            if not self._read(deadline):
                if timeout is None:
                    raise Unavailable(SERVICE, f"silent for {self._silence:.0f} s in a copy")
                return None

    def arrive(self, timeout: float, wake: int, *, read: bool) -> None:
        """Waits until the server has said something, which is taken in, or `wake` is readable.

        Without `read` the server is not listened to: that is back-pressure.
        """
        if read and self._pgconn.ssl_in_use:
            timeout = min(timeout, TLS_TURN)
        poll = select.poll()
        poll.register(wake, select.POLLIN)
        if read:
            poll.register(self._pgconn.socket, select.POLLIN)
        came = {descriptor for descriptor, _ in poll.poll(max(0.0, timeout) * 1000)}
        if read and (came - {wake} or self._pgconn.ssl_in_use):
            with _translated(self._pgconn):
                self._pgconn.consume_input()

    def copy(self, message: bytes) -> None:
        """Sends one message of a COPY."""
        with _translated(self._pgconn):
            while self._pgconn.put_copy_data(message) == 0:
                self._flush(self._silence)
        self._flush(self._silence)

    def end_copy(self) -> None:
        with _translated(self._pgconn):
            while self._pgconn.put_copy_end() == 0:
                self._flush(self._silence)
        self._flush(self._silence)

    def _next_result(self) -> pq.abc.PGresult | None:
        deadline = time.monotonic() + self._silence
        with _translated(self._pgconn):
            while self._pgconn.is_busy():
                if not self._read(deadline):
                    raise Unavailable(SERVICE, f"no answer in {self._silence:.0f} s")
            return self._pgconn.get_result()

    def _read(self, deadline: float) -> bool:
        """Takes in what has come, waiting for it until `deadline`; False where nothing came."""
        with _translated(self._pgconn):
            while (left := deadline - time.monotonic()) > 0:
                turn = min(left, TLS_TURN) if self._pgconn.ssl_in_use else left
                came = self._wait(select.POLLIN, turn)
                self._pgconn.consume_input()
                if came or self._pgconn.ssl_in_use:
                    return True
            return False

    def _flush(self, timeout: float) -> None:
        """Sends all that is waiting; reads meanwhile, as the server may wait for that."""
        deadline = time.monotonic() + timeout
        with _translated(self._pgconn):
            while self._pgconn.flush() == 1:
                if not self._wait(select.POLLIN | select.POLLOUT, deadline - time.monotonic()):
                    raise Unavailable(SERVICE, f"took nothing for {timeout:.0f} s")
                self._pgconn.consume_input()

    def _wait(self, events: int, timeout: float) -> bool:
        self._poll.register(self._pgconn.socket, events)
        return bool(self._poll.poll(max(0.0, timeout) * 1000))

    def _notice(self, result: pq.abc.PGresult) -> None:
        self.notices.append(_message(result))


def rows_of(result: pq.abc.PGresult) -> list[Row]:
    """All values of a result, as text."""
    return [
        tuple(_text(result.get_value(row, column)) for column in range(result.nfields))
        for row in range(result.ntuples)
    ]


def refusal(result: pq.abc.PGresult) -> Unavailable | Denied:
    """The error in a result of the server, as one of ours."""
    state = _text(result.error_field(pq.DiagnosticField.SQLSTATE)) or ""
    why = _message(result)
    return Denied(SERVICE, why) if state in DENIED else ServerError(state, why)


def _establish(pgconn: pq.abc.PGconn, deadline: float) -> None:
    while (status := pq.PollingStatus(pgconn.connect_poll())) != pq.PollingStatus.OK:
        if status == pq.PollingStatus.FAILED:
            raise Unavailable(SERVICE, pgconn.get_error_message())
        # libpq may have gone on to a next address, and so to another socket.
        poll = select.poll()
        poll.register(pgconn.socket, _CONNECTING[status])
        if not poll.poll(max(0.0, deadline - time.monotonic()) * 1000):
            raise Unavailable(SERVICE, "no connection in time")


@contextmanager
def _translated(pgconn: pq.abc.PGconn) -> Iterator[None]:
    try:
        yield
    except psycopg.OperationalError as error:
        raise Unavailable(SERVICE, pgconn.get_error_message() or str(error)) from error


def _message(result: pq.abc.PGresult) -> str:
    """What a notice or an error says, with its detail, on one line."""
    fields = (pq.DiagnosticField.MESSAGE_PRIMARY, pq.DiagnosticField.MESSAGE_DETAIL)
    parts = [_text(result.error_field(field)) for field in fields]
    return ": ".join(part for part in parts if part) or "no reason given"


def _text(value: bytes | None) -> str | None:
    return None if value is None else value.decode("utf-8", "replace")


def expect(result: pq.abc.PGresult | None, status: pq.ExecStatus) -> pq.abc.PGresult:
    """The result if it is of this kind; ProtocolError else."""
    if result is None or result.status != status:
        came = "nothing" if result is None else pq.ExecStatus(result.status).name
        raise ProtocolError(f"{status.name} was due, {came} came")
    return result
