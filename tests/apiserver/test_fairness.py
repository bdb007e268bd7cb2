"""One Database that goes wrong, or many, hold up no other: neither by time nor by noise."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

import pytest

from apiserver.access import Api
from apiserver.loop import MANAGER, Loop, database, eventually, make, running, session, until
from postbase_operator.desired import names
from postbase_operator.kube.kinds import DATABASE, POD, SERVICE, STATEFUL_SET, Body
from postbase_operator.kube.session import Session
from postbase_operator.postgres import connect

WORKERS = 2
ADDRESS = "127.0.83.45"
"""Of the loopback, for this test alone."""


@pytest.fixture
async def api_session(api: Api) -> AsyncIterator[Session]:
    async with session(api) as made:
        yield made


@pytest.fixture
async def silent() -> AsyncIterator[list[asyncio.StreamWriter]]:
    """A server that lets everybody in and says nothing, as one whose disk hangs; its callers."""
    callers: list[asyncio.StreamWriter] = []

    async def listen(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        callers.append(writer)
        await reader.read()

    server = await asyncio.start_server(listen, ADDRESS, names.PORT)
    yield callers
    server.close()
    for caller in callers:
        caller.close()
        with contextlib.suppress(ConnectionError):
            await caller.wait_closed()


@pytest.fixture
async def loop(
    api: Api, api_session: Session, namespace: str, silent: list[asyncio.StreamWriter]
) -> AsyncIterator[Loop]:
    """It ends before the silent server does."""
    api.kubectl("create", "serviceaccount", "default", f"--namespace={namespace}")
    await make(api_session, namespace)
    async with running(api_session, namespace, workers=WORKERS) as loop:
        yield loop


async def apply(loop: Loop, name: str) -> None:
    """As a user does, and as the watch would tell of it."""
    made = await loop.session.create(DATABASE, loop.namespace, database(name), MANAGER)
    loop.watcher.event(DATABASE, "ADDED", made)


async def has_children(loop: Loop, *databases: str) -> None:
    """Until all that can be made without a kubelet is made."""

    async def made() -> bool:
        held = await loop.session.list(STATEFUL_SET, loop.namespace)
        found = {body["metadata"]["name"] for body in held.items}
        return {f"{name}-1" for name in databases} <= found

    await eventually(made, f"the children of {', '.join(databases)}", seconds=60)


async def start(loop: Loop, name: str) -> None:
    """Its pod, in the words of a kubelet: PostgreSQL runs, at the address of the silent server."""
    labels = {names.LABEL_MANAGED_BY: names.MANAGED_BY, names.LABEL_DATABASE: name}
    container = {"name": "postgres", "image": "postgres:15"}
    pod: Body = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": f"{name}-1-0", "namespace": loop.namespace, "labels": labels},
        "spec": {"containers": [container]},
    }
    await loop.session.create(POD, loop.namespace, pod, MANAGER)
    now = (await loop.session.get(DATABASE, loop.namespace, name))["metadata"]["creationTimestamp"]
    running = {
        **container,
        "imageID": "",
        "ready": True,
        "started": True,
        "restartCount": 0,
        "state": {"running": {"startedAt": now}},
    }
    status = {
        "phase": "Running",
        "podIP": ADDRESS,
        "podIPs": [{"ip": ADDRESS}],
        "containerStatuses": [running],
    }
    intent = {**pod, "status": status}
    del intent["spec"]
    live = await loop.session.apply(POD, intent, MANAGER, subresource="status")
    loop.watcher.event(POD, "ADDED", live)


async def hang(loop: Loop, silent: list[asyncio.StreamWriter], *databases: str) -> None:
    for name in databases:
        await apply(loop, name)
    await has_children(loop, *databases)
    for name in databases:
        await start(loop, name)
    await until(lambda: silent, "somebody waits for the silent server")


async def test_a_server_that_hangs_holds_up_no_other_database(
    loop: Loop, silent: list[asyncio.StreamWriter], monkeypatch: pytest.MonkeyPatch
) -> None:
    """All the time that the others take, on however slow a machine."""
    monkeypatch.setitem(connect.OURS, "connect_timeout", 80)
    await hang(loop, silent, "hung")
    others = [f"other-{number}" for number in range(5)]
    before = loop.runs[loop.key("hung")]
    for name in others:
        await apply(loop, name)
    await has_children(loop, *others)
    assert loop.runs[loop.key("hung")] == before, "the others waited for it"


async def test_more_of_them_than_workers_still_let_a_new_one_in(
    loop: Loop, silent: list[asyncio.StreamWriter]
) -> None:
    hung = [f"hung-{number}" for number in range(WORKERS * 2)]
    await hang(loop, silent, *hung)
    await until(lambda: len(silent) >= WORKERS, "every worker waits for one")
    made = await loop.session.create(DATABASE, loop.namespace, database("new"), MANAGER)
    before = len(loop.begun)  # no turn that goes by while it is made
    loop.watcher.event(DATABASE, "ADDED", made)
    await has_children(loop, "new")
    turns = loop.begun[before : loop.begun.index(loop.key("new"), before)]
    for name in hung:
        assert turns.count(loop.key(name)) <= 1, "it waited for more than one turn of each"


async def test_a_hung_server_is_told(loop: Loop, silent: list[asyncio.StreamWriter]) -> None:
    await hang(loop, silent, "hung")

    async def told() -> str:
        live = await loop.session.get(DATABASE, loop.namespace, "hung")
        conditions = live.get("status", {}).get("conditions", [])
        said = [c for c in conditions if c["reason"] == "ServerUnreachable"]
        return str(said[0]["message"]) if said else ""

    assert "timeout" in await eventually(told, "ServerUnreachable")


async def test_one_that_is_refused_for_ever_is_not_asked_for_ever(loop: Loop) -> None:
    """A stranger's Service bears its name: a person must act, and nothing else would help."""
    port = {"port": 80}
    theirs = {"metadata": {"name": "taken"}, "spec": {"ports": [port], "selector": {"app": "shop"}}}
    body = {"apiVersion": "v1", "kind": "Service", **theirs}
    await loop.session.create(SERVICE, loop.namespace, body, MANAGER)
    await apply(loop, "taken")

    async def told() -> bool:
        live = await loop.session.get(DATABASE, loop.namespace, "taken")
        conditions = live.get("status", {}).get("conditions", [])
        return any(c["reason"] == "NameTaken" for c in conditions)

    await eventually(told, "NameTaken")
    before = loop.runs[loop.key("taken")]
    await apply(loop, "healthy")
    await has_children(loop, "healthy")
    assert loop.runs[loop.key("taken")] <= before + 1
    live = await loop.session.get(SERVICE, loop.namespace, "taken")
    assert live["spec"]["selector"] == {"app": "shop"}
