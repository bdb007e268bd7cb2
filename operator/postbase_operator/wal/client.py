"""What a walsender can be asked, PostgreSQL 14 to 18: identity, slots, timelines, the log.

Physical replication only. `search_path` and other settings of a session do not apply: a walsender
runs no SQL.
"""

from __future__ import annotations

import contextlib
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType

from psycopg import pq
from psycopg.conninfo import make_conninfo

from postbase_operator.archive.receiver import ROLE
from postbase_operator.errors import InvalidSpec, Unavailable
from postbase_operator.wal.connection import Connection, Row, expect, rows_of
from postbase_operator.wal.lsn import Lsn, parse_size
from postbase_operator.wal.protocol import ProtocolError, WalMessage, decode, status_update

RECEIVER = ROLE
_SLOT = re.compile(r"[a-z0-9_]{1,63}")
_SETTING = re.compile(r"[a-z_]+")


@dataclass(frozen=True, slots=True)
class SystemIdentity:
    system_id: str
    timeline: int
    flushed: Lsn
    """How far the server's log is on its disk."""


@dataclass(frozen=True, slots=True)
class SlotPosition:
    restart: Lsn | None
    """The server keeps the log from here on; None where nothing was reserved yet."""
    timeline: int | None


@dataclass(frozen=True, slots=True)
class EndOfTimeline:
    """The server went on to another timeline: the log continues there from `start`.

    `start` may lie before what was received: half a record at the end of the old timeline, which
    is void. Stream on from the beginning of the segment that holds `start`.
    """

    next_timeline: int
    start: Lsn


@dataclass(frozen=True, slots=True)
class ServerStopped:
    """A planned stop: all of the log was sent, and has been acknowledged."""


StreamEnd = EndOfTimeline | ServerStopped


def over_socket(folder: Path, application_name: str, user: str = RECEIVER) -> str:
    """To the server whose socket is in `folder`, as the sidecar goes: let in by its uid."""
    return make_conninfo(
        host=str(folder), user=user, application_name=application_name, dbname="replication"
    )


def over_tls(
    host: str,
    address: str,
    folder: Path,
    application_name: str,
    *,
    port: int = 5432,
    user: str = RECEIVER,
) -> str:
    """To `address`, which must prove to be `host`, by a certificate: as a Job goes.

    `folder` holds ca.crt, tls.crt and tls.key (a mounted Secret). libpq reads them itself: no key
    stands in the string. A connection that died in silence is noticed within half a minute.
    """
    return make_conninfo(
        host=host,
        hostaddr=address,
        port=port,
        user=user,
        dbname="replication",
        application_name=application_name,
        sslmode="verify-full",
        sslrootcert=str(folder / "ca.crt"),
        sslcert=str(folder / "tls.crt"),
        sslkey=str(folder / "tls.key"),
        gssencmode="disable",
        keepalives_idle=10,
        keepalives_interval=5,
        keepalives_count=4,
        tcp_user_timeout=30_000,
    )


def by_password(
    host: str, port: int, password: str, application_name: str, user: str = RECEIVER
) -> str:
    """To a server whose certificate bears none of its names (Railway's image): what proves it is
    SCRAM, bound to the channel. A connection that died in silence is noticed as in `over_tls`."""
    return make_conninfo(
        host=host,
        port=port,
        user=user,
        password=password,
        dbname="replication",
        application_name=application_name,
        sslmode="require",
        channel_binding="require",
        gssencmode="disable",
        keepalives_idle=10,
        keepalives_interval=5,
        keepalives_count=4,
        tcp_user_timeout=30_000,
    )


