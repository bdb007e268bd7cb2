"""The steps of restores; plan.py has all others, and says what a step is. PURE."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from postbase_operator.api.database import Database
from postbase_operator.archive.keys import RecoveryEndKey
from postbase_operator.archive.run import RecoveryTask


@dataclass(frozen=True, slots=True)
class FillVolume:
    """A backup is fetched onto the volume and recovered there, with `recovery` on along the log.

    Leaves: a run of its own."""

    volume: str
    restore: str
    object_key: str
    attempt: int
    recovery: RecoveryTask | None = None


@dataclass(frozen=True, slots=True)
class RecoverVolume:
    """PostgreSQL is started on a volume that holds a backup and all of its log, and recovers.

    Leaves: its process in place of what has filled the volume."""

    volume: str
    restore: str


@dataclass(frozen=True, slots=True)
class PinLog:
    """A recovery that follows the log is told where it ends. Leaves: a note in the archive."""

    key: RecoveryEndKey
    end: str


@dataclass(frozen=True, slots=True)
class PromoteVolume:
    """The volume is the one that serves; all others that were are previous ones from now on.

    Leaves: the marks, this one's first. A kill in between leaves two, and the higher generation
    counts until the step is repeated. `keep_until`: how long the others stay.
    """

    volume: str
    system_id: str
    restore: str
    keep_until: datetime | None = None


@dataclass(frozen=True, slots=True)
class FailVolume:
    """What could not be filled goes. Leaves: nothing of it."""

    volume: str


@dataclass(frozen=True, slots=True)
class EndFill:
    """A run that fills a volume which is gone ends. Leaves: nothing of it."""

    run: str


@dataclass(frozen=True, slots=True)
class LoadBackup:
    """A dump is restored into a database of its own, beside the application's.

    `whole`: what it is called in the end. `limit`: bytes that all on the volume may take; None: not
    known.
    Leaves: a run of its own, and its database.
    """

    restore: str
    object_key: str
    attempt: int
    whole: str
    limit: int | None = None


@dataclass(frozen=True, slots=True)
class SwapDatabases:
    """The application's database is called `former` from now on, and `chosen` is the application's.

    In one transaction, with the sessions of both ended before. Leaves: the names.
    """

    chosen: str
    former: str


@dataclass(frozen=True, slots=True)
class DropDatabases:
    """Databases that restores have made go, with whoever is in them. Leaves: nothing of them."""

    names: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class CreateDatabase:
    """A Database that begins with a backup. Leaves: it; one of its name that is there is left."""

    database: Database
