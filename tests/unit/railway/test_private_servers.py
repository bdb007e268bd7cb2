"""How often the log of a Caretaker is read, and which of its reports counts."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from types import SimpleNamespace
from typing import Any, cast

import pytest

from postbase_operator.api.database import Database
from postbase_operator.archive.receiver_environment import one_line
from postbase_operator.archive.server_wish import REPORT, ServerReport, Trouble
from postbase_operator.archive.wish import NOTHING
from postbase_operator.errors import InvalidSpec, NotReady, Throttled
from postbase_operator.planning import plan as steps
from postbase_operator.postgres.credentials import Credentials
from postbase_operator.railway.graphql.deployments import Deployment, LogLine
from postbase_operator.railway.graphql.models import EnvironmentState, ServiceInstance, TcpProxy
from postbase_operator.railway.ground import Ground
from postbase_operator.railway.keyring import Keyring
from postbase_operator.railway.sql.either_servers import EitherServers
from postbase_operator.railway.sql.private_servers import (
    FRESH,
    PATIENCE,
    READ_AGAIN,
    READ_EVERY,
    READ_SOON,
)
from unit.desired.test_backup_job import run_of
from unit.planning.test_backup import backup
from unit.railway.test_server_report import HELD, NOW, ROOT, private, said, wished

PROXY = TcpProxy.model_validate(
    {"id": "p", "domain": "d", "proxyPort": 1, "applicationPort": 5432, "syncStatus": "ACTIVE"}
)


def service(name: str, status: str = "SUCCESS") -> ServiceInstance:
    since = NOW - timedelta(hours=1)
    latest = Deployment(id=f"d-{name}", status=status, status_updated_at=since)
    return ServiceInstance(service_id=name, service_name=name, latest_deployment=latest)


@dataclass
class Scene:
    """One Database, its two services, and the log of the second one."""

    monkeypatch: pytest.MonkeyPatch
    said: ServerReport | None = None
    database: ServiceInstance = field(default_factory=lambda: service("main"))
    beside: ServiceInstance | None = field(default_factory=lambda: service("main-wal"))
    proxies: tuple[TcpProxy, ...] = ()
    time: float = 0.0
    read: int = 0
    db: Database = field(default_factory=private)

    def __post_init__(self) -> None:
        async def logs(*_: object, **__: object) -> tuple[LogLine, ...]:
            self.read += 1
            lines = ["starting", f"{REPORT}{one_line(self.said)}"] if self.said else []
            return tuple(LogLine(timestamp="", message=each) for each in lines)

        async def held(*_: object) -> Credentials:
            return HELD

        async def word(*_: object) -> str:
            return "the receiver's own"

        self.monkeypatch.setattr("postbase_operator.railway.graphql.reads.logs", logs)
        ring = SimpleNamespace(credentials=held, replication=word)
        self.servers = EitherServers(
            cast(Keyring, ring), lambda: NOW + timedelta(seconds=self.time)
        )

        async def root(*_: object) -> str:
            return ROOT

        self.servers._private.superuser = root

    def now(self) -> datetime:
        return NOW + timedelta(seconds=self.time)

    @property
    def ground(self) -> Ground:
        async def look(*_: object) -> Any:
            state = EnvironmentState("e", "n", (self.database,), proxies={"main": self.proxies})
            return state, self.database

        async def look_receiver(*_: object) -> Any:
            return None, self.beside

        sight = SimpleNamespace(clock=lambda: self.time)
        scene = SimpleNamespace(
            look=look, look_receiver=look_receiver, sight=sight, client=None, name=lambda _: "main"
        )
        return cast(Ground, scene)

    async def ask(self, after: float = 0.0) -> tuple[bool, str]:
        self.time += after
        server, why = await self.servers.ask(self.ground, self.db, None)
        return server is not None, why

    async def told(self) -> None:
        await self.servers.told(self.ground, self.db, NOTHING)


def at(seconds: float) -> ServerReport:
    return said(wished()).model_copy(update={"at": NOW + timedelta(seconds=seconds)})


async def test_idle_it_is_read_each_two_minutes(monkeypatch: pytest.MonkeyPatch) -> None:
    scene = Scene(monkeypatch, at(0))
    await scene.told()
    assert await scene.ask() == (True, "")
    for _ in range(119):
        assert (await scene.ask(1.0))[0]
    assert scene.read == 1
    await scene.ask(1.0)
    assert scene.read == 2
    assert READ_EVERY == 120


async def test_while_something_is_awaited_it_is_read_often_but_not_for_ever(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    scene = Scene(monkeypatch)
    answered, why = await scene.ask()
    assert not answered
    assert "has not answered yet" in why
    for _ in range(int(PATIENCE)):
        await scene.ask(1.0)
    assert scene.read == PATIENCE / READ_SOON
    before = scene.read
    for _ in range(300):
        await scene.ask(1.0)
    assert scene.read - before == 300 / READ_AGAIN


async def test_an_old_report_is_no_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    scene = Scene(monkeypatch, at(0))
    await scene.told()
    assert (await scene.ask())[0]
    assert (await scene.ask(FRESH.total_seconds()))[0]
    answered, why = await scene.ask(1.0)
    assert not answered
    assert "last heard of at 2026-11-29T12:30:00Z" in why
    assert scene.servers.unanswered_since(scene.db) == NOW + FRESH + timedelta(seconds=1)
    scene.said = at(scene.time)
    assert (await scene.ask(READ_SOON))[0]
    assert scene.servers.unanswered_since(scene.db) is None


async def test_what_was_said_of_the_process_before_is_no_answer(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It would be restarted for ever, for what it said before the restart."""
    scene = Scene(monkeypatch, at(0))
    await scene.told()
    assert (await scene.ask())[0]
    latest = scene.database.latest_deployment
    assert latest is not None
    later = latest.model_copy(update={"id": "d2", "status_updated_at": NOW + timedelta(seconds=5)})
    scene.database = scene.database.model_copy(update={"latest_deployment": later})
    assert not (await scene.ask(10))[0]
    scene.said = at(12)
    assert (await scene.ask(READ_SOON))[0]


