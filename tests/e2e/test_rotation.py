"""A password is rotated on request: nobody is cut off; the former login ends with the overlap."""

from __future__ import annotations

import json

import psycopg
import pytest

from e2e.cluster import eventually
from e2e.conftest import NewDb
from e2e.database import Db

pytestmark = pytest.mark.timeout(900)

REQUEST = "postbase.sh/request-rotate"


@pytest.fixture(scope="module")
def rotated(new_db: NewDb) -> Db:
    db = new_db("rotated")
    db.apply(credentials={"overlap": "45s"})
    db.wait_ready()
    return db


def ask(db: Db, value: str) -> None:
    db.annotate(REQUEST, value)


def opens(db: Db, user: str, password: str) -> bool:
    try:
        with db.connect(user=user, password=password):
            return True
    except psycopg.OperationalError:
        return False


def test_a_rotation_cuts_nobody_off(rotated: Db) -> None:
    db = rotated
    started, before = db.started_at(), db.secret()
    db.fill("by the first login")
    with db.connect() as open_session:
        ask(db, "one")
        eventually(lambda: db.secret()["user"] != before["user"], "another login", seconds=30)
        after = db.secret()
        assert after["password"] != before["password"]
        assert after["password"] in after["uri"]
        assert "pending.password" not in after
        assert opens(db, after["user"], after["password"])
        assert opens(db, before["user"], before["password"])  # within the overlap
        assert open_session.execute("SELECT 1").fetchone() == (1,)
        eventually(
            lambda: not opens(db, before["user"], before["password"]),
            "the former login is closed",
            seconds=150,
            every=3,
        )
        assert open_session.execute("SELECT count(*) FROM notes").fetchone() == (1,)
    db.fill("by the second login")  # of the same owner: it may write what the first one made
    assert db.started_at() == started
    assert db.live()["status"]["requests"] == {"rotate": "one"}
    db.wait_ready(seconds=30)


def test_a_value_is_served_once_and_the_next_one_goes_back_to_the_first_login(rotated: Db) -> None:
    db = rotated
    before = db.secret()
    ask(db, "one")
    db.patch(parameters={"work_mem": "5MB"})  # something to look at
    eventually(lambda: db.value("SHOW work_mem") == "5MB", "looked at", seconds=30)
    assert db.secret()["password"] == before["password"]
    ask(db, "two")
    eventually(lambda: db.secret()["user"] != before["user"], "another login", seconds=30)
    assert db.answers()


def test_no_password_is_told_anywhere(rotated: Db) -> None:
    secret = rotated.secret()
    told = json.dumps(
        rotated.cluster.listed("databases,events,configmaps,statefulsets", rotated.namespace)
    )
    said = rotated.cluster.operator_logs() + rotated.logs()
    assert secret["password"] not in told
    assert secret["password"] not in said
    assert "PRIVATE KEY" not in told + said
