"""The archives of Databases on Railway, as its platform needs them; who has the stores gives them.

They lie in the same object stores as all others, in the same places; their receiver is elsewhere.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from postbase_operator.api.database import Database
from postbase_operator.archive.receiver import ReceiverReport
from postbase_operator.planning.archive_observed import ArchiveSeen, Earlier, Silence


class ArchiveBooks(Protocol):
    """What the store raises is told in what is answered."""

    def wants(self, db: Database) -> bool:
        """Its Project and its spec ask for archiving."""
        ...

    async def store(self, db: Database) -> Mapping[str, str]:
        """Where the store is and how one gets in, by the keys of the Secret of Jobs. Raises
        InvalidSpec where there is none, or where what it names is missing."""
        ...

    async def look(
        self,
        db: Database,
        system_id: str,
        report: ReceiverReport | None,
        silence: Silence | None,
    ) -> ArchiveSeen | None:
        """None where there is no store. Listed where the receiver has said something."""
        ...

    async def earlier(self, db: Database) -> Earlier:
        """What the catalogue has of Databases of this name that are gone."""
        ...

    async def enter(self, db: Database) -> None:
        """The catalogue knows of it; where the store is away, later."""
        ...

    async def give_up(self, db: Database) -> None:
        """Whoever deletes it wants the next of its name to begin empty."""
        ...

    def forget(self, db: Database) -> None: ...
