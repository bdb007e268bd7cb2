"""What is seen of a PitrRestore: its Database and the others', then whoever else has to be asked.

The archive and the platform are asked while there is no plan yet; afterwards the plan stands.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime

from postbase_operator.api.backup import Backup
from postbase_operator.api.database import Database
from postbase_operator.api.pitr_restore import PitrRestore
from postbase_operator.kube.backup_looks import backups_of
from postbase_operator.kube.cache import Cache
from postbase_operator.kube.kinds import BACKUP, DATABASE, PITR_RESTORE
from postbase_operator.planning.database_backups import is_of
from postbase_operator.planning.observed import Observed
from postbase_operator.planning.restore_branch import UNSAID, is_unsaid, written_timeline
from postbase_operator.planning.restore_recovery import is_stopped, is_stopping, wish_of
from postbase_operator.planning.restore_rehearsal import rehearsal
from postbase_operator.planning.restore_seen import RestoreSeen
from postbase_operator.platforms import Platform


class RestoreLooks:
    """One for all PitrRestores."""

    def __init__(self, cache: Cache, platform: Platform) -> None:
        self._cache = cache
        self._platform = platform

    async def look(self, restore: PitrRestore, now: datetime) -> RestoreSeen:
        namespace, spec = restore.metadata.namespace, restore.spec
        held = self._cache.get(DATABASE, namespace, spec.database_ref.name)
        db = None if held is None else Database.model_validate(held)
        backup, wanted = spec.source.backup_ref, spec.target.new_database
        named = self._cache.get(BACKUP, namespace, backup.name) if backup is not None else None
        made = self._cache.get(DATABASE, namespace, wanted.name) if wanted is not None else None
        seen = await self._platform.observe(db) if db is not None else Observed()
        known = RestoreSeen(
            db=db,
            seen=seen,
            backup=None if named is None else Backup.model_validate(named),
            made=None if made is None else Database.model_validate(made),
            others=self.of(namespace, spec.database_ref.name),
        )
        if db is None:
            return known
        known = replace(known, backups=tuple(self._backups(db)))
        known = await self._with_archive(restore, db, known, now)
        wish = rehearsal(restore, known, now)
        if wish is None:
            return known
        return replace(known, rehearsed=await self._platform.restoring.rehearse(wish))

    async def _with_archive(
        self, restore: PitrRestore, db: Database, known: RestoreSeen, now: datetime
    ) -> RestoreSeen:
        """What the object store has to say, where it has to be asked."""
        plan, wish = restore.status.plan, wish_of(restore.spec.source)
        if wish is None:
            return known
        ask = self._platform.restoring
        if plan is None:
            live = written_timeline(known.seen)
            if live is None and is_unsaid(restore, known.seen, now):
                return replace(known, offer=UNSAID)
            return replace(known, offer=await ask.offer(db, replace(wish, live=live)))
        seen, fill = known.seen, known.seen.fill
        if fill is not None and fill.recovers:
            progress = await ask.progress(db, plan, restore.metadata.uid)
            seen = replace(seen, fill=replace(fill, progress=progress))
        if is_stopping(restore) and is_stopped(seen):
            stopped = await ask.stopped(db, plan)
            return replace(known, seen=seen, stopped=stopped)
        return replace(known, seen=seen)

    def _backups(self, db: Database) -> Iterator[Backup]:
        named = backups_of(self._cache, db.metadata.namespace, db.metadata.name)
        return (backup for backup in named if is_of(backup, db.metadata.uid))

    def of(self, namespace: str, database: str) -> list[PitrRestore]:
        """Those that name this Database."""
        named = self._cache.children(PITR_RESTORE, namespace, database)
        return list(map(PitrRestore.model_validate, named))
