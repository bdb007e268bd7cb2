"""How sidecars are asked: a server over real TLS in a sidecar's place."""

from __future__ import annotations

import asyncio
import ssl
import threading
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from typing import Any, cast

import aiohttp
import pytest
from aiohttp import web

from node import ports
from postbase_operator.api.database import Database
from postbase_operator.archive.receiver import TOKEN_KEY, ReceiverReport
from postbase_operator.desired import names
from postbase_operator.errors import Unavailable
from postbase_operator.jobs.receiver_port import Desk, Port
from postbase_operator.kube import receivers
from postbase_operator.kube.admin import Admin
from postbase_operator.kube.receivers import Receivers
from postbase_operator.postgres import certificates

HOST, HERE = "shop-main.team.svc", "127.0.0.1"
SHOP = Database.model_validate(
    {
        "metadata": {"name": "shop-main", "namespace": "team", "uid": "u"},
        "spec": {
            "projectRef": {"name": "shop"},
            "postgresVersion": "15",
            "storage": {"size": "1Gi"},
        },
    }
)


pytestmark = pytest.mark.usefixtures("hung_up")


def now() -> datetime:
    return datetime.now(UTC)


class Keys:
    """In Admin's place."""

    def __init__(self) -> None:
        self.authority = certificates.authority("shop-main", now())
        self.token = "a-token"
        self.asked = 0

    async def sidecar(self, _: Database) -> tuple[bytes, str]:
        self.asked += 1
        await self.wait()
        return self.authority.certificate, self.token

    async def wait(self) -> None:
        """Nothing, but in a test that says so."""


class Sidecar:
    """Says what it is told to say, to who has the token."""

    def __init__(self, keys: Keys) -> None:
        self.keys = keys
        self.token = keys.token
        self.requests = 0
        self.told: dict[str, Any] = {"state": "Running", "startedAt": now(), "writer": "1"}

    async def status(self, request: web.Request) -> web.Response:
        self.requests += 1
        if request.headers.get("Authorization") != f"Bearer {self.token}":
            raise web.HTTPUnauthorized
        return web.Response(body=ReceiverReport.model_validate(self.told).to_bytes())

    @asynccontextmanager
    async def serving(self, folder: Path, host: str = HOST) -> AsyncIterator[None]:
        made = certificates.server(self.keys.authority, [host], now())
        (folder / "crt").write_bytes(made.certificate)
        (folder / "key").write_bytes(made.key)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(folder / "crt", folder / "key")
        app = web.Application()
        app.router.add_get("/status", self.status)
        runner = web.AppRunner(app)
        await runner.setup()
        await web.TCPSite(runner, HERE, names.SIDECAR_PORT, ssl_context=context).start()
        try:
            yield
        finally:
            await runner.cleanup()


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(names, "SIDECAR_PORT", ports.free())
    monkeypatch.setattr(receivers, "FRESH", 0.0)
    monkeypatch.setattr(receivers, "ROUND", 0.02)
    monkeypatch.setattr(receivers, "TIMEOUT", aiohttp.ClientTimeout(total=30.0))


def asking(keys: Keys) -> Receivers:
    return Receivers(cast(Admin, keys), now)


async def test_its_word_is_heard_and_the_keys_are_read_once(tmp_path: Path) -> None:
    keys = Keys()
    sidecar, asks = Sidecar(keys), asking(keys)
    async with sidecar.serving(tmp_path):
        for _ in range(3):
            heard = await asks.ask(SHOP, HERE)
            assert heard.silence is None
            assert heard.report is not None
            assert heard.report.state == "Running"
    assert (sidecar.requests, keys.asked) == (3, 1)


async def test_the_product_s_own_port_is_understood(tmp_path: Path) -> None:
    keys = Keys()
    made = certificates.server(keys.authority, [HOST], now())
    files = {"tls.crt": made.certificate, "tls.key": made.key, TOKEN_KEY: b"a-token"}
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
    told = ReceiverReport.model_validate(Sidecar(keys).told | {"durableLsn": "0/1000000"})
    Port(Desk(tmp_path, lambda: told, threading.Event()), names.SIDECAR_PORT).begin()
    asks = asking(keys)
    heard = await asks.ask(SHOP, HERE)
    assert heard.report == told, heard.silence
    keys.token = "another"
    asks.forget(SHOP)
    heard = await asks.ask(SHOP, HERE)
    assert heard.silence is not None
    assert "401" in heard.silence.message


async def test_a_fresh_answer_serves_for_some_seconds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(receivers, "FRESH", 60.0)
    sidecar = Sidecar(Keys())
    asks = asking(sidecar.keys)
    async with sidecar.serving(tmp_path):
        first = await asks.ask(SHOP, HERE)
        assert await asks.ask(SHOP, HERE) is first
    assert sidecar.requests == 1


