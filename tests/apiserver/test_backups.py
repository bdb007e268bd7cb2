"""Backups on a real API server and a real store: one's life, its ends, and what it never blocks."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import pytest

from apiserver.access import Api
from apiserver.backup_life import BackupLife, complete, half, its_own_time, living
from apiserver.interruptions import Clock
from apiserver.life import NAME, worlds_apart
from apiserver.loop import MANAGER
from apiserver.quotas import quota
from component.store_server import StoreServer, store_server
from postbase_operator.desired.names import FINALIZER
from postbase_operator.handlers.keys import Key
from postbase_operator.kube.backup_leftovers import BackupLeftovers
from postbase_operator.kube.kinds import BACKUP, DATABASE, JOB, PROJECT
from postbase_operator.planning.database_backups import REQUEST, VERB

__all__ = ["its_own_time", "worlds_apart"]
pytestmark = pytest.mark.usefixtures("its_own_time")
Scene = Callable[[BackupLife], Awaitable[None]]


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StoreServer]:
    with store_server(tmp_path_factory.mktemp("s3")) as server:
        yield server


@pytest.fixture
def play(api: Api, namespace: str, store: StoreServer) -> Callable[..., None]:
    """The scene, with a Database that is Ready."""

    def played(scene: Scene, *, stored: bool = True) -> None:
        async def acted() -> None:
            async with living(api, store, stored=stored) as life:
                await life.begin(f"{namespace}-b")
                await life.provision()
                await scene(life)

        with asyncio.Runner(loop_factory=Clock) as runner:
            runner.run(acted())

    return played


Play = Callable[..., None]


def condition(life: BackupLife, type: str) -> tuple[str, str]:
    """Status and reason of one of the Database's conditions."""
    found = {c["type"]: c for c in life.database["status"]["conditions"]}[type]
    return found["status"], found["reason"]


def project(life: BackupLife) -> dict[str, Any]:
    """Its status."""
    found: dict[str, Any] = life.controllers.objects[PROJECT, "shop"].get("status", {})
    return found


async def stopped(life: BackupLife, name: str) -> None:
    """None of its Jobs is there any more."""

    def gone() -> bool:
        jobs = [job for kind, job in life.controllers.objects if kind is JOB]
        return not any(job.startswith(f"{name}-") for job in jobs)

    await life.until(gone)


def test_one_backup_s_life(play: Play) -> None:
    async def scene(life: BackupLife) -> None:
        await life.back_up("one")
        made = await life.ends("one")
        assert (made.status.phase, life.reason("one")) == ("Completed", "Completed")
        assert made.status.attempts == 1
        assert len(life.jobs_of("one")) == 1
        key = made.status.object_key
        assert key is not None
        stem = key.removesuffix(".dump.gz")
        assert life.controllers.stored() == {key, f"{stem}.globals.sql", f"{stem}.json"}
        assert made.status.verified_at == made.status.completed_at
        assert made.metadata.finalizers == (FINALIZER,)
        await life.until(lambda: bool(life.database["status"]["backup"].get("lastSuccessfulTime")))
        life.wire.writes.clear()
        for _ in range(3):
            life.operator.queue.add(Key(BACKUP.kind, life.namespace, "one"))
            await life.wait(5.0)
        assert life.wire.writes == [], "a finished one costs writes"

    play(scene)


def test_a_finished_one_that_git_brings_back_is_the_same_and_runs_nothing(play: Play) -> None:
    async def scene(life: BackupLife) -> None:
        await life.back_up("one")
        first = await life.ends("one")
        await life.until(lambda: bool(life.database["status"].get("finishedRuns")))
        before = life.controllers.stored()
        await life.drop("one")
        assert life.controllers.stored() == before, "Retain keeps the bytes"
        await life.back_up("one")
        again = await life.ends("one")
        assert again.metadata.uid != first.metadata.uid
        assert again.status.object_key == first.status.object_key
        assert len(life.jobs_of("one")) == 1
        await life.session.merge(
            BACKUP, life.namespace, "one", {"spec": {"deletionPolicy": "Delete"}}, MANAGER
        )
        await life.drop("one")
        assert life.controllers.stored() == set(), "Delete takes them"
        await life.back_up("one")
        last = await life.ends("one")
        assert (last.status.phase, life.reason("one")) == ("Completed", "Expired")
        assert last.status.object_key is None
        assert len(life.jobs_of("one")) == 1

    play(scene)


