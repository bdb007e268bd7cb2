"""One run for one Project: it counts its Databases, and stays until the last of them is gone."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from typing import Any

from postbase_operator.api.database import Database
from postbase_operator.api.project import Project
from postbase_operator.desired.names import FINALIZER
from postbase_operator.errors import Denied
from postbase_operator.handlers.keys import Key, project_key
from postbase_operator.kube import objects
from postbase_operator.kube.cache import Cache
from postbase_operator.kube.kinds import DATABASE, PROJECT, Body, Kind
from postbase_operator.kube.refusals import Refused
from postbase_operator.kube.session import Session
from postbase_operator.planning.plan import Plan
from postbase_operator.planning.project import plan_project, to_delete

Tell = Callable[[Kind, Body, Plan[Any]], Awaitable[None]]
Usage = Callable[[Project], tuple[int, int]]


class Projects:
    """`run` answers whether there is a Project that is to be looked at again in a while."""

    def __init__(
        self, api: Session, cache: Cache, usage: Usage, tell: Tell, now: Callable[[], datetime]
    ) -> None:
        self._api = api
        self._cache = cache
        self._usage = usage
        self._tell = tell
        self._now = now

    async def run(self, key: Key) -> bool:
        body = self._cache.get(PROJECT, key.namespace, key.name)
        if body is None:
            return False
        project = Project.model_validate(body)
        databases = self._databases(key)
        if not await self._hold(project, body, databases):
            return False
        refused = await self._delete(project, databases)
        usage = self._usage(project)
        await self._tell(
            PROJECT, body, plan_project(project, databases, self._now(), usage, refused)
        )
        return True

    def _databases(self, key: Key) -> list[Database]:
        return [
            Database.model_validate(body)
            for body in self._cache.all(DATABASE)
            if project_key(body) == key
        ]

    async def _hold(self, project: Project, body: Body, databases: Sequence[Database]) -> bool:
        """Bears a finalizer as long as Databases are in it: an empty one goes at once. Their store
        and defaults are its own, so that it must not go before them. False: it is gone."""
        held = FINALIZER in project.metadata.finalizers
        if databases and not held and not project.metadata.is_deleting:
            await objects.add_finalizer(self._api, self._cache, PROJECT, body, FINALIZER)
        elif held and not databases:
            await objects.remove_finalizer(self._api, self._cache, PROJECT, body, FINALIZER)
        # Somebody else's finalizer may hold an empty one: there is nothing that it waits for.
        return bool(databases) or not project.metadata.is_deleting

    async def _delete(self, project: Project, databases: Sequence[Database]) -> str:
        """Its Databases, where it takes them along; answers why one was not let go."""
        refused = ""
        for db in to_delete(project, databases):
            meta = db.metadata
            try:
                await self._api.delete(
                    DATABASE, meta.namespace, meta.name, meta.uid, foreground=False
                )
            except (Refused, Denied) as error:  # it is protected: the others go all the same
                refused = str(error)
        return refused
