"""What the planner of a PitrRestore may know beside the object itself: facts, no judgement."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from postbase_operator.api.backup import Backup
from postbase_operator.api.database import Database
from postbase_operator.api.pitr_restore import PitrRestore
from postbase_operator.planning.archived import Offer, Stopped
from postbase_operator.planning.observed import Observed


@dataclass(frozen=True, slots=True)
class Rehearsed:
    """What the platform says to what a restore would make. Without a `reason` it would be made."""

    reason: str = ""
    message: str = ""
    unknown: str = ""
    """Why it could not say."""


ADMITTED = Rehearsed()


@dataclass(frozen=True, slots=True)
class RestoreSeen:
    """Everything that the planner of a PitrRestore may know beside the object itself."""

    db: Database | None
    seen: Observed
    backup: Backup | None = None
    """The one that source.backupRef names."""
    made: Database | None = None
    """The one that target.newDatabase names, where it is there."""
    others: Sequence[PitrRestore] = ()
    """Restores of the same Database, those that have ended as well."""
    backups: Sequence[Backup] = ()
    """All of the same Database."""
    offer: Offer | None = None
    """What the archive says to spec.source, while there is no plan yet."""
    rehearsed: Rehearsed = ADMITTED
    """What the platform says to what would be made, while there is no plan yet."""
    stopped: Stopped | None = None
    """Where the log ends, once PostgreSQL was stopped for the last part of it."""