async def test_silence_is_dated_from_its_beginning_and_says_why(tmp_path: Path) -> None:
    keys = Keys()
    sidecar, asks = Sidecar(keys), asking(keys)
    first = await asks.ask(SHOP, HERE)
    assert first.silence is not None
    assert (first.silence.reason, "refused" in first.silence.message) == ("ReceiverDown", True)
    again = await asks.ask(SHOP, HERE)
    assert again.silence is not None
    assert again.silence.since == first.silence.since
    async with sidecar.serving(tmp_path):
        assert (await asks.ask(SHOP, HERE)).silence is None
    later = await asks.ask(SHOP, HERE)
    assert later.silence is not None
    assert later.silence.since > first.silence.since


async def test_neither_a_stranger_nor_another_database_is_believed(tmp_path: Path) -> None:
    keys = Keys()
    sidecar, asks = Sidecar(keys), asking(keys)
    async with sidecar.serving(tmp_path, host="other.team.svc"):
        heard = await asks.ask(SHOP, HERE)
        assert heard.silence is not None
        assert "not trusted" in heard.silence.message
    keys.authority = certificates.authority("shop-main", now())
    async with Sidecar(Keys()).serving(tmp_path):
        heard = await asks.ask(SHOP, HERE)
        assert heard.silence is not None
        assert "not trusted" in heard.silence.message
    assert sidecar.requests == 0, "the token went to nobody else"


async def test_a_token_that_has_changed_is_read_again(tmp_path: Path) -> None:
    keys = Keys()
    sidecar, asks = Sidecar(keys), asking(keys)
    async with sidecar.serving(tmp_path):
        assert (await asks.ask(SHOP, HERE)).silence is None
        sidecar.token = "another"
        heard = await asks.ask(SHOP, HERE)
        assert heard.silence is not None
        assert "401" in heard.silence.message
        keys.token = "another"
        assert (await asks.ask(SHOP, HERE)).silence is None


async def test_who_watches_is_called_once_for_each_change(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(receivers, "ASKED_EVERY", 0.0)
    sidecar = Sidecar(Keys())
    asks = asking(sidecar.keys)
    woken: asyncio.Queue[Database] = asyncio.Queue()
    async with sidecar.serving(tmp_path):
        await asks.ask(SHOP, HERE)
        watching = asyncio.create_task(asks.watch(woken.put_nowait, lambda _: True))
        before = sidecar.requests
        while sidecar.requests < before + 3:  # noqa: ASYNC110 - another side's count
            await asyncio.sleep(0.05)
        assert woken.empty(), "what moves is no news"
        sidecar.told |= {"storeFailingSince": now()}
        assert await asyncio.wait_for(woken.get(), 60) is SHOP
    assert await asyncio.wait_for(woken.get(), 60) is SHOP, "it is silent"
    asks.forget(SHOP)
    watching.cancel()
    assert woken.empty()


@asynccontextmanager
async def watched(asks: Receivers, is_there: Callable[[Database], bool]) -> AsyncIterator[None]:
    watching = asyncio.create_task(asks.watch(lambda _: None, is_there))
    try:
        yield
    finally:
        watching.cancel()
        await asyncio.wait([watching])


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(60):
        while not condition():  # noqa: ASYNC110 - another side's state
            await asyncio.sleep(0.02)


def holds_nothing(asks: Receivers) -> bool:
    return not asks._heard and not asks._doors


async def test_one_that_is_forgotten_while_it_is_asked_is_not_asked_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its Database was deleted at that moment: reading its keys would make its Secrets anew."""
    monkeypatch.setattr(receivers, "ASKED_EVERY", 0.0)
    monkeypatch.setattr(receivers, "DOOR_LASTS", 0.0)
    keys, opened = Keys(), asyncio.Event()
    sidecar, asks = Sidecar(keys), asking(keys)
    async with sidecar.serving(tmp_path):
        await asks.ask(SHOP, HERE)
        monkeypatch.setattr(keys, "wait", opened.wait)
        async with watched(asks, lambda _: True):
            await until(lambda: keys.asked == 2)
            asks.forget(SHOP)
            opened.set()
            await until(lambda: sidecar.requests == 2)
            await until(lambda: holds_nothing(asks))


async def test_one_that_went_without_a_word_is_forgotten(tmp_path: Path) -> None:
    """Somebody took its finalizer away."""
    sidecar, there = Sidecar(Keys()), [SHOP]
    asks = asking(sidecar.keys)
    async with sidecar.serving(tmp_path), watched(asks, lambda db: db in there):
        await asks.ask(SHOP, HERE)
        there.clear()
        await until(lambda: holds_nothing(asks))


async def test_while_the_cluster_is_in_trouble_it_is_asked_no_more_often(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(receivers, "ASKED_EVERY", 0.5)
    monkeypatch.setattr(receivers, "DOOR_LASTS", 0.0)
    keys, at = Keys(), list[float]()
    sidecar, asks = Sidecar(keys), asking(keys)

    async def troubled() -> None:
        at.append(time.monotonic())
        raise Unavailable("Kubernetes API", "503")

    async with sidecar.serving(tmp_path):
        heard = await asks.ask(SHOP, HERE)
        monkeypatch.setattr(keys, "wait", troubled)
        async with watched(asks, lambda _: True):
            await until(lambda: len(at) == 4)
    assert min(after - before for before, after in pairwise(at)) >= 0.5
    assert asks._heard["u"].at == heard.at, "what is held is as old as it is"
