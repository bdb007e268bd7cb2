"""A Database is taken away from Railway: its services, and what the policy does not keep."""

from __future__ import annotations

import logging
from dataclasses import dataclass

from postbase_operator.api.database import Database
from postbase_operator.api.upkeep import DeletionPolicy
from postbase_operator.errors import InvalidSpec
from postbase_operator.planning.observed import VolumeRole
from postbase_operator.railway import observe as observing
from postbase_operator.railway.graphql.models import EnvironmentState
from postbase_operator.railway.ground import Ground
from postbase_operator.railway.keyring import Keyring
from postbase_operator.railway.lifecycle import taking_away
from postbase_operator.railway.sql.servers import Servers
from postbase_operator.railway.wal.archive_books import ArchiveBooks
from postbase_operator.railway.wal.archiving import Archiving

logger = logging.getLogger(__name__)


@dataclass(slots=True)
class Leaving:
    """One for all Databases of the platform."""

    servers: Servers
    keyring: Keyring
    books: ArchiveBooks
    archiving: Archiving

    async def take_away(self, ground: Ground, db: Database, *, keep: bool) -> bool:
        """The proxies, the services, then what the policy, or `keep`, does not keep. True once
        nothing of it is there. What was never ours, or has another's marker, is left as it is."""
        try:
            state, family = await ground.family(db, fresh=True)
        except InvalidSpec as error:
            extra = {"object": str(db.metadata.name), "error": str(error)}
            logger.warning("left alone on Railway", extra=extra)
            return True
        if family.parts:
            await self.servers.checkpoint(ground, db)
            for part in family.parts:
                whole = part.role is not VolumeRole.FILLING
                await taking_away.delete_service(ground, db, part, state, whole=whole)
            return False
        taking_away.wait_for_service(ground, db)
        if not await self.archiving.is_gone(ground, db):
            return False
        if parts := observing.parts_of_volumes(state, ground.name(db)):
            await taking_away.delete_volumes(ground, parts)
            return False
        return await self._end(ground, db, state, keep=keep)

    async def _end(
        self, ground: Ground, db: Database, state: EnvironmentState, *, keep: bool
    ) -> bool:
        own = observing.own_volumes(state, ground.name(db))
        policy, stays = db.spec.deletion_policy, db.spec.retain_volume_for is not None
        backed_up = policy is DeletionPolicy.FINAL_BACKUP and not stays
        delete = (policy is DeletionPolicy.DELETE or backed_up) and not keep
        if own and delete:
            await taking_away.delete_volumes(ground, own)
            return False
        known = db.status.railway.volume_id if db.status.railway is not None else None
        known = None if known is not None and observing.is_gone(state, known) else known
        kept = [each.volume.name for each in own] or ([known] if known is not None else [])
        if kept and not delete:  # by the status, too: Railway may show a volume late
            await self.keyring.keep(db, kept)
        else:
            await self.keyring.let_go(db)
        if policy is DeletionPolicy.DELETE and not keep:
            await self.books.give_up(db)
        self.servers.forget(db)
        self.archiving.forget(db)
        return True
