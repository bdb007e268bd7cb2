"""Archiving on a real API server and a real store: switched on, failing, mended, switched off."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from apiserver import controllers
from apiserver.access import Api
from apiserver.archive_life import BEGIN, END, ArchiveLife
from apiserver.backup_life import its_own_time, living
from apiserver.interruptions import Clock
from apiserver.life import NAME, worlds_apart
from component.store_server import StoreServer, store_server
from node import ports
from postbase_operator.api.database import Database
from postbase_operator.archive.keys import CatalogueKey, GivenUpKey
from postbase_operator.archive.receiver import TOKEN_KEY
from postbase_operator.archive.record import CatalogueEntry
from postbase_operator.desired import names
from postbase_operator.kube import archive_books, archives, receivers
from postbase_operator.kube.admin import Admin
from postbase_operator.kube.kinds import BACKUP, CONFIG_MAP, DATABASE, SECRET
from postbase_operator.planning.observed import Process, ProcessState

__all__ = ["its_own_time", "worlds_apart"]
pytestmark = [pytest.mark.usefixtures("its_own_time"), pytest.mark.timeout(300)]
Scene = Callable[[ArchiveLife], Awaitable[None]]
ON = {"enabled": True, "retentionDays": 7}
OTHER = "4b1e4f5c-0000-4000-8000-00000000009f"


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StoreServer]:
    with store_server(tmp_path_factory.mktemp("s3")) as server:
        yield server


@pytest.fixture
def play(
    api: Api,
    namespace: str,
    store: StoreServer,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Callable[..., None]:
    """The scene, with a Database that is Ready and a sidecar that can be asked."""
    monkeypatch.setattr(controllers, "ADDRESS", "127.0.0.1")
    monkeypatch.setattr(names, "SIDECAR_PORT", ports.free())
    its_clock = SimpleNamespace(monotonic=lambda: asyncio.get_running_loop().time())
    for module in (receivers, archives, archive_books):
        monkeypatch.setattr(module, "time", its_clock)

    def played(scene: Scene, *, provisioned: bool = True) -> None:
        async def acted() -> None:
            async with living(api, store, kind=ArchiveLife) as life:
                assert isinstance(life, ArchiveLife)
                await life.begin(f"{namespace}-a")
                if not provisioned:
                    await scene(life)
                    return
                await life.provision()
                async with life.sidecar(tmp_path):
                    await scene(life)

        with asyncio.Runner(loop_factory=Clock) as runner:
            runner.run(acted())

    return played


Play = Callable[..., None]


async def switched_on(life: ArchiveLife, **more: Any) -> None:
    """Streaming, with a base backup and a window."""
    life.streams()
    await life.set(pitr=ON | more)
    await life.until(lambda: life.controllers.receiver is not None)
    life.archived()
    await life.until(lambda: "recoveryWindow" in life.pitr)


def test_switched_on_it_streams_and_says_what_can_be_restored(play: Play) -> None:
    async def scene(life: ArchiveLife) -> None:
        server = life.controllers.server
        assert server is not None
        began = server.started_at, server.loaded
        assert life.pitr["archiving"] == "Off"
        assert life.files()[TOKEN_KEY], "there before it is needed: the pod has it mounted"
        await switched_on(life)
        assert life.controllers.server is server
        assert (server.started_at, server.loaded) == began, "PostgreSQL has heard of nothing"
        assert life.told("Archiving") == ("True", "Streaming")
        assert life.told("Degraded") is None
        assert life.pitr["archiving"] == "Streaming"
        assert life.pitr["receiver"]["durableLSN"] == END
        made = list(life.controllers.of(BACKUP))
        assert [b["metadata"]["labels"]["postbase.sh/origin"] for b in made] == ["pitr"]
        assert life.pitr["baseBackupRef"]["name"] == made[0]["metadata"]["name"]
        assert life.pitr["recoveryWindow"]["from"] == made[0]["status"]["completedAt"]
        archive = life.database["status"]["archive"]
        assert archive["prefix"].endswith(f"/{archive['incarnation']}/")
        entry = CatalogueEntry.from_bytes(life.controllers.store.get(str(place(life))))
        assert entry.database_uid == life.database["metadata"]["uid"]
        store = life.controllers.objects[SECRET, f"{NAME}-store"]
        assert "store.json" in store["data"]

    play(scene)


def place(life: ArchiveLife, uid: str = "") -> CatalogueKey:
    return CatalogueKey("default", life.namespace, NAME, uid or life.database["metadata"]["uid"])


def test_switched_off_the_slot_goes_and_the_window_stays(play: Play) -> None:
    async def scene(life: ArchiveLife) -> None:
        await switched_on(life)
        server = life.controllers.server
        assert server is not None
        assert server.slot == "reserved"
        window = life.pitr["recoveryWindow"]
        await life.set(pitr={"enabled": False})
        await life.until(lambda: server.slot == "")
        await life.until(lambda: life.pitr["archiving"] == "Off")
        assert life.told("Archiving") is None
        assert life.pitr["recoveryWindow"] == window
        assert "receiver" not in life.pitr
        told = json.loads(life.controllers.one(CONFIG_MAP)["data"]["receiver.json"])  # type: ignore[index]
        assert told["enabled"] is False
        assert life.controllers.server is server

    play(scene)


def test_a_receiver_that_falls_silent_is_told_in_half_a_minute_and_counts_after_the_grace(
    play: Play,
) -> None:
    async def scene(life: ArchiveLife) -> None:
        await switched_on(life)
        await life.wait(50)
        life.report = None
        # As whoever asks the sidecars calls for it (Receivers.watch).
        life.operator.queue.add(life.operator.key(NAME))
        fell, began = life.now(), life._clock.time()
        await life.until(lambda: life.told("Degraded") == ("True", "ReceiverDown"))
        assert life._clock.time() - began <= 20
        assert life.told("Archiving") == ("False", "ReceiverDown")
        assert life.told("Ready") == ("True", "Running")
        await life.until(lambda: life.told("Ready") == ("False", "ArchivingFailing"))
        assert (life.now() - fell).total_seconds() >= 300
        assert life._clock.time() - began <= 330
        life.streams()
        await life.until(lambda: life.told("Ready") == ("True", "Running"))
        assert life.told("Degraded") is None
        assert life.told("Archiving") == ("True", "Streaming")

    play(scene)


def test_a_token_that_somebody_deletes_is_made_anew_and_serves(play: Play) -> None:
    async def scene(life: ArchiveLife) -> None:
        await switched_on(life)
        before = life.files()
        live = life.controllers.objects[SECRET, f"{NAME}-tls"]
        data = {key: value for key, value in live["data"].items() if key != TOKEN_KEY}
        await life.session.replace(SECRET, life.namespace, {**live, "data": data}, "test")
        await life.until(lambda: life.files().get(TOKEN_KEY) not in (None, before[TOKEN_KEY]))
        await life.wait(400)
        assert life.told("Archiving") == ("True", "Streaming")
        assert life.files()["tls.key"] == before["tls.key"]

    play(scene)


def test_under_zero_commits_wait_once_it_streams_and_not_while_it_is_suspended(
    play: Play,
) -> None:
    async def scene(life: ArchiveLife) -> None:
        server = life.controllers.server
        assert server is not None
        life.streams(state="Starting")
        await life.set(pitr=ON | {"rpo": "Zero", "fallbackAfter": "1m"})
        await life.until(lambda: life.controllers.receiver is not None)
        assert not server.synchronous
        life.archived()
        life.streams()
        await life.until(lambda: server.synchronous)
        since = life.now().isoformat()
        wrong = {"reason": "StoreUnavailable", "message": "it is away", "at": since}
        life.streams(storeFailingSince=since, lastError=wrong, suspended=True)
        await life.until(lambda: not server.synchronous)
        await life.until(lambda: life.told("Degraded") == ("True", "PromiseSuspended"))
        life.streams()
        await life.until(lambda: server.synchronous)
        await life.set(pitr={"enabled": False})
        await life.until(lambda: server.slot == "")
        assert not server.synchronous
        assert life.controllers.server is server

    play(scene)


def test_what_moves_costs_one_write_in_ten_minutes_and_idleness_none(play: Play) -> None:
    async def scene(life: ArchiveLife) -> None:
        await switched_on(life)
        await life.set(backup={"suspend": True})
        await life.wait(60)
        status = f"/{DATABASE.plural}/{NAME}/status"

        def writes() -> int:
            return sum(what.endswith(status) for what in life.operator.wire.writes)

        before = writes()
        await life.wait(3600)
        assert writes() == before
        for step in range(1, 61):
            life.streams(durableLsn=f"0/{0x2000000 + step:X}")
            await life.wait(60)
        assert 4 <= writes() - before <= 7

    play(scene)


def test_while_postgresql_stops_its_receiver_is_asked(play: Play) -> None:
    async def scene(life: ArchiveLife) -> None:
        await switched_on(life)
        life.streams(stopping=True, lagSeconds=12.0, lagBytes=100)
        db = Database.model_validate(life.database)
        admin = Admin(life.session, life.now)
        settings = life.operator.settings
        asking = archives.Archives(life.session, life.operator.cache, settings, admin, life.now)
        stops = Process(ProcessState.STOPPING, address="127.0.0.1", receiver_revision="any")
        seen = await asking.look(db, stops, db.status.system_id or "")
        assert seen is not None
        assert seen.report is not None
        assert seen.report.lag_bytes == 100
        assert seen.log is None

    play(scene)


def test_an_archive_of_the_name_stops_a_beginning(play: Play) -> None:
    async def scene(life: ArchiveLife) -> None:
        store, key = life.controllers.store, place(life, OTHER)
        entry = CatalogueEntry(
            cluster="default",
            namespace=life.namespace,
            name=NAME,
            database_uid=OTHER,
            project=f"proj_{'a' * 26}",
            created_at=life.now(),
        )
        store.put(str(key), entry.to_bytes())
        store.put(f"v1/{OTHER}/73-1/wal/00000001/{'0' * 23}1", b"something")
        await life.apply({})
        await life.until(lambda: "conditions" in life.database.get("status", {}))
        assert life.told("Stalled") == ("True", "ArchiveExists")
        assert life.controllers.server is None
        await life.set(bootstrap={"empty": {}})
        await life.until(lambda: life.told("Ready") == ("True", "Running"))

    play(scene, provisioned=False)


def test_who_deletes_a_database_with_all_it_had_may_begin_anew(play: Play) -> None:
    async def scene(life: ArchiveLife) -> None:
        await switched_on(life)
        uid = life.database["metadata"]["uid"]
        await life.delete("Delete")
        given = GivenUpKey("default", life.namespace, NAME, uid)
        assert life.controllers.store.get(str(given)) == b""
        await life.provision()
        assert life.told("Ready") == ("True", "Running")

    play(scene)


def test_who_keeps_the_volume_keeps_the_archive(play: Play) -> None:
    """Git applies it anew after the volume has been deleted too."""

    async def scene(life: ArchiveLife) -> None:
        await switched_on(life)
        uid = life.database["metadata"]["uid"]
        await life.delete("Retain")
        store = life.controllers.store
        assert {str(place(life, uid))} == {
            each.key for each in store.list(f"v1/catalogue/default/{life.namespace}/")
        }

    play(scene)


assert BEGIN < END
