"""What is seen of a Database's archive, and of the receiver that fills it: facts, no judgement."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from postbase_operator.archive.receiver import ReceiverReport
from postbase_operator.planning.window import Log


@dataclass(frozen=True, slots=True)
class Silence:
    """The receiver gives no answer: since when, a CamelCase word, a sentence."""

    since: datetime
    reason: str
    message: str


@dataclass(frozen=True, slots=True)
class ArchiveSeen:
    """Of a Database that has an object store. None of it costs anything while PITR is off."""

    bucket: str = ""
    folder: str = ""
    """Of all the store's objects (spec.objectStore.prefix); "" is the bucket itself."""
    report: ReceiverReport | None = None
    silence: Silence | None = None
    """Why `report` is None; both None where the receiver has not been asked."""
    log: Log | None = None
    """As it was listed; None where it has not been yet."""
    listing_error: str = ""
    is_entered: bool = False
    """The catalogue has its entry."""
    watched: bool = True
    """Somebody calls for a look where an answer of the receiver is another one."""
    may_tell: bool = False
    """Moving figures may be written now: the last ones are old, and the budget has room."""


@dataclass(frozen=True, slots=True)
class Earlier:
    """What the catalogue says of Databases that had this name before."""

    archives: tuple[str, ...] = ()
    """UIDs of those that have something to restore from, and were not given up."""
    unknown: str = ""
    """Why the store could not say."""


NONE_EARLIER = Earlier()
