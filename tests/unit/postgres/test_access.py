"""Roles: whatever is found, the statements lead to what is wanted, and then there are none."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from postbase_operator.postgres.access import Found, Owned, Role, Wanted, is_right, statements
from postbase_operator.postgres.scram import verifier

SALT = b"0123456789abcdef"
WANTED = Wanted("app", "app", logins=(("app_a", "s3cret"),), closed=("app_b",))
OWNER = Role(member_of=frozenset({"pg_read_all_stats", "pg_signal_backend"}))
RIGHT = Found(
    roles={
        "app": OWNER,
        "app_a": Role(
            login=True,
            verifier=verifier("s3cret", SALT),
            member_of=frozenset({"app"}),
            becomes="app",
        ),
    },
    databases={"app": Owned("app")},
)


CLOSED = [
    'REVOKE ALL ON DATABASE "app" FROM PUBLIC',
    'ALTER DATABASE "app" ALLOW_CONNECTIONS true',
]


def told(found: Found) -> list[str]:
    return [statement.as_string() for statement in statements(WANTED, found, SALT)]


def test_from_nothing() -> None:
    assert [line.split(" PASSWORD")[0] for line in told(Found({}, {}))] == [
        'CREATE ROLE "app" NOLOGIN NOSUPERUSER',
        'GRANT "pg_read_all_stats" TO "app"',
        'GRANT "pg_signal_backend" TO "app"',
        'CREATE ROLE "app_a" LOGIN NOSUPERUSER',
        'GRANT "app" TO "app_a"',
        "ALTER ROLE \"app_a\" SET role = 'app'",
        'CREATE DATABASE "app" OWNER "app" ALLOW_CONNECTIONS false',
        *CLOSED,
    ]


def test_a_database_that_a_kill_left_open_to_nobody_is_finished() -> None:
    """Between its creation and the last statement anybody could have come in, had it been open."""
    assert told(Found(RIGHT.roles, {"app": Owned("app", open=False)})) == CLOSED


def test_nothing_to_do() -> None:
    assert is_right(WANTED, RIGHT)


def test_no_statement_carries_a_password() -> None:
    assert not [line for line in told(Found({}, {})) if "s3cret" in line]
    assert "s3cret" not in repr(WANTED)


def test_an_edited_password_is_set() -> None:
    login = replace(RIGHT.roles["app_a"], verifier=verifier("old", SALT))
    lines = told(Found({**RIGHT.roles, "app_a": login}, RIGHT.databases))
    assert len(lines) == 1
    assert lines[0].startswith('ALTER ROLE "app_a" LOGIN NOSUPERUSER PASSWORD')


def test_the_former_login_is_closed_and_stays_a_role() -> None:
    """It may own something by now; and a session that is open is not cut."""
    roles = {**RIGHT.roles, "app_b": RIGHT.roles["app_a"]}
    assert told(Found(roles, RIGHT.databases)) == ['ALTER ROLE "app_b" NOLOGIN']
    roles["app_b"] = replace(roles["app_b"], login=False)
    assert is_right(WANTED, Found(roles, RIGHT.databases))


def test_both_logins_work_while_one_follows_the_other() -> None:
    wanted = replace(WANTED, logins=(("app_a", "s3cret"), ("app_b", "next")), closed=())
    lines = [s.as_string() for s in statements(wanted, RIGHT, SALT)]
    assert [line.split(" PASSWORD")[0] for line in lines] == [
        'CREATE ROLE "app_b" LOGIN NOSUPERUSER',
        'GRANT "app" TO "app_b"',
        "ALTER ROLE \"app_b\" SET role = 'app'",
    ]


def test_a_superuser_by_hand_is_taken_back() -> None:
    roles = {**RIGHT.roles, "app": replace(OWNER, superuser=True, login=True)}
    assert told(Found(roles, RIGHT.databases)) == ['ALTER ROLE "app" NOLOGIN NOSUPERUSER']


@given(
    st.dictionaries(
        st.sampled_from(["app", "app_a"]),
        st.builds(
            Role,
            login=st.booleans(),
            superuser=st.booleans(),
            verifier=st.sampled_from([None, verifier("s3cret", SALT, 8), verifier("x", SALT, 8)]),
            member_of=st.sampled_from([frozenset(), frozenset({"app"}), OWNER.member_of]),
            becomes=st.sampled_from([None, "app", "postgres"]),
        ),
    ),
    st.sampled_from(
        [
            {},
            {"app": Owned("postgres")},
            {"app": Owned("app", open=False)},
            {"app": Owned("app")},
        ]
    ),
)
def test_only_the_right_state_needs_nothing(
    roles: dict[str, Role], databases: dict[str, Owned]
) -> None:
    found = Found(roles, databases)
    owner, login = roles.get("app"), roles.get("app_a")
    right = (
        owner is not None
        and not owner.login
        and not owner.superuser
        and owner.member_of == OWNER.member_of
        and login is not None
        and login.login
        and not login.superuser
        and login.verifier == verifier("s3cret", SALT, 8)
        and login.member_of == {"app"}
        and login.becomes == "app"
        and databases == {"app": Owned("app")}
    )
    assert is_right(WANTED, found) == right
