"""Backups of Databases that are gone: they expire too, and nobody else looks after them.

By the product's own settings, as those of the Database are gone with it; one by schedule has its
days in its own spec. The last verified one of each stays until somebody deletes it.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import datetime

from postbase_operator.api.backup import Backup
from postbase_operator.api.policies import BackupPolicy, PitrPolicy
from postbase_operator.kube.backup_looks import pinned
from postbase_operator.kube.backup_objects import BackupObjects
from postbase_operator.kube.cache import Cache
from postbase_operator.kube.kinds import BACKUP, DATABASE
from postbase_operator.kube.session import Session
from postbase_operator.planning.retention import Policies, expired

logger = logging.getLogger(__name__)
POLICIES = Policies(BackupPolicy(), PitrPolicy())
Owner = tuple[str, str, str]
"""Namespace, name and UID of a Database that is gone."""


class BackupLeftovers:
    """Clears up; costs no request while nothing is over."""

    def __init__(self, api: Session, cache: Cache, now: Callable[[], datetime]) -> None:
        self._cache = cache
        self._objects = BackupObjects(api, cache, now)
        self._now = now

    async def clear(self) -> None:
        """Deletes what is over. Raises PostbaseError; the rest is the next round's."""
        for (namespace, name, _), backups in self._orphans().items():
            for each in expired(
                backups, POLICIES, self._now(), pinned(self._cache, namespace, name)
            ):
                told = {"object": f"Backup/{namespace}/{each.name}", "reason": each.reason}
                logger.info("a backup of a Database that is gone goes", extra=told)
                await self._objects.delete(namespace, each.name, takes_bytes=each.bytes)

    def _orphans(self) -> dict[Owner, list[Backup]]:
        """By their Database. What has not ended has its own planner."""
        alive = {body["metadata"]["uid"] for body in self._cache.all(DATABASE)}
        found: dict[Owner, list[Backup]] = {}
        for body in self._cache.all(BACKUP):
            backup = Backup.model_validate(body)
            uid = backup.status.database_uid
            if uid is not None and uid not in alive and backup.is_done():
                meta, name = backup.metadata, backup.spec.database_ref.name
                found.setdefault((meta.namespace, name, uid), []).append(backup)
        return found