@pytest.mark.parametrize(
    ("status", "why"),
    [("BUILDING", "on its way"), ("CRASHED", "railway.image of the chart"), (None, "not there")],
)
async def test_why_nobody_answers_is_told(
    status: str | None, why: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    scene = Scene(monkeypatch)
    scene.beside = service("main-wal", status) if status else None
    answered, told = await scene.ask()
    assert not answered
    assert why in told
    assert scene.read == 0
    scene.servers.note(scene.db, InvalidSpec("metadata.name", "belongs to another"))
    _, told = await scene.ask()
    assert status is not None or "belongs to another" in told


async def test_what_was_heard_counts_on_while_railway_turns_us_away(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    scene = Scene(monkeypatch, at(0))
    await scene.told()
    assert (await scene.ask())[0]

    async def refused(*_: object, **__: object) -> None:
        scene.read += 1
        raise Throttled("Railway", "too many", 60.0)

    monkeypatch.setattr("postbase_operator.railway.graphql.reads.logs", refused)
    assert (await scene.ask(READ_EVERY))[0]
    before = scene.read
    assert (await scene.ask(READ_AGAIN - 1))[0]
    assert scene.read == before
    assert (await scene.ask(1.0))[0]  # and not in two minutes only: a report grows old meanwhile
    assert scene.read == before + 1


async def test_it_is_not_ready_before_the_way_in_is_closed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    scene = Scene(monkeypatch, at(0), proxies=(PROXY,))
    await scene.told()
    answered, why = await scene.ask()
    assert not answered
    assert "being closed" in why
    assert scene.servers.may_close(scene.db)
    scene.proxies = ()
    assert (await scene.ask(1.0))[0]
    silent = Scene(monkeypatch, proxies=(PROXY,))
    await silent.ask()
    assert not silent.servers.may_close(silent.db)


async def test_what_postgresql_refuses_is_told_at_its_field_and_all_else_waits(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    scene = Scene(monkeypatch, at(0))
    await scene.told()
    await scene.ask()
    await scene.servers.take(scene.ground, scene.db, steps.PokeConfig("r"))
    with pytest.raises(NotReady):
        await scene.servers.take(scene.ground, scene.db, steps.CreateExtensions(("x",)))
    trouble = Trouble(field="spec.extensions", why="x: no", reason="ExtensionUnavailable")
    scene.said = at(1).model_copy(update={"trouble": trouble})
    await scene.ask(READ_EVERY)
    with pytest.raises(InvalidSpec, match="x: no") as refused:
        await scene.servers.take(scene.ground, scene.db, steps.CreateExtensions(("x",)))
    assert (refused.value.field, refused.value.reason) == (trouble.field, trouble.reason)
    scene.db = private(parameters={"work_mem": "8MB"})
    await scene.told()  # another wish: what was refused is of the one before
    await scene.servers.take(scene.ground, scene.db, steps.PokeConfig("r"))


async def test_nobody_gets_in_from_this_cluster(monkeypatch: pytest.MonkeyPatch) -> None:
    scene = Scene(monkeypatch)
    with pytest.raises(InvalidSpec, match="set ClusterIP"):
        await scene.servers.way_in(scene.ground, scene.db)


async def test_what_a_backup_says_of_it_is_in_the_report(monkeypatch: pytest.MonkeyPatch) -> None:
    facts = run_of(backup()).server
    scene = Scene(monkeypatch, said(wished(), described=facts))
    front, found = await scene.servers.describe(scene.ground, scene.db)
    assert (front.host, front.port) == ("main.railway.internal", 5432)
    assert found == facts
    scene.time += FRESH.total_seconds() + 1
    with pytest.raises(NotReady, match="last heard of"):
        await scene.servers.describe(scene.ground, scene.db)
    earlier = Scene(monkeypatch, said(wished()))
    with pytest.raises(NotReady, match="has not described it yet"):
        await earlier.servers.describe(earlier.ground, earlier.db)
