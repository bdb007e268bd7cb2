"""Wishes for a moment on a real API server and a real store: planned, refused, waited for."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Awaitable, Callable, Iterator
from datetime import datetime, timedelta
from typing import Any

import pytest

from apiserver.access import Api
from apiserver.backup_life import BackupLife, its_own_time, living
from apiserver.interruptions import Clock
from apiserver.life import NAME, worlds_apart
from apiserver.loop import MANAGER, resource
from component.store_server import StoreServer, store_server
from postbase_operator.api.ids import public_id
from postbase_operator.api.pitr_restore import PitrRestore
from postbase_operator.api.policies import BackupMethod
from postbase_operator.archive.keys import Archive, SegmentKey
from postbase_operator.archive.lsn import SEGMENT_SIZE, Lsn, Segment
from postbase_operator.archive.record import BackupRecord, Tool
from postbase_operator.archive.wal_object import WalHeader, pack
from postbase_operator.kube.kinds import JOB, PERSISTENT_VOLUME_CLAIM, PITR_RESTORE

__all__ = ["its_own_time", "worlds_apart"]
pytestmark = pytest.mark.usefixtures("its_own_time")
Scene = Callable[[BackupLife, datetime], Awaitable[None]]
EMPTY = bytes(SEGMENT_SIZE)
HOUR = timedelta(hours=1)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StoreServer]:
    with store_server(tmp_path_factory.mktemp("s3")) as server:
        yield server


@pytest.fixture
def play(api: Api, namespace: str, store: StoreServer) -> Callable[[Scene], None]:
    """The scene, with a Database and an archive of the last hour, up to the scene's own now."""

    def played(scene: Scene) -> None:
        async def acted() -> None:
            async with living(api, store) as life:
                await life.begin(f"{namespace}-r")
                await life.provision()
                now = life.now()
                plant(life, now)
                await scene(life, now)

        with asyncio.Runner(loop_factory=Clock) as runner:
            runner.run(acted())

    return played


def plant(life: BackupLife, now: datetime) -> None:
    """A base backup of an hour ago, and one segment after it, which holds no commit."""
    uid, system = life.database["metadata"]["uid"], life.database["status"]["systemId"]
    archive = Archive(uid, f"{system}-1")
    record = BackupRecord(
        id=public_id("Backup", uid),
        method=BackupMethod.PHYSICAL,
        database_uid=uid,
        project=public_id("Project", uid),
        namespace=life.namespace,
        name=NAME,
        incarnation=archive.incarnation,
        system_id=system,
        postgres_version=life.database["status"]["version"],
        major=15,
        arch="x86_64",
        libc="gnu",
        image_digest="i",
        block_size=8192,
        wal_segment_size=SEGMENT_SIZE,
        encoding="UTF8",
        started_at=now - HOUR,
        completed_at=now - HOUR,
        size_bytes=1000,
        source_bytes=9000,
        sha256="0" * 64,
        objects=(),
        timeline=1,
        start_lsn="0/2000028",
        stop_lsn="0/2000120",
        tool=Tool(version="1"),
    )
    segment = Segment(1, 2)
    header = WalHeader(
        system_id=system,
        timeline=1,
        start=str(segment.start),
        end=str(segment.end),
        size=SEGMENT_SIZE,
        sha256=hashlib.sha256(EMPTY).hexdigest(),
        sent_at=now,
        writer="test",
    )
    put = life.controllers.store.put
    put(f"{record.place}backup.json", record.to_bytes())
    key = str(SegmentKey(archive, segment.name))
    put(key, pack(header, EMPTY)[0])


async def ask(life: BackupLife, name: str, source: dict[str, Any], **spec: Any) -> None:
    wanted = {"databaseRef": {"name": NAME}, "source": source, "target": {"inPlace": {}}, **spec}
    body = resource("PitrRestore", name, wanted)
    await life.session.create(PITR_RESTORE, life.namespace, body, MANAGER)


