"""A Project and its Databases: which goes first, on a real API server."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from apiserver.access import Api
from apiserver.loop import MANAGER, Loop, eventually, make, session
from apiserver.loop import running as running_loop
from postbase_operator.desired.names import FINALIZER
from postbase_operator.errors import Denied
from postbase_operator.handlers.keys import Key
from postbase_operator.kube.kinds import DATABASE, PROJECT, Body, Kind
from postbase_operator.kube.session import Session


@pytest.fixture
async def loop(api: Api, namespace: str) -> AsyncIterator[Loop]:
    """A Project with two Databases, each looked at; the Project is held for them."""
    async with session(api) as made:
        await make(made, namespace, "main", "other")
        async with running_loop(made, namespace) as running:
            for name in ("main", "other"):
                await running.reconciled(name)

            async def held() -> bool:
                live = await made.get(PROJECT, namespace, "shop")
                return FINALIZER in live["metadata"].get("finalizers", [])

            await eventually(held, "it does not go before its Databases")
            yield running


async def look(loop: Loop) -> None:
    """The operator hears of all that there is."""
    await loop.watcher.list_everything()
    loop.queue.add(Key(PROJECT.kind, loop.namespace, "shop"))


async def forsake(loop: Loop, kind: Kind, name: str) -> None:
    """Deletes as kubectl does; without controllers nothing would end a foreground deletion."""
    live = await loop.session.get(kind, loop.namespace, name)
    uid = live["metadata"]["uid"]
    await loop.session.delete(kind, loop.namespace, name, uid, foreground=False)


async def delete_project(loop: Loop) -> None:
    await forsake(loop, PROJECT, "shop")
    await look(loop)


async def let_go(loop: Loop, name: str) -> None:
    """The Database is gone, as after its deletion has ended: here no controllers end it."""
    await forsake(loop, DATABASE, name)
    patch = {"metadata": {"finalizers": None}}
    await loop.session.merge(DATABASE, loop.namespace, name, patch, MANAGER)
    await look(loop)


def ready(body: Body) -> Body:
    conditions = body.get("status", {}).get("conditions", [])
    return next((each for each in conditions if each["type"] == "Ready"), {})


async def told(loop: Loop, reason: str) -> Body:
    async def so() -> Body | None:
        live = await loop.session.get(PROJECT, loop.namespace, "shop")
        return ready(live) if ready(live).get("reason") == reason else None

    return await eventually(so, f"the Project says {reason}")


async def is_gone(loop: Loop) -> None:
    async def so() -> bool:
        return await loop.session.find(PROJECT, loop.namespace, "shop") is None

    await eventually(so, "the Project is gone")


async def test_it_stays_until_the_last_of_its_databases_is_gone(loop: Loop) -> None:
    await delete_project(loop)
    assert "main, other" in (await told(loop, "DatabasesRemain"))["message"]
    await let_go(loop, "main")

    async def one_is_left() -> bool:
        live = await loop.session.get(PROJECT, loop.namespace, "shop")
        return "gone: other." in ready(live).get("message", "")

    await eventually(one_is_left, "it waits for the other one alone")
    other = await loop.session.get(DATABASE, loop.namespace, "other")
    assert "deletionTimestamp" not in other["metadata"], "nobody asked for that"
    await let_go(loop, "other")
    await is_gone(loop)


async def test_it_takes_them_along_where_it_says_so(loop: Loop) -> None:
    await loop.session.merge(
        PROJECT, loop.namespace, "shop", {"spec": {"deletionPolicy": "Delete"}}, MANAGER
    )
    await delete_project(loop)

    async def both_go() -> bool:
        listed = await loop.session.list(DATABASE, loop.namespace)
        return all("deletionTimestamp" in each["metadata"] for each in listed.items)

    await eventually(both_go, "its Databases are deleted")
    await told(loop, "DeletingDatabases")
    for name in ("main", "other"):
        await let_go(loop, name)
    await is_gone(loop)


async def test_one_that_is_protected_is_named_and_the_others_go(
    loop: Loop, monkeypatch: pytest.MonkeyPatch
) -> None:
    usual = Session.delete

    async def refused(self: Session, kind: Kind, *args: Any, **more: Any) -> None:
        if "main" in args:
            raise Denied("Kubernetes API", "Database main has spec.deletionProtection: true")
        await usual(self, kind, *args, **more)

    wanted = {"spec": {"deletionPolicy": "Delete"}}
    await loop.session.merge(PROJECT, loop.namespace, "shop", wanted, MANAGER)
    monkeypatch.setattr(Session, "delete", refused)
    await delete_project(loop)
    said = await told(loop, "DeletionRefused")
    assert "deletionProtection" in said["message"]
    main, other = [
        await loop.session.get(DATABASE, loop.namespace, name) for name in ("main", "other")
    ]
    assert "deletionTimestamp" not in main["metadata"]
    assert "deletionTimestamp" in other["metadata"]


async def test_an_empty_one_goes_at_once(loop: Loop) -> None:
    """Without us even: nothing of ours holds it."""
    for name in ("main", "other"):
        await let_go(loop, name)

    async def free() -> bool:
        live = await loop.session.get(PROJECT, loop.namespace, "shop")
        return FINALIZER not in live["metadata"].get("finalizers", [])

    await eventually(free, "it is free to go")
    await forsake(loop, PROJECT, "shop")
    assert await loop.session.find(PROJECT, loop.namespace, "shop") is None
