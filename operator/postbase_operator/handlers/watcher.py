"""From events to keys: what kopf shows goes into the cache, and whoever it concerns into the queue.

O(1), no awaiting, nothing raised: kopf neither repeats nor reports a failed event handler. kopf
also loses deletes in a watch gap, and each start has one: between our first listing and kopf's. So
ghosts are looked for soon after kopf has listed, and a sweep lists everything now and then.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable

from postbase_operator.desired import names
from postbase_operator.errors import PostbaseError
from postbase_operator.handlers.keys import Key, database_key, key_of, owner_key, project_key
from postbase_operator.handlers.queue import WorkQueue
from postbase_operator.kube.cache import Cache, place_of
from postbase_operator.kube.kinds import (
    ACCOUNT,
    DATABASE,
    JOB,
    PITR_RESTORE,
    PROJECT,
    Body,
    Kind,
)
from postbase_operator.kube.news import RESOURCES, is_news
from postbase_operator.kube.platform import CHILDREN
from postbase_operator.kube.session import Session

logger = logging.getLogger(__name__)

SWEEP_SECONDS = 600.0
SOON = (5.0, 30.0)
"""Seconds, one after the other, after which ghosts are looked for once kopf has listed. A Database
that was being deleted while the leader changed once waited for the sweep to see its pod gone."""
Drop = Callable[[Kind, Iterable[Body], int], list[Body]]
COUNTED_AGAIN = 2.0
"""Seconds after which a Project counts its Databases: twenty that come up together are one write
or two, not twenty."""
OURS = f"{names.LABEL_MANAGED_BY}={names.MANAGED_BY}"


class Watcher:
    """Keeps the cache true and the queue fed."""

    def __init__(
        self,
        api: Session,
        cache: Cache,
        queue: WorkQueue[Key],
        namespaces: tuple[str, ...],
        *,
        accounts: bool = False,
    ) -> None:
        """`accounts`: those are served, too; they lie in no namespace."""
        self._api = api
        self._cache = cache
        self._queue = queue
        self._namespaces: tuple[str | None, ...] = namespaces or (None,)
        self.resources: tuple[Kind, ...] = (*RESOURCES, *((ACCOUNT,) if accounts else ()))
        self._listed = asyncio.Event()
        cache.surprised = self._look_again

    def event(self, kind: Kind, type: str | None, body: Body) -> None:
        """One watch event; `type` is None in a listing, then ADDED, MODIFIED or DELETED."""
        held = self._cache.get(kind, *place_of(body))
        if type is None:
            self._listed.set()
        if type == "DELETED":
            self._cache.drop(kind, body)
        else:
            self._cache.put(kind, body)
            now = self._cache.get(kind, *place_of(body))
            # One of ours that is new (a Backup by schedule) has not been looked at by anybody.
            is_new = type == "ADDED" and kind in self.resources
            echo = held is not None and now is not None and not is_news(kind, held, now)
            if echo and not is_new:
                if kind is DATABASE:  # the echo of a status: its Project counts who is ready
                    self._queue.add_after(project_key(body), COUNTED_AGAIN)
                return
        # Whose it was, too: an edit may have given it to another, or to nobody.
        concerned = [*self._concerned(kind, body), *(self._concerned(kind, held) if held else ())]
        if (
            kind is PROJECT
            and type != "DELETED"
            and held
            and _generation(held) == _generation(body)
        ):
            concerned = [key_of(kind.kind, body)]  # its status alone: no Database's matter
        for key in concerned:
            if kind is DATABASE and key.kind == PROJECT.kind:
                self._queue.add_after(key, COUNTED_AGAIN)
            else:
                self._queue.add(key)

    def _look_again(self, kind: Kind, body: Body) -> None:
        for key in self._concerned(kind, body):
            self._queue.add(key)

    def _concerned(self, kind: Kind, body: Body) -> list[Key]:
        if kind is DATABASE:
            return [key_of("Database", body), project_key(body)]
        if kind is PROJECT:
            key = key_of("Project", body)
            return [key, *(key_of("Database", db) for db in self.databases_of(key))]
        if kind is ACCOUNT:
            return [key_of(kind.kind, body)]
        if kind in RESOURCES:  # a Database clears up after one of these that is gone
            return [key_of(kind.kind, body), database_key(body)]
        owner = owner_key(body)
        if owner is None:
            return []
        return [owner, *self._restores_of(owner)] if kind is JOB else [owner]

    def _restores_of(self, database: Key) -> list[Key]:
        """Those that may wait for the Job that fills their volume."""
        listed = self._cache.all(PITR_RESTORE)
        return [
            key_of(PITR_RESTORE.kind, each) for each in listed if database_key(each) == database
        ]

    def databases_of(self, project: Key) -> list[Body]:
        return [db for db in self._cache.all(DATABASE) if project_key(db) == project]

    async def list_everything(self) -> None:
        """A full listing of each kind: the start-up barrier, and the sweep's work.

        No reconcile may run before it: a child that is not listed yet looks like one that is gone.
        """
        await self._drop_ghosts(self._cache.replace)
        for kind in self.resources:
            for body in self._cache.all(kind):
                self._queue.add(key_of(kind.kind, body))

    async def _drop_ghosts(self, drop: Drop) -> None:
        async for kind, items, version in self._listings():
            for ghost in drop(kind, items, version):
                logger.warning(
                    "a delete was missed", extra={"object": str(key_of(kind.kind, ghost))}
                )
                for key in self._concerned(kind, ghost):
                    self._queue.add(key)

    async def _listings(self) -> AsyncIterator[tuple[Kind, list[Body], int]]:
        for kind in (*self.resources, *CHILDREN):
            selector = OURS if kind in CHILDREN else ""
            namespaces = self._namespaces if kind.namespaced else (None,)
            listings = [await self._api.list(kind, ns, selector) for ns in namespaces]
            items = [item for listing in listings for item in listing.items]
            yield kind, items, min(listing.version for listing in listings)

    async def sweep(self) -> None:
        """Looks for ghosts after each of kopf's listings, and lists everything again every ten
        minutes, until cancelled."""
        while True:
            self._listed.clear()
            for seconds in SOON:
                await asyncio.sleep(seconds)
                # What changed is kopf's to tell: by then taken over it would pass for an echo.
                await self._try(self._drop_ghosts(self._cache.bury))
            while not self._listed.is_set():
                try:
                    await asyncio.wait_for(self._listed.wait(), SWEEP_SECONDS)
                except TimeoutError:
                    await self._try(self.list_everything())

    async def _try(self, listing: Coroutine[None, None, None]) -> None:
        try:
            await listing
        except PostbaseError as error:  # the watches go on; the next round may do better
            logger.warning("the sweep was cut short", extra={"error": str(error)})


def _generation(body: Body) -> int:
    return int(body["metadata"].get("generation", 0))