def restore(life: BackupLife, name: str) -> PitrRestore:
    return PitrRestore.model_validate(life.controllers.objects[PITR_RESTORE, name])


def reason(life: BackupLife, name: str) -> str:
    found = (c for c in restore(life, name).status.conditions if c.type == "Ready")
    return next((each.reason for each in found), "")


def untouched(life: BackupLife) -> bool:
    kinds = [kind for kind, _ in life.controllers.objects]
    return kinds.count(PERSISTENT_VOLUME_CLAIM) == 1 and JOB not in kinds


def test_a_dry_run_plans_out_of_the_archive_and_touches_nothing(
    play: Callable[[Scene], None],
) -> None:
    async def scene(life: BackupLife, now: datetime) -> None:
        await ask(life, "plans", {"targetTime": (now - HOUR / 2).isoformat()}, dryRun=True)
        await life.until(lambda: restore(life, "plans").is_done())
        made = restore(life, "plans").status
        assert (str(made.phase), reason(life, "plans")) == ("Completed", "Planned")
        assert made.plan is not None
        assert made.plan.target_lsn == str(Lsn(3 * SEGMENT_SIZE))
        assert (made.plan.timelines, made.plan.wal_files) == ((1,), 1)
        assert made.plan.window is not None
        assert made.plan.window.from_ == now - HOUR
        assert untouched(life)

    play(scene)


@pytest.mark.parametrize(
    ("away", "said"),
    [(-2 * HOUR, "TargetBeforeWindow"), (2 * HOUR, "TargetAfterWindow")],
)
def test_outside_it_fails_at_once_with_the_window(
    play: Callable[[Scene], None], away: timedelta, said: str
) -> None:
    async def scene(life: BackupLife, now: datetime) -> None:
        await ask(life, "outside", {"targetTime": (now + away).isoformat()})
        await life.until(lambda: restore(life, "outside").is_done())
        assert (str(restore(life, "outside").status.phase), reason(life, "outside")) == (
            "Failed",
            said,
        )
        assert untouched(life)

    play(scene)


async def begun(life: BackupLife, now: datetime) -> None:
    """A restore whose Job is there, and does nothing."""

    async def rests(*_: object) -> bool:
        return False

    life.controllers._job = rests  # type: ignore[assignment, method-assign]  # it plays backups' alone
    await ask(life, "back", {"targetTime": (now - HOUR / 2).isoformat()})
    await life.until(lambda: any(kind is JOB for kind, _ in life.controllers.objects))


def test_one_that_can_be_begins_with_a_volume_and_a_job_that_knows_the_plan(
    play: Callable[[Scene], None],
) -> None:
    async def scene(life: BackupLife, now: datetime) -> None:
        await begun(life, now)
        (job,) = [body for (kind, _), body in life.controllers.objects.items() if kind is JOB]
        pod = job["spec"]["template"]["spec"]
        assert [each["name"] for each in pod["initContainers"]] == ["fill", "prefetch"]
        assert pod["initContainers"][1]["restartPolicy"] == "Always"
        told = {e["name"]: e["value"] for e in pod["containers"][0]["env"]}
        assert told["POSTBASE_TIMELINE"] == "1"
        assert '"end": "0/3000000"' in pod["initContainers"][1]["env"][0]["value"]

    play(scene)


def test_a_database_that_is_deleted_meanwhile_leaves_nothing_half_filled(
    play: Callable[[Scene], None],
) -> None:
    """Whoever keeps its volume keeps the one that serves."""

    async def scene(life: BackupLife, now: datetime) -> None:
        await begun(life, now)
        assert len(list(life.controllers.of(PERSISTENT_VOLUME_CLAIM))) == 2
        await life.delete("Retain")
        await life.until(lambda: restore(life, "back").is_done() or not life.is_alive)
        left = [each["metadata"]["name"] for each in life.controllers.of(PERSISTENT_VOLUME_CLAIM)]
        assert left == [f"{NAME}-1-1"]

    play(scene)
