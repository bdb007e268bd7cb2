"""The credentials Secret through rotations: at every moment what it says opens the server."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from postbase_operator.desired.names import LOGINS, Names
from postbase_operator.postgres import credentials
from postbase_operator.postgres.credentials import Credentials, Front, Login
from unit.conftest import NOW

SHOP = Front(Names("team", "shop-main").host, 5432, b"ca")
OVERLAP = timedelta(hours=24)


def stored(held: Credentials) -> Credentials:
    """Through the Secret and back."""
    return credentials.read(credentials.written(held, SHOP), credentials.marks(held))


def test_it_survives_the_secret() -> None:
    held = credentials.fresh()
    assert stored(held) == held
    begun = credentials.begun(held, "one")
    assert stored(begun) == begun
    done = credentials.finished(begun, NOW, OVERLAP)
    assert stored(done) == done


def test_a_rotation_takes_the_other_login_and_keeps_the_former_for_the_overlap() -> None:
    held = credentials.fresh()
    begun = credentials.begun(held, "one")
    assert begun.login == held.login  # clients go on with what they have
    assert begun.pending is not None
    assert begun.pending.user != held.login.user
    assert credentials.begun(begun, "two") == begun  # one at a time
    done = credentials.finished(begun, NOW, OVERLAP)
    assert done.login == begun.pending
    assert done.closed(NOW + OVERLAP / 2) == ()
    assert done.closed(NOW + OVERLAP) == (held.login.user,)
    assert credentials.finished(done, NOW, OVERLAP) == done


def test_whoever_edits_the_secret_chooses_neither_whom_we_alter_nor_an_empty_password() -> None:
    held = credentials.read({"user": b"postgres", "password": b""}, {})
    assert held.login.user in LOGINS
    assert len(held.login.password) >= 32
    assert (
        credentials.read({"user": b"\xff"}, {credentials.FORMER_UNTIL: "soon"}).former_until is None
    )


def test_no_password_in_a_repr() -> None:
    begun = credentials.begun(credentials.fresh(), "one")
    assert begun.pending is not None
    assert begun.login.password not in repr(begun)
    assert begun.pending.password not in repr(begun)


@dataclass
class Server:
    """Which logins open with which passwords."""

    opens: dict[str, str] = field(default_factory=dict)

    def set_up(self, held: Credentials, now: datetime) -> None:
        for login in held.open():
            self.opens[login.user] = login.password
        for user in held.closed(now):
            self.opens.pop(user, None)

    def takes(self, login: Login) -> bool:
        return self.opens.get(login.user) == login.password


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["begin", "set up", "finish", "wait", "kill"]), st.integers(1, 40)
        ),
        max_size=40,
    )
)
def test_no_order_of_steps_and_kills_cuts_off_who_follows_within_the_overlap(
    happens: list[tuple[str, int]],
) -> None:
    held, now, server = credentials.fresh(), NOW, Server()
    server.set_up(held, now)
    former: tuple[Login, datetime] | None = None
    for number, (what, hours) in enumerate(happens):
        match what:
            case "begin":
                held = stored(credentials.begun(held, str(number)))
                former = None  # its login is the one that comes next
            case "set up":
                server.set_up(held, now)
            case "finish" if held.pending is not None and server.takes(held.pending):
                former = (held.login, now + OVERLAP)
                held = stored(credentials.finished(held, now, OVERLAP))
            case "wait":
                now += timedelta(hours=hours)
                server.set_up(held, now)
            case _:
                held = stored(held)  # killed: only what is in the Secret is left
        assert server.takes(held.login)
        if former is not None and now < former[1]:
            assert server.takes(former[0])
