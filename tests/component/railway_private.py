"""What tests look at of a private Database on Railway: it is reached from its environment alone."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import psycopg
import pytest

from component.patience import Patience
from component.railway_operator import Operator, instances, railway_database
from postbase_operator.api.database import Database
from postbase_operator.railway.graphql.reads import Place
from railway import deployments
from railway.double import RailwayDouble
from railway.state import Instance

WITHIN = 60.0
EVERY = 0.1
PACE = {"READ_EVERY": 5.0, "READ_SOON": 0.5, "READ_AGAIN": 1.0}
"""Seconds in place of minutes: the double is asked for nothing that an hour counts."""


def hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, seconds in PACE.items():
        monkeypatch.setattr(f"postbase_operator.railway.sql.private_servers.{name}", seconds)


def private_database(**spec: Any) -> Database:
    return railway_database(**({"expose": "Private"} | spec))


def caretakers(double: RailwayDouble, place: Place) -> list[Instance]:
    named = double.world.state.services
    every = instances(double, place)
    return [each for each in every if named[each.service_id].name.endswith("-wal")]


def own(double: RailwayDouble, place: Place) -> Instance:
    """The database's service."""
    beside = caretakers(double, place)
    (found,) = [each for each in instances(double, place) if each not in beside]
    return found


def resolver(double: RailwayDouble, place: Place) -> dict[str, str]:
    """The private names, as another service of the environment has them: no others have any."""
    (beside,) = caretakers(double, place)
    where = (beside.service_id, place.environment_id)
    with double.clock.lock:
        return deployments._hosts(double.world, double.world.state.deployments_of(*where)[0])


def inside(ours: Operator, place: Place, db: Database, query: str) -> list[tuple[Any, ...]]:
    """As the application, by what its Secret says, from another service of the environment."""
    front, login = ours.ring.fronts[db.metadata.uid], ours.ring.held[db.metadata.uid].login
    with psycopg.connect(
        host=resolver(ours.double, place)[front.host],
        port=front.port,
        user=login.user,
        password=login.password,
        dbname="app",
        sslmode="require",
        channel_binding="require",
        autocommit=True,
    ) as connection:
        cursor = connection.execute(query.encode())
        return cursor.fetchall() if cursor.description else []


def proxies_ever(double: RailwayDouble, place: Place) -> int:
    """How many were made in the environment, those too that are gone."""
    return double.world.state.proxies_made.count(place.environment_id)


async def eventually(what: str, condition: Callable[[], object]) -> None:
    waiting = Patience(WITHIN, EVERY)
    while not await asyncio.to_thread(condition):
        assert not waiting.is_over(), what
        await asyncio.sleep(EVERY)