def test_without_a_store_it_says_so_and_the_database_is_ready(play: Play) -> None:
    async def scene(life: BackupLife) -> None:
        await life.back_up("one")
        await life.until(lambda: life.reason("one") == "NoObjectStore")
        assert life.backup("one").status.phase == "Pending"
        assert condition(life, "BackupHealthy") == ("Unknown", "NoObjectStore")
        assert condition(life, "Ready")[0] == "True"
        life.later += timedelta(hours=2)
        made = await life.ends("one")
        assert (made.status.phase, life.reason("one")) == ("Failed", "NoObjectStore")
        assert life.jobs_of("one") == []

    play(scene, stored=False)


def test_a_failed_attempt_is_followed_by_another_in_a_while(play: Play) -> None:
    async def scene(life: BackupLife) -> None:
        life.controllers.outcomes = [half("DumpFailed"), complete]
        began = datetime.now(UTC).replace(microsecond=0)  # as a Job tells its end
        await life.back_up("one")
        made = await life.ends("one")
        assert (made.status.phase, made.status.attempts) == ("Completed", 2)
        assert len(life.jobs_of("one")) == 2
        assert life.now() - began > timedelta(minutes=1)
        assert len(life.controllers.stored()) == 3

    play(scene)


@pytest.mark.parametrize(("reason", "attempts"), [("Denied", 1), ("OOMKilled", 3)])
def test_it_fails_for_good_and_leaves_nothing(play: Play, reason: str, attempts: int) -> None:
    async def scene(life: BackupLife) -> None:
        life.controllers.outcomes = [half(reason)]
        await life.back_up("one")
        made = await life.ends("one")
        assert (made.status.phase, life.reason("one")) == ("Failed", reason)
        assert len(life.jobs_of("one")) == attempts
        assert life.controllers.stored() == set()
        await life.back_up("two")
        life.controllers.outcomes = [complete]
        assert (await life.ends("two")).status.phase == "Completed", "the next is not blocked"

    play(scene)


def test_a_run_that_hangs_ends_by_its_deadline(play: Play) -> None:
    async def scene(life: BackupLife) -> None:
        life.controllers.held = True
        await life.back_up("one")
        await life.until(lambda: life.reason("one") == "Running")
        life.later += timedelta(hours=1)
        made = await life.ends("one")
        assert (made.status.phase, life.reason("one")) == ("Failed", "DeadlineExceeded")
        await stopped(life, "one")
        assert len(life.jobs_of("one")) == 1

    play(scene)


def test_a_database_that_is_deleted_during_its_backup_ends_it(play: Play) -> None:
    async def scene(life: BackupLife) -> None:
        life.controllers.held = True
        await life.back_up("one")
        await life.until(lambda: life.reason("one") == "Running")
        await life.delete("Retain")
        made = await life.ends("one")
        assert (made.status.phase, life.reason("one")) == ("Failed", "DatabaseDeleted")
        await stopped(life, "one")
        assert len(life.jobs_of("one")) == 1
        await life.drop("one")

    play(scene)


