"""Who gets in, as whom, and that no password is written anywhere but into its Secret."""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass
from pathlib import Path

import psycopg
import pytest

from e2e.cluster import Body, eventually
from e2e.conftest import NewDb
from e2e.database import CHILDREN, Db

pytestmark = pytest.mark.timeout(900)

SECRETS_WITHIN = 60
"""Seconds: Secrets are read now and then, and never watched."""


LOGGED = {"log_statement": "all", "log_connections": "on"}
CHOSEN = "a/b@c:d?e#f%g+h&i=j-k_l.m~n-0123"
"""Every character that a URI or a connection string could stumble over."""


@dataclass(frozen=True)
class Disturbed:
    """Databases whose Secrets have been meddled with, and what they held before."""

    deleted: Db
    edited: Db
    usurped: Db
    before: dict[str, dict[str, str]]


@pytest.fixture(scope="module")
def databases(new_db: NewDb) -> dict[str, Db]:
    """They log every statement: a password that the operator sends would be seen."""
    made = {name: new_db(name) for name in ("main", "deleted", "edited", "usurped")}
    for db in made.values():
        db.apply(parameters=LOGGED)
    for db in made.values():
        db.wait_ready()
        db.wait_answers()
    return made


@pytest.fixture(scope="module")
def db(databases: dict[str, Db]) -> Db:
    """The one that nobody meddles with."""
    return databases["main"]


@pytest.fixture(scope="module")
def disturbed(databases: dict[str, Db]) -> Disturbed:
    """Side by side, as each takes up to a minute to be seen."""
    before = {name: db.secret() for name, db in databases.items()}
    found = Disturbed(databases["deleted"], databases["edited"], databases["usurped"], before)
    edit(
        found.edited,
        host="elsewhere.example",
        port="1",
        uri="postgresql://elsewhere.example/",
        password=CHOSEN,
    )
    edit(found.usurped, user="postbase_admin")
    found.deleted.cluster.delete("secret", found.deleted.namespace, "deleted-credentials")
    return found


def credentials(db: Db) -> Body | None:
    return db.cluster.find("secret", db.namespace, f"{db.name}-credentials")


def edit(db: Db, **values: str) -> None:
    data = {key: base64.b64encode(value.encode()).decode() for key, value in values.items()}
    db.cluster.patch("secret", db.namespace, f"{db.name}-credentials", {"data": data})


def logs_in(db: Db, password: str) -> bool:
    """By what the Secret said before somebody edited it."""
    try:
        with db.connect(host=db.host, port="5432", user="app_a", password=password):
            return True
    except psycopg.OperationalError as error:
        if "password authentication failed" not in str(error):
            raise
        return False


def refusal(db: Db, **overrides: str) -> str:
    with pytest.raises(psycopg.OperationalError) as caught:
        db.connect(**overrides)
    return str(caught.value)


# -- who gets in -------------------------------------------------------------------------------


def test_plaintext_is_refused(db: Db) -> None:
    assert "pg_hba.conf rejects connection" in refusal(db, sslmode="disable")


def test_a_wrong_password_is_refused(db: Db) -> None:
    assert "password authentication failed" in refusal(db, password="wrong")


def test_another_authority_is_refused_by_the_client(db: Db, tmp_path: Path) -> None:
    """The certificate proves the name and the authority, or verify-full says no."""
    wrong = tmp_path / "ca.crt"
    wrong.write_text(
        db.cluster.get("configmap", db.namespace, "kube-root-ca.crt")["data"]["ca.crt"]
    )
    assert "certificate verify failed" in refusal(db, sslrootcert=str(wrong))
    assert "does not match host name" in refusal(db, host="other.example")


@pytest.mark.parametrize("role", ["postgres", "postbase_admin", "postbase_walrx"])
def test_no_superuser_and_no_receiver_comes_in_by_password(db: Db, role: str) -> None:
    said = refusal(db, user=role, dbname="postgres")
    assert "pg_hba.conf rejects" in said or "valid client certificate" in said, said


def test_a_certificate_of_the_application_is_no_admin(db: Db) -> None:
    """The server's own certificate is signed by the authority and must not open the door."""
    tls = db.cluster.get("secret", db.namespace, f"{db.name}-tls")["data"]
    files = {}
    for name, key in (("sslcert", "tls.crt"), ("sslkey", "tls.key")):
        file = db.folder / f"stolen-{key}"
        file.touch(mode=0o600)
        file.write_bytes(base64.b64decode(tls[key]))
        files[name] = str(file)
    said = refusal(db, user="postbase_admin", dbname="postgres", **files)
    assert "certificate authentication failed" in said or "tls" in said.lower(), said


# -- as whom -----------------------------------------------------------------------------------


def test_the_login_becomes_the_owner_and_is_no_superuser(db: Db) -> None:
    assert db.secret()["user"] == "app_a"
    assert db.rows("SELECT session_user::text, current_user::text") == [("app_a", "app")]
    query = (
        "SELECT rolname::text, rolsuper, rolcreaterole, rolcreatedb, rolreplication, rolcanlogin"
    )
    assert db.rows(f"{query} FROM pg_roles WHERE rolname IN ('app', 'app_a') ORDER BY 1") == [
        ("app", False, False, False, False, False),
        ("app_a", False, False, False, False, True),
    ]


def test_what_it_makes_belongs_to_the_owner(db: Db) -> None:
    db.fill("a row")
    assert db.value("SELECT tableowner FROM pg_tables WHERE tablename = 'notes'") == "app"
    owner = "SELECT pg_get_userbyid(datdba) FROM pg_database WHERE datname = current_database()"
    assert db.value(owner) == "app"


