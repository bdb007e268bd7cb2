"""Backup objects that a Database makes by its schedule, and ends by its retention."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from postbase_operator.api.backup import BackupStatus
from postbase_operator.api.database import Database
from postbase_operator.errors import Conflict
from postbase_operator.kube import objects
from postbase_operator.kube.apply import MANAGER
from postbase_operator.kube.cache import Cache
from postbase_operator.kube.kinds import BACKUP, DATABASE, Body, Kind
from postbase_operator.kube.refusals import AlreadyExists, NotFound
from postbase_operator.kube.session import Session
from postbase_operator.planning import plan as steps

APART = ("expiredAt",)
EXPIRY = "postbase-operator-retention"
"""Field manager of the one field of a Backup's status that its Database's retention writes, apart
from all others."""


class BackupObjects:
    """Creates and deletes; what a Backup does is its own planner's matter."""

    def __init__(self, api: Session, cache: Cache, now: Callable[[], datetime]) -> None:
        self._api = api
        self._cache = cache
        self._now = now

    async def take(
        self,
        db: Database,
        step: steps.CreateBackup | steps.ExpireBackup | steps.CreateDatabase,
    ) -> None:
        match step:
            case steps.CreateDatabase(made):
                await self._create(DATABASE, db.metadata.namespace, made.to_wire())
            case steps.CreateBackup(backup):
                await self._create(BACKUP, db.metadata.namespace, backup.to_wire())
            case steps.ExpireBackup(name, takes_bytes):
                await self.delete(db.metadata.namespace, name, takes_bytes=takes_bytes)

    async def _create(self, kind: Kind, namespace: str, wire: Body) -> None:
        wire.pop("status", None)
        try:
            self._cache.put(kind, await self._api.create(kind, namespace, wire, MANAGER))
        except AlreadyExists:
            return  # its name says what it is: another operator's, or a lost answer

    async def delete(self, namespace: str, name: str, *, takes_bytes: bool) -> None:
        """Its bytes go where its status says so, or its spec, which is not ours to write."""
        live = self._cache.get(BACKUP, namespace, name)
        if live is None:
            return
        try:
            if takes_bytes:
                said = BackupStatus(expired_at=self._now()).to_wire()["expiredAt"]
                await objects.add_to_status(self._api, BACKUP, live, {"expiredAt": said}, EXPIRY)
            await self._api.delete(BACKUP, namespace, name, live["metadata"]["uid"])
        except (NotFound, Conflict):
            return  # gone, or another by now
