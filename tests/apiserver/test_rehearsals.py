"""What the API server says to a restore beforehand: quota, limits, admission, classes; all real."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any

import pytest
from kubernetes.client import CoreV1Api

from apiserver.access import Api
from apiserver.backup_life import BackupLife, its_own_time
from apiserver.life import NAME, default_account, offer_growing_volumes, worlds_apart
from apiserver.loop import MANAGER, session
from apiserver.quotas import quota
from apiserver.test_recoveries import HOUR, ask, reason, restore, untouched
from apiserver.test_recoveries import play as play
from apiserver.test_recoveries import store as store
from postbase_operator.api.database import Database
from postbase_operator.handlers.reconcile import now
from postbase_operator.kube.cache import Cache
from postbase_operator.kube.kinds import JOB, PERSISTENT_VOLUME_CLAIM, POD, Kind
from postbase_operator.kube.restores import Restores
from postbase_operator.kube.session import Session
from postbase_operator.planning import plan as steps
from postbase_operator.planning.plan import Step
from postbase_operator.planning.restore_rehearsal import Rehearsal
from postbase_operator.planning.restore_seen import Rehearsed
from postbase_operator.settings import Settings

__all__ = ["its_own_time", "worlds_apart"]
LIMITS = Kind("v1", "LimitRange", "limitranges")
UID = "5c1e4f5c-0000-4000-8000-00000000000c"
FILLS: tuple[Step, ...] = (steps.CreateVolume(2, UID), steps.FillVolume("", UID, "v1/k/", 1))
LOADS: tuple[Step, ...] = (steps.LoadBackup(UID, "proj/k", 1, "whole"),)
Scene = Callable[[Session, str], Awaitable[None]]


@pytest.fixture
def namespace(api: Api, namespace: str) -> str:
    """No controller is there that would make its service account."""
    offer_growing_volumes(api)
    CoreV1Api(api.client).create_namespaced_service_account(namespace, default_account())
    return namespace


def database(namespace: str, storage_class: str = "growing") -> Database:
    spec = {
        "projectRef": {"name": "shop"},
        "postgresVersion": "15",
        "storage": {"size": "1Gi", "storageClassName": storage_class},
    }
    metadata = {"name": NAME, "namespace": namespace, "uid": UID, "generation": 1}
    return Database.model_validate({"metadata": metadata, "spec": spec})


@asynccontextmanager
async def asking(
    api: Api,
) -> AsyncIterator[tuple[Session, Callable[..., Awaitable[Rehearsed]]]]:
    settings = Settings(sidecar_image="postbase:1")
    async with session(api) as held:
        restores = Restores(held, Cache(), settings, now)

        async def said(db: Database, *todo: Step) -> Rehearsed:
            return await restores.rehearse(Rehearsal(db, todo))

        yield held, said


async def none_made(held: Session, namespace: str) -> None:
    for kind in (PERSISTENT_VOLUME_CLAIM, JOB, POD):
        assert (await held.list(kind, namespace)).items == []


def test_what_may_be_is_admitted_and_nothing_is_made(api: Api, namespace: str) -> None:
    async def scene() -> None:
        async with asking(api) as (held, said):
            db = database(namespace)
            new = db.model_copy(update={"metadata": db.metadata.model_copy(update={"uid": ""})})
            beside = (
                steps.CreateDatabase(new),
                steps.CreateVolume(1),
                *LOADS,
                steps.ApplyWorkload("", ""),
            )
            for who, todo in ((db, FILLS), (db, LOADS), (new, beside)):
                assert await said(who, *todo) == Rehearsed()
            await none_made(held, namespace)

    asyncio.run(scene())


@pytest.mark.parametrize(
    ("hard", "words"),
    [
        ({"requests.storage": "512Mi"}, "requests.storage"),
        ({"persistentvolumeclaims": "0"}, "persistentvolumeclaims"),
        ({"count/jobs.batch": "0"}, "count/jobs.batch"),
        ({"limits.memory": "1Mi"}, "limits.memory"),
    ],
)
def test_a_quota_says_which(api: Api, namespace: str, hard: dict[str, str], words: str) -> None:
    async def scene() -> None:
        async with asking(api) as (held, said):
            await quota(held, namespace, hard)
            answer = await said(database(namespace), *FILLS)
            assert answer.reason == "QuotaExceeded"
            assert "exceeded quota: little" in answer.message
            assert words in answer.message
            await none_made(held, namespace)

    asyncio.run(scene())


def limits(held: Session, namespace: str, of: dict[str, Any]) -> Awaitable[Any]:
    body = {
        "apiVersion": "v1",
        "kind": "LimitRange",
        "metadata": {"name": "low"},
        "spec": {"limits": [of]},
    }
    return held.create(LIMITS, namespace, body, MANAGER)


@pytest.mark.parametrize(
    "of",
    [
        {"type": "Container", "max": {"memory": "100Mi"}},
        {"type": "PersistentVolumeClaim", "max": {"storage": "512Mi"}},
    ],
    ids=["of containers", "of claims"],
)
def test_a_limit_range_says_so(api: Api, namespace: str, of: dict[str, Any]) -> None:
    async def scene() -> None:
        async with asking(api) as (held, said):
            await limits(held, namespace, of)
            answer = await said(database(namespace), *FILLS)
            assert answer.reason == "NotAdmitted"
            assert "maximum" in answer.message
            await none_made(held, namespace)

    asyncio.run(scene())


def test_a_service_account_that_is_not_there_is_named(api: Api, namespace: str) -> None:
    """Which a Job is never refused for: only its controller hears of it."""

    async def scene() -> None:
        async with asking(api) as (_, said):
            db = database(namespace)
            spec = db.spec.model_copy(update={"service_account_name": "nobody"})
            answer = await said(db.model_copy(update={"spec": spec}), *LOADS)
            assert (answer.reason, "nobody" in answer.message) == ("NotAdmitted", True)

    asyncio.run(scene())


def test_a_storage_class_that_is_not_there_is_named(api: Api, namespace: str) -> None:
    async def scene() -> None:
        async with asking(api) as (_, said):
            answer = await said(database(namespace, "fast"), *FILLS)
            assert answer.reason == "StorageClassNotFound"
            assert '"fast" not found' in answer.message

    asyncio.run(scene())


def test_a_volume_that_somebody_left_there_is_named(api: Api, namespace: str) -> None:
    async def scene() -> None:
        async with asking(api) as (held, said):
            claim = {
                "apiVersion": "v1",
                "kind": "PersistentVolumeClaim",
                "metadata": {"name": f"{NAME}-1-2"},
                "spec": {
                    "accessModes": ["ReadWriteOnce"],
                    "resources": {"requests": {"storage": "1Gi"}},
                },
            }
            await held.create(PERSISTENT_VOLUME_CLAIM, namespace, claim, MANAGER)
            assert (await said(database(namespace), *FILLS)).reason == "VolumeExists"

    asyncio.run(scene())


@pytest.mark.usefixtures("its_own_time")
@pytest.mark.parametrize("dry", [True, False], ids=["dry run", "in earnest"])
def test_a_restore_beyond_the_quota_ends_before_anything_is_touched(
    play: Callable[[Callable[[BackupLife, datetime], Awaitable[None]]], None], dry: bool
) -> None:
    async def scene(life: BackupLife, at: datetime) -> None:
        await quota(life.session, life.namespace, {"requests.storage": "1Mi"})
        wanted = {"targetTime": (at - HOUR / 2).isoformat()}
        await ask(life, "beyond", wanted, dryRun=dry)
        await life.until(lambda: restore(life, "beyond").is_done())
        status = restore(life, "beyond").status
        assert (str(status.phase), reason(life, "beyond")) == ("Failed", "QuotaExceeded")
        said = next(c.message for c in status.conditions if c.type == "Ready")
        assert "exceeded quota: little, requested: requests.storage=1Gi" in said
        assert status.plan is not None
        assert untouched(life)

    play(scene)
