"""What restores on Railway ask of archives and of the cluster; who has both answers."""

from __future__ import annotations

from typing import Protocol

from postbase_operator.api.backup import Backup
from postbase_operator.api.database import Database
from postbase_operator.api.restore_status import RestorePlan
from postbase_operator.archive.run import RecoveryProgress
from postbase_operator.planning.archived import Offer, Stopped, Wish
from postbase_operator.planning.plan import PinLog


class RestoreBooks(Protocol):
    """Each that is async raises what the store raises, and InvalidSpec where there is none."""

    def backup(self, db: Database) -> Backup | None:
        """The one that spec.bootstrap names."""
        ...

    async def offer_for(self, db: Database) -> Offer:
        """What the archive says that spec.bootstrap names, of a Database that is to begin."""
        ...

    async def offer(self, db: Database, wish: Wish) -> Offer:
        """What the Database's own archive says to a wish."""
        ...

    async def stopped(self, db: Database, plan: RestorePlan) -> Stopped | None:
        """Where the Database's log ends in the archive."""
        ...

    async def progress(
        self, db: Database, object_key: str, restore: str
    ) -> RecoveryProgress | None:
        """How far the run is that fills a volume."""
        ...

    async def pin(self, db: Database, step: PinLog) -> None:
        """A recovery that follows the log is told where it ends."""
        ...

    async def keep_history(
        self, db: Database, object_key: str, timeline: int, content: bytes
    ) -> None:
        """Of a timeline that a recovery of this backup has begun: in its archive when it returns.
        Raises Conflict where another history of that number is there."""
        ...
