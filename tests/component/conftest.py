"""What component tests share: one adapter of ours each, against a real server."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator

import pytest

from component import railway_receivers
from component.fault_proxy import FaultProxy
from component.patience import Patience
from component.railway_operator import Operator, new_place, operator
from component.store_server import StoreServer, store_of, store_server
from postbase_operator.objectstore.s3 import S3Store
from postbase_operator.objectstore.settings import StoreConfig
from postbase_operator.railway.graphql.reads import Place
from railway.double import RailwayDouble


@pytest.fixture(scope="session")
def s3_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StoreServer]:
    with store_server(tmp_path_factory.mktemp("s3")) as server:
        yield server


@pytest.fixture
def s3_config(s3_server: StoreServer) -> StoreConfig:
    """A bucket of the test's own."""
    return s3_server.config


@pytest.fixture
def s3_store(s3_config: StoreConfig) -> S3Store:
    return store_of(s3_config)


@pytest.fixture
def s3_proxy(s3_server: StoreServer) -> Iterator[FaultProxy]:
    """Between a store and its server; passes everything on until it is told otherwise."""
    with FaultProxy(s3_server.port) as proxy:
        yield proxy


@pytest.fixture
def proxied_store(s3_config: StoreConfig, s3_proxy: FaultProxy) -> S3Store:
    return store_of(s3_config, endpoint=s3_proxy.endpoint)


@pytest.fixture
async def hung_up() -> AsyncIterator[None]:
    """A connection by TLS ends a moment after its answer; a loop that ends before it leaves it."""
    yield
    selector = asyncio.get_running_loop()._selector  # type: ignore[attr-defined]
    waiting = Patience(30, 0.01)
    while len(selector.get_map()) > 1:  # the loop's own pipe
        assert not waiting.is_over(), "a connection was left open"
        await asyncio.sleep(0.01)


# -- for those that have a fixture `railway`, a double as they need it ----------------------------


@pytest.fixture
def place(railway: RailwayDouble) -> Place:
    """An empty environment."""
    return new_place(railway)


@pytest.fixture
async def ours(railway: RailwayDouble, place: Place) -> AsyncIterator[Operator]:
    """An operator of it, without an object store."""
    async with operator(railway, place) as made:
        yield made


@pytest.fixture
def site(railway: RailwayDouble, s3_config: StoreConfig) -> railway_receivers.Site:
    """An empty environment, and a bucket for what is received there."""
    return railway_receivers.Site(railway, new_place(railway), s3_config)
