"""What the gateway asks of others than Kubernetes: a receiver by TLS, a store for links and log."""

from __future__ import annotations

import asyncio
import threading
from datetime import UTC, datetime
from pathlib import Path
from typing import cast
from uuid import UUID

import aiohttp
import pytest

from component.gateway_server import Cluster
from component.store_server import store_of
from node import ports
from postbase_operator.api.database import Database
from postbase_operator.api.database_status import ReceiverState
from postbase_operator.archive.keys import Archive, ChunkKey, HistoryKey, SegmentKey
from postbase_operator.archive.receiver import TOKEN_KEY, ReceiverReport
from postbase_operator.errors import Unavailable
from postbase_operator.gateway import sidecars as gateway_sidecars
from postbase_operator.gateway.downloads import Stores, earlier
from postbase_operator.gateway.held import Held
from postbase_operator.gateway.problems import Problem
from postbase_operator.gateway.sidecars import Sidecars
from postbase_operator.jobs.receiver_port import Desk, Port
from postbase_operator.kube.kinds import DATABASE, Body
from postbase_operator.kube.secret_data import encode
from postbase_operator.kube.session import Session
from postbase_operator.objectstore.s3 import S3Store
from postbase_operator.objectstore.settings import StoreConfig
from postbase_operator.postgres import certificates

pytestmark = pytest.mark.usefixtures("hung_up")

UID = str(UUID(int=7))
BODY: Body = {
    "metadata": {"name": "main", "namespace": "team", "uid": UID, "resourceVersion": "1"},
    "spec": {
        "projectRef": {"name": "shop"},
        "postgresVersion": "15",
        "storage": {"size": "1Gi"},
    },
}
HELD, DB = Held(DATABASE, BODY), Database.model_validate(BODY)
ARCHIVE = Archive(UID, "7000-1")


def now() -> datetime:
    return datetime.now(UTC)


class Sidecar:
    """The real port of the receiver, with the Secrets and the pod by which it is found."""

    def __init__(self, folder: Path) -> None:
        self.restarted = threading.Event()
        self.report = ReceiverReport(
            state=ReceiverState.RUNNING, started_at=now(), writer="test", bytes_received=7
        )
        authority = certificates.authority("main", now())
        issued = certificates.server(authority, ["main.team.svc"], now())
        (folder / "tls.crt").write_bytes(issued.certificate)
        (folder / "tls.key").write_bytes(issued.key)
        (folder / TOKEN_KEY).write_bytes(b"a-token")
        self.port = ports.free()
        Port(Desk(folder, lambda: self.report, self.restarted), self.port).begin()
        self.cluster = Cluster()
        self.put("Secret", "main-ca", {"data": encode({"ca.crt": authority.certificate})})
        self.put("Secret", "main-tls", {"data": encode({TOKEN_KEY: b"a-token"})})
        self.put("Pod", "main-1-0", {"status": {"podIP": "127.0.0.1"}})

    def put(self, kind: str, name: str, body: Body) -> None:
        self.cluster.objects[kind, "team", name] = body

    def asked(self) -> Sidecars:
        return Sidecars(cast(Session, self.cluster), self.port)


@pytest.fixture
def sidecar(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Sidecar:
    monkeypatch.setattr(gateway_sidecars, "TIMEOUT", aiohttp.ClientTimeout(total=60))
    return Sidecar(tmp_path)


async def test_the_receiver_is_asked_itself(sidecar: Sidecar) -> None:
    sidecars = sidecar.asked()
    assert (await sidecars.report(DB)).bytes_received == 7
    await sidecars.restart(DB)
    assert await asyncio.to_thread(sidecar.restarted.wait, 10)  # once it has answered


async def test_a_wrong_authority_or_token_is_no_answer(sidecar: Sidecar) -> None:
    other = certificates.authority("other", now()).certificate
    sidecar.put("Secret", "main-ca", {"data": encode({"ca.crt": other})})
    with pytest.raises(Unavailable):
        await sidecar.asked().report(DB)
    sidecar.put("Secret", "main-tls", {"data": {}})
    with pytest.raises(Unavailable):
        await sidecar.asked().report(DB)


async def test_one_that_is_away_is_found_again(sidecar: Sidecar) -> None:
    sidecar.put("Pod", "main-1-0", {"status": {"podIP": "127.0.0.2"}})
    sidecars = Sidecars(cast(Session, sidecar.cluster), ports.free())
    with pytest.raises(Unavailable):
        await sidecars.report(DB)
    sidecar.put("Pod", "main-1-0", {"status": {"podIP": "127.0.0.1"}})
    sidecars = sidecar.asked()
    assert (await sidecars.report(DB)).state is ReceiverState.RUNNING


# -- the log ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("segment", "count", "begin"),
    [
        ("000000010000000000000042", 1, "000000010000000000000042"),
        ("000000010000000000000042", 3, "000000010000000000000040"),
        ("000000010000000100000000", 2, "0000000100000000000000FF"),
        ("00000002000000000000000A", 500, "000000020000000000000000"),
    ],
)
def test_where_a_page_begins(segment: str, count: int, begin: str) -> None:
    assert earlier(segment, count) == begin


