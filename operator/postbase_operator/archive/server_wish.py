"""What is wanted of a server that only its neighbour reaches (Railway, spec.expose: Private), and
what that neighbour, the Caretaker, tells of it. PURE.

The wish is a variable of its service, and opens all: a platform that can hide a value hides it. The
report is a line of its log, and may be read by whoever reads logs: it holds no password, and no sum
of one by which a weak one could be guessed (`mark`).
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping
from typing import ClassVar

from pydantic import Field, NonNegativeInt

from postbase_operator.api.scalars import LSN, Instant
from postbase_operator.archive.receiver_environment import one_line
from postbase_operator.archive.record import Part, Record, UnreadableRecord
from postbase_operator.archive.run import ServerFacts

WISH = "POSTBASE_SERVER_WISH"
"""The variable. A service that has it takes care of its server."""
WISH_REVISION = "POSTBASE_SERVER_WISH_REVISION"
"""Which wish that is, beside it: what is hidden cannot be compared."""
REPORT = "postbase-server "
"""Begins the line of the log in which the Caretaker tells its report."""
MARK_LETTERS = 16


class WantedLogin(Part):
    """A role that must be able to log in, with this password."""

    user: str
    password: str = Field(repr=False)


class WantedExtension(Part):
    """An extension of the application's database. `version` None: the image's default."""

    name: str
    version: str | None = None


class ServerWish(Record):
    """All that is wanted of the server."""

    title: ClassVar[str] = "the wish of a server"

    superuser: str = Field(repr=False)
    """The password by which the Caretaker comes in."""
    owner: str
    database: str
    makes_database: bool = True
    """Where there is none. One that is to come out of a backup is not made empty in its place."""
    logins: tuple[WantedLogin, ...]
    closed: tuple[str, ...] = ()
    """Logins that must work no more."""
    extensions: tuple[WantedExtension, ...] = ()
    settings: dict[str, str]
    settings_revision: str
    replication: str = Field(repr=False)
    """The password of the receiver's role."""
    archives: bool = False
    """A receiver reads from the slot. Without one the slot goes: it would keep log for nobody."""

    @property
    def revision(self) -> str:
        """Which wish this is, in 16 characters. Of what it says they tell nothing: the superuser's
        password is in it, which is ours and long."""
        return hashlib.sha256(self.to_bytes()).hexdigest()[:MARK_LETTERS]

    def mark(self, login: WantedLogin) -> str:
        return mark(self.superuser, login.user, login.password)

    def variables(self) -> dict[str, str]:
        return {WISH: one_line(self), WISH_REVISION: self.revision}


def mark(superuser: str, user: str, password: str) -> str:
    """By which a report says that this login works. Keyed: a user may bring a weak password."""
    told = f"{user}\0{password}".encode()
    return hmac.new(superuser.encode(), told, "sha256").hexdigest()[:MARK_LETTERS]


def wish_in(variables: Mapping[str, str]) -> ServerWish | None:
    """None where nothing is wanted. Raises UnreadableRecord."""
    told = variables.get(WISH)
    return ServerWish.from_bytes(told.encode()) if told else None


class Trouble(Part):
    """What PostgreSQL refuses of the wish, as an InvalidSpec has it."""

    field: str
    why: str
    reason: str


class ToldFacts(Part):
    """What the server said of itself in one look, after all that could be done was done."""

    system_id: str
    version: str
    started_at: Instant
    in_recovery: bool
    loaded_revision: str
    mounted_revision: str
    pending_restart: tuple[str, ...] = ()
    rejected: tuple[str, ...] = ()
    synchronous: bool = False
    slot: str = ""
    used_bytes: NonNegativeInt = 0
    access_right: bool = False
    """Owner, logins and database are as this wish has them."""
    lacks_database: bool = False
    logins: tuple[str, ...] = ()
    """Marks of those that work."""
    extensions: tuple[str, ...] = ()
    """Those of the wish that the application's database has."""
    described: ServerFacts | None = None
    """What a backup's record says of it, as of some minutes ago; None while there is no database
    that could be backed up."""


class ToldReceiver(Part):
    """postgres.replication.ReceiverSeen."""

    at: Instant
    server: LSN
    timeline: NonNegativeInt
    connected_at: Instant | None = None
    state: str = ""
    received: LSN | None = None
    durable: LSN | None = None
    lag_seconds: float | None = None
    kept: LSN | None = None


class ServerReport(Record):
    """One look of the Caretaker's at its server."""

    title: ClassVar[str] = "the report of a server"

    wish: str
    """The revision of the wish that it answers."""
    at: Instant
    """By the Caretaker's clock, before it asked."""
    error: str = ""
    """Why the server gave no answer: then there is nothing else."""
    trouble: Trouble | None = None
    facts: ToldFacts | None = None
    receiver: ToldReceiver | None = None


def server_report_in(line: str) -> ServerReport | None:
    """Of a line of the log; None where it is of something else, or cannot be read."""
    try:
        return ServerReport.from_bytes(line.partition(REPORT)[2].encode())
    except UnreadableRecord:
        return None
