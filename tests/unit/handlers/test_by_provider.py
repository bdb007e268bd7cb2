"""Each Database is passed on to its own platform, and a missing one is said."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, cast

import pytest

from postbase_operator.api.database import DatabaseStatus
from postbase_operator.api.database_status import RailwayStatus
from postbase_operator.api.policies import BackupMethod
from postbase_operator.errors import InvalidSpec, PostbaseError
from postbase_operator.handlers.by_provider import ByProvider
from postbase_operator.handlers.far import place_of, railway_platform
from postbase_operator.kube.cache import Cache
from postbase_operator.kube.session import Session
from postbase_operator.planning import plan as steps
from postbase_operator.planning.observed import Observed
from postbase_operator.planning.plan import Plan
from postbase_operator.platforms import Platform
from postbase_operator.railway.graphql.reads import Place
from postbase_operator.settings import Settings
from unit.conftest import database
from unit.railway.server import error, served

LOGICAL = BackupMethod.LOGICAL
HERE, THERE = database(), database(provider="Railway")
TODO = Plan(DatabaseStatus(), (steps.EnsureSecrets(),))


@dataclass
class Noted:
    """A platform that notes what it is asked."""

    asked: list[str] = field(default_factory=list)
    restoring: Any = None
    backing_up: Any = None

    async def observe(self, _: object) -> Observed:
        self.asked.append("observe")
        return Observed()

    async def execute(self, *_: object) -> None:
        self.asked.append("execute")

    async def destroy(self, *_: object, keep: bool = False) -> bool:
        self.asked.append(f"destroy {keep}")
        return False


def platforms(railway: Noted | None) -> tuple[ByProvider, Noted]:
    kubernetes = Noted()
    far = cast(Platform, railway) if railway is not None else None
    return ByProvider(cast(Platform, kubernetes), far), kubernetes


async def test_each_is_asked_for_its_own() -> None:
    railway = Noted()
    made, kubernetes = platforms(railway)
    await made.observe(HERE)
    await made.execute(THERE, TODO)
    assert not await made.destroy(THERE, keep=True)
    assert (kubernetes.asked, railway.asked) == (["observe"], ["execute", "destroy True"])


@dataclass
class Server:
    """What backups are told by a platform of this name."""

    name: str

    async def server(self, _: object, __: object) -> Any:
        return self.name


async def test_a_backups_server_is_asked_for_at_its_own() -> None:
    railway = Noted(backing_up=Server("railway"))
    made, kubernetes = platforms(railway)
    kubernetes.backing_up = Server("kubernetes")
    told = [cast(Any, await made.backing_up.server(each, LOGICAL)) for each in (HERE, THERE)]
    assert told == ["kubernetes", "railway"]
    alone, _ = platforms(None)
    with pytest.raises(InvalidSpec, match=r"railway\.tokenSecretRef"):
        await alone.backing_up.server(THERE, LOGICAL)


async def test_without_railway_nothing_is_done_and_nothing_forgotten() -> None:
    made, kubernetes = platforms(None)
    assert await made.observe(THERE) == Observed()
    await made.execute(THERE, Plan(DatabaseStatus()))
    with pytest.raises(InvalidSpec, match=r"railway\.tokenSecretRef"):
        await made.execute(THERE, TODO)
    assert await made.destroy(THERE)  # it was never made
    status = DatabaseStatus(railway=RailwayStatus(service_id="s"))
    with pytest.raises(InvalidSpec, match="POSTBASE_RAILWAY_TOKEN"):
        await made.destroy(THERE.model_copy(update={"status": status}))
    assert kubernetes.asked == []


def test_where_databases_are_made() -> None:
    assert place_of(Settings(railway_token_kind="Project", railway_project="ignored")) is None
    given = Settings(railway_token_kind="Workspace", railway_project="p", railway_environment="e")
    assert place_of(given) == Place("p", "e")
    with pytest.raises(InvalidSpec, match="POSTBASE_RAILWAY_PROJECT"):
        place_of(Settings(railway_token_kind="Account", railway_project="p"))
    with pytest.raises(InvalidSpec, match=r"railway\.tokenKind"):
        place_of(Settings(railway_token_kind="project"))


async def test_what_stands_in_railways_place_is_asked() -> None:
    async with served(error("Not Authorized")) as (server, _):
        settings = Settings(railway_token="t", railway_endpoint=server.url)
        async with railway_platform(cast(Session, None), Cache(), settings) as made:
            assert made is not None
            with pytest.raises(PostbaseError):
                await made.observe(THERE)
    assert [each["operationName"] for each in server.bodies] == ["ProjectTokenScope"]
