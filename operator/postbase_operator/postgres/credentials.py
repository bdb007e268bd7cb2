"""The credentials Secret: who logs in, who is about to, who still may. PURE.

A rotation goes through the Secret in two conditional writes, so that a kill or a second operator
between any two lines costs a repetition: the next login is noted in it (`pending.*`), then set in
the database, then made the one to connect with; the former stays open for the overlap.
"""

from __future__ import annotations

import secrets
import string
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from urllib.parse import quote

from postbase_operator.desired import names

PASSWORD_LENGTH = 32
ALPHABET = string.ascii_letters + string.digits

ROTATION = "postbase.sh/rotation"
"""The value of the request that the present login answers, or that the pending one will."""
ROTATED_AT = "postbase.sh/rotated-at"
FORMER_UNTIL = "postbase.sh/former-login-until"


@dataclass(frozen=True, slots=True)
class Login:
    """A role that may log in, and its password."""

    user: str
    password: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Front:
    """Where clients connect, and by whom the server's certificate is signed (PEM; b"": they cannot
    tell by a certificate)."""

    host: str
    port: int
    authority: bytes = b""


@dataclass(frozen=True, slots=True)
class Credentials:
    """What the Secret says."""

    login: Login
    pending: Login | None = None
    rotation: str = ""
    rotated_at: datetime | None = None
    former_until: datetime | None = None
    given: str | None = field(default=None, repr=False)
    """The password that the user brings; it is in no Secret of ours until it is the login's."""

    @property
    def is_as_given(self) -> bool:
        """No password of the user's own waits to be taken up."""
        latest = self.pending or self.login
        return self.given is None or latest.password == self.given

    def open(self) -> tuple[Login, ...]:
        """Logins that must work with these passwords."""
        return (self.login,) if self.pending is None else (self.login, self.pending)

    def closed(self, now: datetime) -> tuple[str, ...]:
        """Logins that must work no more."""
        if self.pending is not None or (self.former_until and now < self.former_until):
            return ()
        return (other(self.login.user),)


def fresh(given: str | None = None) -> Credentials:
    return Credentials(Login(names.LOGINS[0], given or new_password()), given=given)


def read(data: Mapping[str, bytes], annotations: Mapping[str, str]) -> Credentials:
    """What is there, with a login of our own choice in place of what cannot be used.

    Whoever edits the Secret must not choose whom we alter, and no password is ever empty.
    """
    user = data.get("user", b"").decode(errors="replace")
    if user not in names.LOGINS:
        user = names.LOGINS[0]
    password = data.get("password", b"").decode(errors="replace") or new_password()
    waiting = data.get("pending.password", b"").decode(errors="replace")
    return Credentials(
        login=Login(user, password),
        pending=Login(other(user), waiting) if waiting else None,
        rotation=annotations.get(ROTATION, ""),
        rotated_at=_moment(annotations.get(ROTATED_AT)),
        former_until=_moment(annotations.get(FORMER_UNTIL)),
    )


def begun(held: Credentials, value: str) -> Credentials:
    """With a login that is about to follow; as it is where one is already."""
    if held.pending is not None:
        return held
    password = held.given or new_password()
    return replace(held, pending=Login(other(held.login.user), password), rotation=value)


def finished(held: Credentials, now: datetime, overlap: timedelta) -> Credentials:
    """The pending login is the one to connect with; the former still works for a while."""
    if held.pending is None:
        return held
    return replace(
        held, login=held.pending, pending=None, rotated_at=now, former_until=now + overlap
    )


def written(held: Credentials, front: Front) -> dict[str, bytes]:
    """The Secret's data: our keys, and those of the Service Binding specification."""
    user, password = held.login.user, held.login.password
    uri = (
        f"postgresql://{quote(user, '')}:{quote(password, '')}@{front.host}:{front.port}"
        f"/{names.DATABASE}?sslmode=require"
    )
    values = {
        "host": front.host,
        "port": str(front.port),
        "dbname": names.DATABASE,
        "user": user,
        "password": password,
        "uri": uri,
        "username": user,
        "database": names.DATABASE,
        "type": "postgresql",
        "provider": "postbase",
    }
    if held.pending is not None:
        values["pending.password"] = held.pending.password
    data = {key: value.encode() for key, value in values.items()}
    return data | {"ca.crt": front.authority} if front.authority else data


def marks(held: Credentials) -> dict[str, str]:
    """The Secret's annotations that tell of rotations."""
    found = {
        ROTATION: held.rotation,
        ROTATED_AT: held.rotated_at.isoformat() if held.rotated_at else "",
        FORMER_UNTIL: held.former_until.isoformat() if held.former_until else "",
    }
    return {name: value for name, value in found.items() if value}


def other(user: str) -> str:
    first, second = names.LOGINS
    return second if user == first else first


def new_password() -> str:
    """190 bits, letters and digits only: nothing to quote in a URI, a shell or a .pgpass."""
    return "".join(secrets.choice(ALPHABET) for _ in range(PASSWORD_LENGTH))


def is_plain(password: bytes) -> bool:
    """One that we would make: nothing in it to quote, and as hard to guess."""
    text = password.decode("ascii", errors="replace")
    return len(text) >= PASSWORD_LENGTH and all(letter in ALPHABET for letter in text)


def _moment(text: str | None) -> datetime | None:
    """None for what cannot be read: an edited mark must not stop anything."""
    try:
        moment = datetime.fromisoformat(text or "")
    except ValueError:
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