def stores(config: StoreConfig) -> Stores:
    cluster = Cluster()
    told = f'{{"bucket": "{config.bucket}", "endpoint": "{config.endpoint}", "pathStyle": true}}'
    data = {
        "store.json": told.encode(),
        "AWS_ACCESS_KEY_ID": config.access_key_id.encode(),
        "AWS_SECRET_ACCESS_KEY": config.secret_access_key.encode(),
    }
    cluster.objects["Secret", "team", "main-store"] = {"data": encode(data)}
    return Stores(cast(Session, cluster))


async def test_pages_of_segments_the_newest_first(s3_config: StoreConfig) -> None:
    """Chunks and other timelines are none; what is not there leaves no hole in the order."""
    store = store_of(s3_config)
    names = [f"0000000100000000000000{n:02X}" for n in range(30, 60) if n != 41]
    for name in names:
        store.put(str(SegmentKey(ARCHIVE, name)), b"x")
    store.put(str(ChunkKey(ARCHIVE, 1, 0x3C000000, 0x3C000100)), b"x")
    store.put(str(SegmentKey(ARCHIVE, "000000020000000000000050")), b"x")
    asked, begin, found = stores(s3_config), names[-1], list[str]()
    while True:
        page = await asked.segments(HELD, ARCHIVE, begin, 8)
        found += [each.name for each in page.segments]
        if page.following is None:
            break
        begin = page.following
    assert found == sorted(names, reverse=True)


def named(timeline: int, number: int) -> str:
    return f"{timeline:08X}{0:08X}{number:08X}"


async def test_pages_go_on_over_a_gap_and_along_the_timelines(s3_config: StoreConfig) -> None:
    """What an ancestor has beyond the fork is another branch's, and is not told."""
    store = store_of(s3_config)
    history = "1\t0/3500000\tno recovery target specified\n2\t0/6000000\twhy\n"
    first, second = [1, 2, 3, 4, 5], [3, 4, 5, 6, 7]
    third = [6, 7, 8, 40, 41, 42]
    for timeline, numbers in ((1, first), (2, second), (3, third)):
        for number in numbers:
            store.put(str(SegmentKey(ARCHIVE, named(timeline, number))), b"x")
    store.put(str(HistoryKey(ARCHIVE, 3)), history.encode())
    store.put(str(HistoryKey(ARCHIVE, 2)), history.splitlines(keepends=True)[0].encode())
    asked, found = stores(s3_config), list[str]()
    begin: str | None = named(3, 42)
    pages = 0
    while begin is not None:
        page = await asked.segments(HELD, ARCHIVE, begin, 4)
        found += [each.name for each in page.segments]
        begin, pages = page.following, pages + 1
        assert pages < 30, "it goes round"
    line = [(3, n) for n in third] + [(2, n) for n in second if n < 6] + [(1, 1), (1, 2)]
    assert found == sorted((named(*each) for each in line), reverse=True)


async def test_a_store_that_is_not_there_yet_or_not_right() -> None:
    with pytest.raises(Problem, match="no object store yet"):
        await Stores(cast(Session, Cluster())).link(HELD, "key", "name")
    cluster = Cluster()
    cluster.objects["Secret", "team", "main-store"] = {"data": encode({"store.json": b"{"})}
    with pytest.raises(Problem, match="not set up rightly"):
        await Stores(cast(Session, cluster)).link(HELD, "key", "name")


async def test_one_request_a_page(s3_config: StoreConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    """Never a listing of the whole log."""
    asked: list[str | None] = []
    usual = S3Store._page

    def counted(self: S3Store, prefix: str, after: str | None) -> object:
        asked.append(after)
        return usual(self, prefix, after)

    store = store_of(s3_config)
    for number in range(20):
        store.put(str(SegmentKey(ARCHIVE, f"0000000100000000000000{number:02X}")), b"x")
    monkeypatch.setattr(S3Store, "_page", counted)
    page = await stores(s3_config).segments(HELD, ARCHIVE, "000000010000000000000013", 5)
    assert len(page.segments) == 5
    assert len(asked) == 1
