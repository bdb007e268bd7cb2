"""One request on its way: who asks for what, and the lookups that every handler begins with.

Lookups go by the caller's own namespace. What is not found is waited for during a moment: another
replica may have made it so recently that our watch has not shown it yet. So a missing object and
another tenant's take the same time and give the same answer.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import TypeVar, cast

from postbase_operator.api.database import Database
from postbase_operator.api.project import Project
from postbase_operator.gateway import problems
from postbase_operator.gateway.bodies import Body, Query
from postbase_operator.gateway.callers import Caller, Callers
from postbase_operator.gateway.device_flow import DeviceFlow
from postbase_operator.gateway.downloads import Stores
from postbase_operator.gateway.held import Held
from postbase_operator.gateway.index import Index
from postbase_operator.gateway.route import Route
from postbase_operator.gateway.settings import GatewaySettings
from postbase_operator.gateway.sidecars import Sidecars
from postbase_operator.gateway.writes import Origin, Writer
from postbase_operator.kube.kinds import BACKUP, DATABASE, PITR_RESTORE, PROJECT, Kind
from postbase_operator.kube.session import Session

B = TypeVar("B", bound=Body)
Q = TypeVar("Q", bound=Query)
NEWS = 0.25
"""Seconds in which a watch shows what another replica has written."""
SET_UP = 10.0
"""Seconds that a write waits for the namespace of an account that was just made."""


@dataclass(frozen=True, slots=True)
class Services:
    """What lives as long as the process."""

    settings: GatewaySettings
    index: Index
    session: Session
    writer: Writer
    callers: Callers
    device_flow: DeviceFlow
    sidecars: Sidecars
    stores: Stores
    now: Callable[[], datetime]
    openapi: bytes = b""
    reference: bytes = b""


@dataclass(slots=True)
class Call:
    """A request, checked: the token is good, the body is of the route's shape."""

    services: Services
    route: Route
    values: dict[str, str]
    origin: Origin
    caller: Caller | None = None
    sent: Body | None = None
    asked: Query | None = None
    ids: dict[str, str] = field(default_factory=dict)
    """Of the objects that were found: for the audit."""

    @property
    def index(self) -> Index:
        return self.services.index

    @property
    def writer(self) -> Writer:
        return self.services.writer

    @property
    def who(self) -> Caller:
        """Of a route that needs a token."""
        return cast(Caller, self.caller)

    def body(self, of: type[B]) -> B:
        if not isinstance(self.sent, of):
            raise TypeError(f"the route has no body of {of.__name__}")
        return self.sent

    def query(self, of: type[Q]) -> Q:
        if not isinstance(self.asked, of):
            raise TypeError(f"the route has no query of {of.__name__}")
        return self.asked

    # -- lookups ---------------------------------------------------------------------------------

    async def project(self) -> Held:
        held = await self._find(PROJECT, "project", None, problems.no_project)
        if is_gone(self.index, held):
            raise problems.no_project()
        return held

    async def database(self) -> Found:
        """The path's database, in its project."""
        project = await self.project()
        held = await self._find(DATABASE, "database", project.name, problems.no_database)
        return Found(project, held)

    async def backup(self, database: Held) -> Held:
        return await self._find(BACKUP, "backup", database.name, problems.no_backup)

    async def restore(self, database: Held) -> Held:
        return await self._find(PITR_RESTORE, "restore", database.name, problems.no_restore)

    async def _find(
        self, kind: Kind, value: str, parent: str | None, missing: Callable[[], problems.Problem]
    ) -> Held:
        namespace, key = self.who.namespace, self.values[value]

        def found() -> Held | None:
            return self.index.find(kind, namespace, key, parent) if namespace else None

        held = found()
        if held is None:
            await self.index.until(lambda: found() is not None, NEWS)
            held = found()
        if held is None:
            raise missing()
        self.ids[value] = held.id
        return held

    async def namespace(self) -> str:
        """The account's, for a write: waits for one that the operator is about to make."""
        token, callers = self.who.token, self.services.callers

        def ready() -> bool:
            caller = callers.again(token)
            return caller is not None and bool(caller.namespace)

        if not await self.index.until(ready, SET_UP):
            raise problems.unavailable("The account is not set up yet", 2)
        caller = callers.again(token)
        if caller is None:
            raise problems.unavailable("The account is going", 2)
        return caller.namespace


@dataclass(frozen=True, slots=True)
class Found:
    """A database and the project that it is in; models are made where they are asked for."""

    project: Held
    held: Held

    @property
    def model(self) -> Database:
        return Database.model_validate_json(self.held.raw)

    @property
    def project_model(self) -> Project:
        return Project.model_validate_json(self.project.raw)


def is_gone(index: Index, project: Held) -> bool:
    """Deleted, and no database is in it: what is still there is the operator's finalizer."""
    return project.deleting and not index.under(DATABASE, project.namespace, project.name)
