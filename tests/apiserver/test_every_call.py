"""Whichever call of a provision, a change, a rotation, a deletion or an adoption goes wrong, and
however: in the end there is one of each child, one password that works, and the data.
"""

from __future__ import annotations

import asyncio
import itertools
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from functools import partial

import pytest

from apiserver.access import Api
from apiserver.checks import check_alive, check_gone
from apiserver.interruptions import Clock, Mode
from apiserver.life import LONGER, Life, living, worlds_apart

Act = Callable[[Life], Awaitable[None]]
__all__ = ["worlds_apart"]
FEWEST = 5
"""Every one of these takes more calls: fewer would mean that they are not counted."""


@pytest.fixture(scope="module")
def tally(request: pytest.FixtureRequest) -> Iterator[Counter[str]]:
    """How many runs there were, told at the end."""
    runs: Counter[str] = Counter()
    yield runs
    each = ", ".join(f"{count} {what}" for what, count in runs.items())
    capture = request.config.pluginmanager.get_plugin("capturemanager")
    assert capture is not None
    with capture.global_and_fixture_disabled():
        print(f"\n{runs.total()} interrupted runs: {each}")


async def provision(life: Life) -> None:
    await life.provision()
    await check_alive(life)
    assert len(life.controllers.passwords) == 1


async def change(life: Life, how: Act, *, passwords: int = 0) -> None:
    """What runs goes on running, and what is there is the same."""
    server, before = life.controllers.server, life.controllers.uids()
    known = len(life.controllers.passwords)
    await how(life)
    await check_alive(life)
    assert life.controllers.server is server, "PostgreSQL was restarted"
    assert life.controllers.uids() == before
    assert len(life.controllers.passwords) == known + passwords


async def delete(life: Life, policy: str) -> None:
    claim = life.claim
    await life.delete(policy)
    await check_gone(life, policy, claim)


async def adopt(life: Life) -> None:
    """The volume of a Database that is gone, with all that it knows and its password."""
    before, known = life.controllers.uids(), set(life.controllers.passwords)
    disk = life.disk
    held = disk.system_id, set(disk.roles)
    await life.adopt()
    await check_alive(life)
    assert before.items() <= life.controllers.uids().items()
    assert (disk.system_id, set(disk.roles)) == held
    assert life.controllers.passwords == known


async def to_nothing(life: Life, namespace: str) -> None:
    await life.begin(namespace)


async def to_life(life: Life, namespace: str) -> None:
    if not life.namespace:
        await life.begin(namespace)
    if life.is_kept:
        await life.adopt()
    elif not life.is_alive:
        await life.provision()


async def to_kept(life: Life, namespace: str) -> None:
    await to_life(life, namespace)
    await life.delete("Retain")


@dataclass(frozen=True)
class Flow:
    """`act` is what is broken; `prepare` makes what it begins with, from what the last run left."""

    act: Act
    prepare: Callable[[Life, str], Awaitable[None]]


FLOWS = {
    "provision": Flow(provision, to_nothing),
    "change": Flow(partial(change, how=Life.change), to_life),
    "rotation": Flow(partial(change, how=Life.rotate, passwords=1), to_life),
    "deletion, Retain": Flow(partial(delete, policy="Retain"), to_life),
    "deletion, Delete": Flow(partial(delete, policy="Delete"), to_life),
    "adoption": Flow(adopt, to_kept),
}


async def break_each(api: Api, namespace: str, flow: Flow, mode: Mode) -> tuple[int, int]:
    """Breaks the first call, the second, and so on, until one run has fewer calls than that.

    Answers how many runs were broken, and how many calls the run had that was not.
    """
    async with living(api) as life:
        for number in itertools.count(1):
            await flow.prepare(life, f"{namespace}-{mode.name.lower()}-{number}")
            await life.wait(LONGER)
            life.wire.arm(number, mode)
            try:
                await flow.act(life)
            except Exception as error:
                error.add_note(f"call {number} was {mode.value}: {life.wire.broken}")
                raise
            if not life.wire.broken:
                return number - 1, life.wire.calls
    raise AssertionError


async def break_each_way(api: Api, namespace: str, flow: Flow) -> list[tuple[int, int]]:
    """Side by side, so that one waits for the API server while another works."""
    runs = [break_each(api, namespace, flow, mode) for mode in Mode]
    return list(await asyncio.gather(*runs))


@pytest.mark.timeout(600)
@pytest.mark.usefixtures("worlds_apart")
@pytest.mark.parametrize("name", FLOWS)
def test_whichever_call_goes_wrong(
    api: Api, namespace: str, tally: Counter[str], name: str
) -> None:
    with asyncio.Runner(loop_factory=Clock) as runner:
        for broken, calls in runner.run(break_each_way(api, namespace, FLOWS[name])):
            assert broken == calls > FEWEST
            tally[name] += broken