class Replication:
    """The commands of a walsender over one connection, and the streams that it starts."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection

    @classmethod
    def connect(cls, conninfo: str, *, timeout: float = 10.0) -> Replication:
        """Unavailable where the server does not let us in within `timeout` seconds."""
        return cls(Connection.open(conninfo, timeout=timeout))

    def __enter__(self) -> Replication:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.connection.close()

    def identify(self) -> SystemIdentity:
        (row,) = self.connection.rows("IDENTIFY_SYSTEM")
        system_id, timeline, flushed = _filled(row[:3])
        return SystemIdentity(system_id, int(timeline), _position(flushed))

    def show(self, setting: str) -> str:
        """The value of a server parameter, as text."""
        if not _SETTING.fullmatch(setting):
            raise ValueError(f"{setting!r} is not the name of a setting")
        (row,) = self.connection.rows(f"SHOW {setting}")
        return _filled(row)[0]

    def segment_size(self) -> int:
        """Bytes of a segment of this server's log."""
        return parse_size(self.show("wal_segment_size"))

    def create_slot(self, name: str, *, temporary: bool = False) -> None:
        """A physical slot that keeps the log from the last checkpoint on, at once.

        Without RESERVE_WAL it would keep nothing until the first stream: others lost a segment so.
        A temporary one goes with the connection. ServerError 42710 where there is one already.
        """
        kind = "TEMPORARY PHYSICAL" if temporary else "PHYSICAL"
        option = "(RESERVE_WAL true)" if self.connection.major >= 15 else "RESERVE_WAL"
        self.connection.rows(f"CREATE_REPLICATION_SLOT {_slot(name)} {kind} {option}")

    def read_slot(self, name: str) -> SlotPosition | None:
        """Where a physical slot stands, None if there is none. PostgreSQL 14 cannot tell."""
        if self.connection.major < 15:
            raise InvalidSpec(
                "spec.postgresVersion",
                f"PostgreSQL {self.connection.major} has no READ_REPLICATION_SLOT: use 15 or later",
                reason="UnsupportedVersion",
            )
        (row,) = self.connection.rows(f"READ_REPLICATION_SLOT {_slot(name)}")
        kind, restart, timeline = row
        if kind is None:
            return None
        return SlotPosition(
            None if restart is None else _position(restart),
            None if timeline is None else int(timeline),
        )

    def drop_slot(self, name: str, *, wait: bool = False) -> None:
        """ServerError 42704 where there is none, 55006 where it is in use and we do not wait."""
        self.connection.rows(f"DROP_REPLICATION_SLOT {_slot(name)}{' WAIT' if wait else ''}")

    def timeline_history(self, timeline: int) -> bytes:
        """The content of the timeline's history file. The first timeline has none."""
        (row,) = self.connection.rows(f"TIMELINE_HISTORY {timeline:d}")
        return _filled(row)[1].encode()

    def stream(self, start: Lsn, timeline: int, slot: str | None = None) -> WalStream:
        """Starts the flow of the log from `start`, any byte of it.

        The first `receive` raises ServerError 58P01 where the server has removed that part
        already, and with "ahead of the WAL flush position" where it has not come so far itself.
        """
        by_slot = f"SLOT {_slot(slot)} " if slot else ""
        self.connection.send(f"START_REPLICATION {by_slot}PHYSICAL {start} TIMELINE {timeline:d}")
        first = self.connection.result()
        if first is not None and first.status == pq.ExecStatus.TUPLES_OK:
            # Nothing is left of a timeline that ended just there: no COPY, only where to go on.
            return WalStream(self.connection, _end_of_timeline(self.connection, rows_of(first)))
        expect(first, pq.ExecStatus.COPY_BOTH)
        return WalStream(self.connection)


class WalStream:
    """The log, flowing. Call `receive` at your pace, `send_status` more often than the server's
    wal_sender_timeout even while not receiving: then it waits as long as it takes.
    """

    def __init__(self, connection: Connection, end: StreamEnd | None = None) -> None:
        self._connection, self._end = connection, end

    def fileno(self) -> int:
        return self._connection.fileno()

    def receive(self, timeout: float) -> WalMessage | StreamEnd | None:
        """The next message; None if none came in `timeout` seconds; after the end always that."""
        if self._end is None:
            message = self._connection.copied(timeout)
            if message is None:
                return None
            if message:
                return decode(message)
            self._end = self._ended()
        return self._end

    def wait(self, timeout: float, wake: int, *, read: bool = True) -> None:
        """Until there may be something to receive, or `wake` is readable, or for `timeout` s.

        Then `receive(0)` gives, one by one, what has come. Without `read` only for `wake`.
        """
        self._connection.arrive(timeout, wake, read=read and self._end is None)

    def send_status(self, written: Lsn, flushed: Lsn, *, reply: bool = False) -> None:
        """How far we hold the log, and how far it is durable. Nothing to say after the end.

        Never an error: a server that has gone may have said before why, and `receive` comes to
        that; or to the error.
        """
        if self._end is None:
            message = status_update(written, flushed, datetime.now(UTC), reply=reply)
            with contextlib.suppress(Unavailable):
                self._connection.copy(message)

    def finish(self) -> None:
        """Ends the stream from our side; the connection then takes the next command."""
        if self._end is None:
            self._connection.end_copy()
            while self._connection.copied():
                continue
            while self._connection.result() is not None:
                continue

    def _ended(self) -> StreamEnd:
        """The server ended the copy. At the end of a timeline it waits for us to do so too."""
        result = self._connection.result()
        if result is not None and result.status == pq.ExecStatus.COMMAND_OK:
            return ServerStopped()
        expect(result, pq.ExecStatus.COPY_IN)
        self._connection.end_copy()
        result = self._connection.result()
        if result is not None and result.status == pq.ExecStatus.COMMAND_OK:
            return ServerStopped()
        return _end_of_timeline(self._connection, rows_of(expect(result, pq.ExecStatus.TUPLES_OK)))


def _end_of_timeline(connection: Connection, rows: list[Row]) -> EndOfTimeline:
    while connection.result() is not None:
        continue
    if len(rows) != 1 or len(rows[0]) != 2:
        raise ProtocolError(f"the end of a timeline in {len(rows)} rows")
    timeline, start = _filled(rows[0])
    return EndOfTimeline(int(timeline), _position(start))


def _slot(name: str) -> str:
    if not _SLOT.fullmatch(name):
        raise ValueError(f"{name!r} is not a name of a slot: a-z, 0-9 and _, at most 63")
    return f'"{name}"'


def _filled(row: Row) -> tuple[str, ...]:
    values = tuple(value for value in row if value is not None)
    if len(values) != len(row):
        raise ProtocolError(f"a row with nothing where something is due: {row!r}")
    return values


def _position(text: str) -> Lsn:
    try:
        return Lsn.parse(text)
    except ValueError as error:
        raise ProtocolError(str(error)) from error