def test_it_cannot_read_what_is_the_servers(db: Db) -> None:
    for statement in (
        "SELECT rolpassword FROM pg_authid",
        "SELECT pg_read_file('/postbase/tls/tls.key')",
        "COPY (SELECT 1) TO PROGRAM 'id'",
        "SET ROLE postbase_admin",
        "ALTER SYSTEM SET work_mem = '1GB'",
    ):
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            db.rows(statement)


# -- the Secret --------------------------------------------------------------------------------


def test_the_secret_has_every_key(db: Db) -> None:
    held = db.secret()
    expected = {
        "host": db.host,
        "port": "5432",
        "dbname": "app",
        "database": "app",
        "user": "app_a",
        "username": "app_a",
        "type": "postgresql",
    }
    assert {key: held[key] for key in expected} == expected
    assert len(held["password"]) >= 24
    assert held["ca.crt"].startswith("-----BEGIN CERTIFICATE-----")
    assert db.live()["status"]["credentialsSecretRef"]["name"] == f"{db.name}-credentials"


def test_the_uri_alone_is_enough(db: Db) -> None:
    uri = db.secret()["uri"]
    with psycopg.connect(uri, hostaddr=db.address(), connect_timeout=15) as connection:
        assert connection.execute("SELECT current_database()").fetchone() == ("app",)


def test_an_edited_password_is_set_in_the_database(disturbed: Disturbed) -> None:
    db = disturbed.edited
    eventually(lambda: logs_in(db, CHOSEN), "the new password", seconds=SECRETS_WITHIN, every=1)
    assert not logs_in(db, disturbed.before["edited"]["password"])
    assert db.secret()["password"] == CHOSEN


def test_an_edited_address_is_put_back(disturbed: Disturbed) -> None:
    db, before = disturbed.edited, disturbed.before["edited"]
    derived = ("host", "port", "dbname", "user", "ca.crt")
    eventually(
        lambda: {key: db.secret()[key] for key in derived} == {key: before[key] for key in derived},
        "host and port as they were",
        seconds=SECRETS_WITHIN,
    )


def test_the_uri_carries_an_edited_password(disturbed: Disturbed) -> None:
    db = disturbed.edited
    eventually(lambda: "elsewhere" not in db.secret()["uri"], "a right uri", seconds=SECRETS_WITHIN)
    with psycopg.connect(
        db.secret()["uri"], hostaddr=db.address(), connect_timeout=15
    ) as connection:
        assert connection.execute("SELECT 1").fetchone() == (1,)


def test_a_deleted_secret_is_back_with_a_new_password(disturbed: Disturbed) -> None:
    db, before = disturbed.deleted, disturbed.before["deleted"]
    eventually(lambda: credentials(db), "the Secret", seconds=SECRETS_WITHIN, every=1)
    after = db.secret()
    assert after["password"] != before["password"]
    assert {**after, "password": "", "uri": ""} == {**before, "password": "", "uri": ""}
    eventually(lambda: logs_in(db, after["password"]), "the new password", seconds=SECRETS_WITHIN)
    assert not logs_in(db, before["password"])


def test_an_edited_user_is_put_back_and_alters_no_other_role(disturbed: Disturbed) -> None:
    """Whoever may edit the Secret must not make the operator alter its own superuser."""
    db, before = disturbed.usurped, disturbed.before["usurped"]
    eventually(
        lambda: db.secret() == before, "the Secret as it was", seconds=SECRETS_WITHIN, every=1
    )
    admin = "SELECT rolsuper FROM pg_roles WHERE rolname = 'postbase_admin'"
    assert db.value(admin) is True


# -- and nowhere else ----------------------------------------------------------------------------


def told(db: Db) -> dict[str, str]:
    """Everything that people without a right to read Secrets can see."""
    kinds = [kind for kind in CHILDREN.split(",") if kind != "secrets"]
    found = {kind: json.dumps(db.cluster.listed(kind, db.namespace)) for kind in [*kinds, "events"]}
    found["database"] = json.dumps(db.live())
    found["operator log"] = db.cluster.operator_logs()
    for container in ("initdb", "wal-receiver", "postgres"):
        found[f"{container} log"] = db.cluster.logs(db.namespace, db.pod, f"-c={container}")
    commands = []
    for process in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            commands.append(process.read_bytes().decode(errors="replace"))
        except (FileNotFoundError, ProcessLookupError):
            continue
    found["process arguments"] = "\n".join(commands)
    return found


def places(secret: str, texts: dict[str, str]) -> list[str]:
    spellings = (secret, base64.b64encode(secret.encode()).decode(), json.dumps(secret)[1:-1])
    return [name for name, text in texts.items() if any(s in text for s in spellings)]


def test_no_password_is_to_be_seen_anywhere(disturbed: Disturbed) -> None:
    """Neither of those that were, nor of those that are."""
    for db, now in (
        (disturbed.edited, CHOSEN),
        (disturbed.deleted, disturbed.deleted.secret()["password"]),
    ):
        texts = told(db)
        assert "CREATE ROLE" in texts["postgres log"], "statements are not logged: no proof"
        assert "SCRAM-SHA-256$" in texts["postgres log"], "the verifiers are not logged: no proof"
        assert places(disturbed.before[db.name]["password"], texts) == []
        assert places(now, texts) == []
        secret = {"secret": json.dumps(credentials(db))}
        assert places(now, secret) == ["secret"], "the search finds nothing at all: no proof"
