"""A Caretaker at a real server of every major: from nothing to all that is wanted, and back."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime

import psycopg
import pytest

from component.servers import MAJORS, OTHERS, Server, Servers, servers
from postbase_operator.archive.receiver import SLOT
from postbase_operator.archive.server_wish import ServerWish, WantedExtension, WantedLogin
from postbase_operator.errors import Unavailable
from postbase_operator.postgres.caring import REFUSED_AGAIN, Caring
from postbase_operator.postgres.connect import OURS, Connection
from postbase_operator.postgres.faults import POSTGRESQL

__all__ = ["servers"]
FIRST, SECOND = (
    WantedLogin(user="app_a", password="a" * 32),
    WantedLogin(user="app_b", password="b" * 32),
)
WANTED = ServerWish(
    superuser="of no use over a socket",
    owner="app",
    database="app",
    logins=(FIRST,),
    closed=("app_b",),
    settings={"work_mem": "8MB"},
    settings_revision="r1",
    replication="r" * 32,
)


def caring(server: Server, wish: ServerWish, now: list[float] | None = None) -> Caring:
    @asynccontextmanager
    async def door(dbname: str) -> AsyncIterator[Connection]:
        try:
            connection = await psycopg.AsyncConnection.connect(
                server.conninfo, dbname=dbname, autocommit=True, **(OURS | {"connect_timeout": 60})
            )
        except psycopg.OperationalError as error:
            raise Unavailable(POSTGRESQL, str(error)) from error
        async with connection:
            yield connection

    clock = now if now is not None else [0.0]
    return Caring(wish, door, lambda: datetime.now(UTC), lambda: clock[0])


@pytest.mark.parametrize("major", [*MAJORS, *OTHERS])
async def test_from_nothing_to_all_that_is_wanted_and_then_nothing_is_done(
    servers: Servers, major: int
) -> None:
    server = servers.new(major)
    wish = WANTED.model_copy(update={"extensions": (WantedExtension(name="plpgsql"),)})
    ours = caring(server, wish)
    report = await ours.look()
    has_worked = ours.did
    assert (report.wish, report.error, report.trouble) == (wish.revision, "", None)
    report = await ours.look()
    facts = report.facts
    assert facts is not None
    assert (has_worked, ours.did) == (True, False)
    assert facts.access_right
    assert not facts.lacks_database
    assert facts.logins == (wish.mark(FIRST),)
    assert facts.extensions == ("plpgsql",)
    assert (facts.loaded_revision, facts.mounted_revision) == ("r1", "r1")
    assert (facts.slot, facts.synchronous, facts.in_recovery) == ("", False, False)
    assert facts.used_bytes > 0
    assert facts.described is not None
    assert (facts.described.major, facts.described.system_id) == (major, facts.system_id)
    assert facts.described.source_bytes > 1_000_000
    assert facts.version == server.sql("SHOW server_version")[0][0].split()[0]
    assert server.sql("SHOW work_mem") == [("8MB",)]
    assert server.sql(
        "SELECT rolname::text, rolcanlogin, rolreplication FROM pg_roles"
        " WHERE rolname !~ '^pg_' ORDER BY 1"
    ) == [
        ("app", False, False),
        ("app_a", True, False),
        ("postbase_walrx", True, True),
        ("postgres", True, True),
    ]
    assert server.sql("SELECT datacl::text FROM pg_database WHERE datname = 'app'") == [
        ("{app=CTc/app}",)
    ]
    assert report.receiver is not None
    assert report.receiver.connected_at is None
    server.stop()


async def test_another_wish_is_another_login_and_the_former_is_closed(servers: Servers) -> None:
    server = servers.new(17)
    await caring(server, WANTED).look()
    both = WANTED.model_copy(update={"logins": (FIRST, SECOND), "closed": ()})
    report = await caring(server, both).look()
    assert report.facts is not None
    assert report.facts.logins == (both.mark(FIRST), both.mark(SECOND))
    logins = "SELECT rolname::text FROM pg_roles WHERE rolcanlogin AND rolname ~ '^app' ORDER BY 1"
    assert server.sql(logins) == [("app_a",), ("app_b",)]
    second = WANTED.model_copy(update={"logins": (SECOND,), "closed": ("app_a",)})
    report = await caring(server, second).look()
    assert report.facts is not None
    assert report.facts.logins == (second.mark(SECOND),)
    assert server.sql(logins) == [("app_b",)]
    server.sql("ALTER ROLE app_b NOLOGIN")  # by somebody else: it is put back
    report = await caring(server, second).look()
    assert report.facts is not None
    assert report.facts.access_right
    assert server.sql(logins) == [("app_b",)]
    server.stop()


async def test_what_postgresql_refuses_is_told_and_holds_up_nothing_else(servers: Servers) -> None:
    server, now = servers.new(17), [0.0]
    wish = WANTED.model_copy(
        update={
            "settings": {"work_mem": "a lot"},
            "settings_revision": "r2",
            "extensions": (WantedExtension(name="no_such"), WantedExtension(name="plpgsql")),
        }
    )
    ours = caring(server, wish, now)
    report = await ours.look()
    assert report.trouble is not None
    assert (report.trouble.field, report.trouble.reason) == (
        "spec.parameters.work_mem",
        "ParametersRejected",
    )
    assert report.facts is not None
    assert (report.facts.access_right, report.facts.mounted_revision) == (True, "")
    assert report.facts.extensions == ("plpgsql",)
    refused = server.log.count("a lot")
    await ours.look()
    assert server.log.count("a lot") == refused  # not three times a minute
    now[0] = REFUSED_AGAIN
    await ours.look()
    assert server.log.count("a lot") > refused
    server.stop()


async def test_a_setting_that_needs_a_restart_is_told_until_there_was_one(
    servers: Servers,
) -> None:
    server = servers.new(17)
    wish = WANTED.model_copy(update={"settings": {"max_connections": "50"}})
    await caring(server, wish).look()
    report = await caring(server, wish).look()
    assert report.facts is not None
    assert report.facts.pending_restart == ("max_connections",)
    server.stop()
    report = await caring(server, wish).look()
    assert (report.facts, report.receiver) == (None, None)
    assert report.error.startswith("PostgreSQL: ")
    server.start()
    report = await caring(server, wish).look()
    assert report.facts is not None
    assert (report.facts.pending_restart, report.error) == ((), "")
    server.stop()


async def test_the_slot_goes_where_nothing_is_archived_and_no_commit_waits(
    servers: Servers,
) -> None:
    server = servers.new(17)
    server.sql("SELECT pg_create_physical_replication_slot(%s, true)", SLOT)
    on = WANTED.model_copy(update={"archives": True})
    report = await caring(server, on).look()
    assert report.facts is not None
    assert report.facts.slot == "reserved"
    report = await caring(server, WANTED).look()
    assert report.facts is not None
    assert report.facts.slot == ""
    server.stop()


async def test_no_empty_database_is_made_in_place_of_one_that_is_to_be_restored(
    servers: Servers,
) -> None:
    server = servers.new(17)
    wish = WANTED.model_copy(update={"makes_database": False})
    report = await caring(server, wish).look()
    assert report.facts is not None
    assert (report.facts.access_right, report.facts.lacks_database) == (False, True)
    assert server.sql("SELECT 1 FROM pg_database WHERE datname = 'app'") == []
    assert report.facts.logins == (wish.mark(FIRST),)
    server.stop()
