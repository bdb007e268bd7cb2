"""Many Databases on Railway, each operator with its own queue, workers and count of its token."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from random import Random

from component.railway_clocked import Process, Site
from component.railway_operator import SETTINGS, is_ready, new_place, railway_database
from postbase_operator.api.database import Database
from postbase_operator.handlers.process import REST
from postbase_operator.handlers.queue import WorkQueue
from railway.double import RailwayDouble
from railway.virtual_loop import VirtualLoop

LATENCY = (0.2, 0.2)


class LoopSite(Site):
    """Its clock is moved by the loop."""

    async def rest(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


@dataclass
class Fleet:
    """One operator in an environment of its own for each `sites`; all send with one token."""

    double: RailwayDouble
    all: dict[str, Database] = field(default_factory=dict)
    """By UID."""
    ready: asyncio.Event = field(default_factory=asyncio.Event)
    _processes: dict[str, Process] = field(default_factory=dict)

    async def _work(self, uid: str) -> float | None:
        self.all[uid], again = await self._processes[uid].look(self.all[uid])
        if all(is_ready(each) for each in self.all.values()):
            self.ready.set()
        return again

    @asynccontextmanager
    async def running(self, shares: Iterable[int]) -> AsyncIterator[None]:
        """An operator for each share, which is how many Databases it has."""
        token, loop = self.double.token(), asyncio.get_running_loop()
        assert isinstance(loop, VirtualLoop)
        async with AsyncExitStack() as stack:
            queues: list[WorkQueue[str]] = []
            for share in shares:
                place = new_place(self.double)
                draw = Random(len(queues))  # noqa: S311 - that can be repeated
                site = LoopSite(self.double, place, token, latency=LATENCY, draw=draw)
                ours = await stack.enter_async_context(site.process())
                ours.client.wire = loop.wire
                queue = WorkQueue[str](
                    self._work, workers=SETTINGS.workers, rest=REST, jitter=draw.random
                )
                for db in databases(len(self.all), share):
                    uid = db.metadata.uid
                    self.all[uid] = db
                    self._processes[uid] = Process(site, ours.client, ours.platform)
                    queue.add(uid)
                queues.append(queue)
            self.double.calls.clear()
            tasks = [asyncio.create_task(queue.run()) for queue in queues]
            try:
                yield
            finally:
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)


def databases(first: int, count: int) -> list[Database]:
    made = []
    for number in range(first, first + count):
        db = railway_database()
        named = {"name": f"shop-{number}", "uid": f"{number:08d}-0000-4000-8000-000000000000"}
        made.append(db.model_copy(update={"metadata": db.metadata.model_copy(update=named)}))
    return made