def test_they_outlive_their_database_and_expire_all_the_same(
    play: Play, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Days go by for us alone: who deletes is dated by the API server's clock."""
    limit = "postbase_operator.planning.backup.SAID_RIGHT_BEFORE"
    monkeypatch.setattr(limit, timedelta(days=500))

    async def scene(life: BackupLife) -> None:
        for name in ("one", "two"):
            await life.back_up(name, retentionDays=3)
            await life.ends(name)
        await life.delete("Delete")
        assert len(life.controllers.stored()) == 6
        operator = life.operator

        async def clear(days: float) -> None:
            def then() -> datetime:
                return life.now() + timedelta(days=days)

            await BackupLeftovers(operator.session, operator.cache, then).clear()
            await life.wait(5.0)

        await clear(2.9)
        assert len(life.controllers.stored()) == 6
        await clear(3.1)
        await life.until(lambda: (BACKUP, "one") not in life.controllers.objects)
        assert len(life.controllers.stored()) == 3, "its bytes stay, or the last one went"
        assert life.backup("two").status.phase == "Completed"
        await clear(400)
        assert life.backup("two").status.phase == "Completed"

    play(scene)


def test_a_project_s_quota_lets_none_begin_and_is_told(play: Play) -> None:
    async def scene(life: BackupLife) -> None:
        await life.of_project(quota={"backupGiB": 1})
        await life.back_up("one")
        await life.ends("one")
        big = {"status": {"sizeBytes": 2**30}}
        body = life.controllers.objects[BACKUP, "one"]
        meta = {k: body["metadata"][k] for k in ("name", "namespace", "uid")}
        intent = {"apiVersion": BACKUP.api_version, "kind": BACKUP.kind, "metadata": meta}
        await life.session.apply(BACKUP, intent | big, MANAGER, subresource="status")
        await life.back_up("two")
        await life.until(lambda: life.reason("two") == "PlanLimitExceeded")
        await life.until(lambda: condition(life, "BackupHealthy")[1] == "PlanLimitExceeded")
        assert life.jobs_of("two") == []
        await life.until(lambda: project(life).get("backupBytes", 0) >= 2**30)
        assert project(life)["backups"] == 1
        await life.of_project(quota={"backupGiB": 3})
        assert (await life.ends("two")).status.phase == "Completed"

    play(scene)


def test_one_at_a_time_of_a_database_in_turn(play: Play) -> None:
    async def scene(life: BackupLife) -> None:
        life.controllers.held = True
        for name in ("a", "b", "c"):
            await life.back_up(name)
        await life.until(lambda: life.reason("c") == "Queued")
        await life.wait(30.0)
        assert [len(life.jobs_of(name)) for name in ("a", "b", "c")] == [1, 0, 0]
        assert life.reason("b") == "Queued"
        life.controllers.held = False
        ends = [(await life.ends(name)).status for name in ("a", "b", "c")]
        assert [status.phase for status in ends] == ["Completed"] * 3
        assert ends[0].started_at < ends[1].started_at < ends[2].started_at  # type: ignore[operator]

    play(scene)


def test_what_the_cluster_refuses_is_told_and_stops_no_clock(play: Play) -> None:
    async def scene(life: BackupLife) -> None:
        await quota(life.session, life.namespace, {"count/jobs.batch": "0"})
        await life.back_up("one")
        await life.until(lambda: life.reason("one") == "QuotaExceeded")
        assert life.backup("one").status.phase == "Pending"
        life.later += timedelta(hours=1, minutes=1)
        made_ = await life.ends("one")
        assert (made_.status.phase, life.reason("one")) == ("Failed", "QuotaExceeded")
        assert life.jobs_of("one") == []

    play(scene)


def is_served(life: BackupLife, request: str) -> bool:
    return bool(life.database["status"].get("requests", {}).get(VERB) == request)


def test_a_request_makes_one_backup_and_is_told_as_served(play: Play) -> None:
    async def scene(life: BackupLife) -> None:
        for number in (1, 2):
            asked = {"metadata": {"annotations": {REQUEST: f"number {number}"}}}
            await life.session.merge(DATABASE, life.namespace, NAME, asked, MANAGER)
            await life.until(partial(is_served, life, f"number {number}"))
            await life.wait(60.0)
            names = [name for kind, name in life.controllers.objects if kind is BACKUP]
            assert len(names) == number
            for name in names:
                assert (await life.ends(name)).status.phase == "Completed"

    play(scene)


def test_two_operators_make_one_backup_a_scheduled_minute(play: Play) -> None:
    """Both lead, as they do for a moment after a clock that jumps."""

    def to_between(life: BackupLife) -> None:
        """Two minutes behind a scheduled one: none passes by itself while the scene is played."""
        life.later += timedelta(minutes=(12 - life.now().minute % 10) % 10)

    async def made(life: BackupLife) -> list[str]:
        """All that there are by now, each at its end."""
        await life.wait(5.0)
        names = [name for kind, name in life.controllers.objects if kind is BACKUP]
        assert len(names) == len(set(names))
        for name in names:
            await life.ends(name)
        return names

    async def scene(life: BackupLife) -> None:
        to_between(life)
        spec = {"spec": {"backup": {"schedule": "*/10 * * * *", "spread": "0s"}}}
        await life.session.merge(DATABASE, life.namespace, NAME, spec, MANAGER)
        before = len(await made(life))  # of a minute that has passed since it was created
        assert before <= 1, "missed ones are made once"
        other = life.another_operator()
        await other.start()
        for number in (1, 2, 3):
            life.later += timedelta(minutes=25)
            to_between(life)
            for each in (life.operator, other):
                each.queue.add(each.key(NAME))
            await life.wait(5.0)
            await other.idle()
            names = await made(life)
            assert len(names) == before + number
            assert all(name.startswith(f"{NAME}-20") for name in names)
        await other.stop()
        assert len(life.controllers.made) == before + 3
        assert condition(life, "BackupHealthy") == ("True", "Completed")

    play(scene)
