"""A volume that a Database has left for a time goes when the time is over, and no other does."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from typing import cast

import pytest

from apiserver.access import Api
from apiserver.checks import check_alive, reclaim_policy
from apiserver.interruptions import Clock
from apiserver.life import CLAIM, NAME, Life, living, worlds_apart
from apiserver.loop import MANAGER
from postbase_operator.desired.names import ANNOTATION_DELETE_AFTER
from postbase_operator.errors import Unavailable
from postbase_operator.handlers import process
from postbase_operator.handlers.reconcile import now
from postbase_operator.kube.kinds import (
    DATABASE,
    PERSISTENT_VOLUME,
    PERSISTENT_VOLUME_CLAIM,
    Body,
)
from postbase_operator.kube.leftovers import Leftovers
from postbase_operator.kube.session import Session

__all__ = ["worlds_apart"]
pytestmark = pytest.mark.usefixtures("worlds_apart")
KEPT_FOR = timedelta(hours=72)
A_DAY_LATER = KEPT_FOR + timedelta(hours=24)

Scene = Callable[[Life], Awaitable[None]]


def play(api: Api, namespace: str, scene: Scene) -> None:
    """The scene, where a Database has gone and its volume is kept for three days."""

    async def acted() -> None:
        async with living(api) as life:
            await life.begin(f"{namespace}-leftovers")
            await life.provision()
            spec = {"spec": {"retainVolumeFor": "72h"}}
            await life.session.merge(DATABASE, life.namespace, NAME, spec, MANAGER)
            await life.delete("Retain")
            await scene(life)

    with asyncio.Runner(loop_factory=Clock) as runner:
        runner.run(acted())


def leftovers(life: Life, later: timedelta, session: Session | None = None) -> Leftovers:
    """As the operator looks for them that much later."""
    operator = life.operator

    def then() -> datetime:
        return now() + later

    return Leftovers(session or operator.session, operator.cache, then)


async def mark(life: Life, after: str | None) -> None:
    """By hand: the operator hears of it."""
    patch = {"metadata": {"annotations": {ANNOTATION_DELETE_AFTER: after}}}
    await life.session.merge(PERSISTENT_VOLUME_CLAIM, life.namespace, CLAIM, patch, MANAGER)
    await life.wait(1.0)


async def is_there(life: Life, claim: Body) -> None:
    await life.wait(1.0)
    assert life.is_kept or life.is_alive
    assert life.claim["metadata"]["uid"] == claim["metadata"]["uid"]
    assert "deletionTimestamp" not in life.claim["metadata"]
    assert await reclaim_policy(life, claim) == "Retain"


def test_an_overdue_one_goes_with_its_volume(api: Api, namespace: str) -> None:
    async def scene(life: Life) -> None:
        claim = life.claim
        await leftovers(life, A_DAY_LATER).clear()
        await life.until(lambda: not life.is_kept)
        assert await reclaim_policy(life, claim) == "Delete"

    play(api, namespace, scene)


def test_one_that_is_not_overdue_stays(api: Api, namespace: str) -> None:
    async def scene(life: Life) -> None:
        claim = life.claim
        await leftovers(life, KEPT_FOR - timedelta(minutes=1)).clear()
        await is_there(life, claim)

    play(api, namespace, scene)


def test_one_that_was_adopted_meanwhile_stays(api: Api, namespace: str) -> None:
    async def scene(life: Life) -> None:
        claim = life.claim
        await life.adopt()
        assert ANNOTATION_DELETE_AFTER not in life.claim["metadata"]["annotations"]
        await leftovers(life, A_DAY_LATER).clear()
        await is_there(life, claim)
        await check_alive(life)
        # And were the mark back, by a restore of an old manifest: its Database lives.
        await mark(life, after=now().isoformat(timespec="seconds"))
        await leftovers(life, A_DAY_LATER).clear()
        await is_there(life, claim)

    play(api, namespace, scene)


def test_nothing_is_deleted_by_a_mark_that_cannot_be_read(api: Api, namespace: str) -> None:
    async def scene(life: Life) -> None:
        claim = life.claim
        for text in ("tomorrow", "", "2026-01-01T00:00:00", "1767225600", None):
            await mark(life, after=text)
            await leftovers(life, timedelta(days=10_000)).clear()
            await is_there(life, claim)

    play(api, namespace, scene)


def test_a_volume_that_is_gone_keeps_its_claim_from_going_no_longer(
    api: Api, namespace: str
) -> None:
    async def scene(life: Life) -> None:
        name = life.claim["spec"]["volumeName"]
        bare = {"metadata": {"finalizers": None}}  # no controller takes them off here
        gone = await life.session.get(PERSISTENT_VOLUME, None, name)
        await life.session.delete(PERSISTENT_VOLUME, None, name, gone["metadata"]["uid"])
        await life.session.merge(PERSISTENT_VOLUME, None, name, bare, MANAGER)
        assert await life.session.find(PERSISTENT_VOLUME, None, name) is None
        await leftovers(life, A_DAY_LATER).clear()
        await life.until(lambda: not life.is_kept)

    play(api, namespace, scene)


class Failing:
    """A session on which the first deletions fail."""

    def __init__(self, session: Session, failures: int) -> None:
        self._session = session
        self.left = failures

    def __getattr__(self, name: str) -> object:
        return getattr(self._session, name)

    async def delete(self, *args: object, **kwargs: object) -> None:
        if self.left:
            self.left -= 1
            raise Unavailable("Kubernetes API", "503")
        await self._session.delete(*args, **kwargs)  # type: ignore[arg-type]  # as it was given


def test_what_fails_is_done_in_the_next_round(
    api: Api,
    namespace: str,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(process, "CLEAR_UP_SECONDS", 10.0)

    async def scene(life: Life) -> None:
        session = Failing(life.operator.session, failures=2)
        due = leftovers(life, A_DAY_LATER, cast(Session, session))
        clearing = asyncio.create_task(process._clear_up(due))
        await life.until(lambda: session.left == 0)
        assert life.is_kept, "it went although nothing could be deleted"
        await life.until(lambda: not life.is_kept)
        assert caplog.text.count("not all was cleared up") == 2
        clearing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await clearing

    play(api, namespace, scene)
