"""Whichever call of a Backup's life goes wrong, and however: in the end there is one Job an attempt
and one backup, or nothing of it at all.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Awaitable, Callable, Iterator

import pytest

from apiserver.access import Api
from apiserver.backup_life import BackupLife, complete, half, its_own_time, living
from apiserver.interruptions import Clock, Mode
from apiserver.life import worlds_apart
from apiserver.loop import MANAGER
from component.store_server import StoreServer, store_server
from postbase_operator.desired.names import FINALIZER
from postbase_operator.kube.kinds import BACKUP

__all__ = ["its_own_time", "worlds_apart"]
Act = Callable[[BackupLife, str], Awaitable[None]]
FEWEST = {"completion": 6, "second attempt": 8, "failure": 6, "deletion": 2}
"""Calls that each of these takes at least: fewer would mean that they are not counted."""


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StoreServer]:
    with store_server(tmp_path_factory.mktemp("s3")) as server:
        yield server


async def completion(life: BackupLife, name: str) -> None:
    life.controllers.outcomes = [complete]
    await life.back_up(name)
    made = await life.ends(name)
    assert made.status.phase == "Completed"
    assert len(life.jobs_of(name)) == 1
    check_stored(life, name)


async def second_attempt(life: BackupLife, name: str) -> None:
    life.controllers.outcomes = [half("DumpFailed"), complete]
    await life.back_up(name)
    made = await life.ends(name)
    assert made.status.phase == "Completed"
    assert len(life.jobs_of(name)) == 2
    check_stored(life, name)


async def failure(life: BackupLife, name: str) -> None:
    life.controllers.outcomes = [half("Denied")]
    await life.back_up(name)
    made = await life.ends(name)
    assert (made.status.phase, life.reason(name)) == ("Failed", "Denied")
    assert len(life.jobs_of(name)) == 1
    assert not [key for key in life.controllers.stored() if made.id in key]


async def deletion(life: BackupLife, name: str) -> None:
    """Of a complete one, which was made beforehand and takes its bytes with it."""
    held = life.backup(name)
    await life.drop(name)
    assert not [key for key in life.controllers.stored() if held.id in key]


def check_stored(life: BackupLife, name: str) -> None:
    made = life.backup(name)
    assert made.metadata.finalizers == (FINALIZER,)
    stem = str(made.status.object_key).removesuffix(".dump.gz")
    wanted = {f"{stem}.dump.gz", f"{stem}.globals.sql", f"{stem}.json"}
    assert {key for key in life.controllers.stored() if made.id in key} == wanted


FLOWS: dict[str, Act] = {
    "completion": completion,
    "second attempt": second_attempt,
    "failure": failure,
    "deletion": deletion,
}


async def prepare(life: BackupLife, name: str, flow: str) -> None:
    if flow == "deletion":
        await completion(life, name)
        patch = {"spec": {"deletionPolicy": "Delete"}}
        await life.session.merge(BACKUP, life.namespace, name, patch, MANAGER)
    await life.wait(3.0)


async def break_each(
    api: Api, store: StoreServer, namespace: str, flow: str, mode: Mode
) -> tuple[int, int]:
    """Breaks the first call, the second, and so on, until a run has fewer calls than that."""
    async with living(api, store) as life:
        await life.begin(f"{namespace}-{mode.name.lower()}")
        await life.provision()
        for number in itertools.count(1):
            name = f"b{number}"
            await prepare(life, name, flow)
            life.wire.arm(number, mode)
            try:
                await FLOWS[flow](life, name)
            except Exception as error:
                error.add_note(f"call {number} was {mode.value}: {life.wire.broken}")
                raise
            life.wire.armed = False
            if not life.wire.broken:
                return number - 1, life.wire.calls
    raise AssertionError


@pytest.mark.timeout(300)
@pytest.mark.usefixtures("its_own_time")
@pytest.mark.parametrize("mode", Mode)
@pytest.mark.parametrize("flow", FLOWS)
def test_whichever_call_goes_wrong(
    api: Api, namespace: str, store: StoreServer, flow: str, mode: Mode
) -> None:
    with asyncio.Runner(loop_factory=Clock) as runner:
        broken, calls = runner.run(break_each(api, store, namespace, flow, mode))
    assert broken >= calls >= FEWEST[flow]
