"""Restores of Databases whose server is not in this cluster: railway.restore_books.RestoreBooks."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from postbase_operator.api.backup import Backup
from postbase_operator.api.database import Database
from postbase_operator.kube.cache import Cache
from postbase_operator.kube.kinds import BACKUP
from postbase_operator.kube.recoveries import Recoveries
from postbase_operator.kube.session import Session
from postbase_operator.kube.stores import Stores
from postbase_operator.settings import Settings


class FarRestores(Recoveries):
    """One for all Databases of a platform that is elsewhere."""

    def __init__(
        self, api: Session, cache: Cache, settings: Settings, now: Callable[[], datetime]
    ) -> None:
        super().__init__(cache, Stores(api, settings), settings.cluster_name, now)
        self._held = cache

    def backup(self, db: Database) -> Backup | None:
        wanted = db.spec.bootstrap.backup_ref if db.spec.bootstrap is not None else None
        if wanted is None:
            return None
        body = self._held.get(BACKUP, db.metadata.namespace, wanted.name)
        return None if body is None else Backup.model_validate(body)
