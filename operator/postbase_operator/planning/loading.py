"""A database out of a logical backup: made and filled beside the application's. PURE.

The counterpart of filling.py, for dumps: what filling does to a volume this does to a database of
its own on the running server. Whether it is whole, its name says (archive/copies.py).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from postbase_operator.api.pitr_restore import PitrRestore
from postbase_operator.api.restore_status import RestoreStep
from postbase_operator.archive import copies
from postbase_operator.archive.copies import CopyKind, DatabaseCopy
from postbase_operator.planning import plan as steps
from postbase_operator.planning.backup_failure import back_off, can_help
from postbase_operator.planning.backup_observed import JobState, RunState
from postbase_operator.planning.observed import Observed
from postbase_operator.planning.plan import Step

ATTEMPTS = 3
NEVER_AGAIN = frozenset(
    {
        "BackupDamaged",
        "BackupMissing",
        "BackupNotLogical",
        "ChecksumMismatch",
        "ExtensionNotListed",
        "ExtensionUnavailable",
        "LocaleUnavailable",
        "RestoreFailed",
        "UnsupportedTablespaces",
        "VolumeFull",
        "VolumeTooSmall",
    }
)
"""Reasons that another attempt would only find again."""
FULL = 0.85
"""Of the volume: what a copy may fill it to. PostgreSQL stops where it is full, and what it writes
between two looks, and the file system itself, take room as well."""
SEEN_WITHIN = timedelta(minutes=2)
"""From the end of a run until the server shows what it has made."""


@dataclass(frozen=True, slots=True)
class Loading:
    """Where it stands. `ready`: the database is whole."""

    step: RestoreStep
    message: str
    todo: tuple[Step, ...] = ()
    ready: bool = False
    failed: str = ""
    """The reason for which it is given up."""
    again: float = 10.0


def there(seen: Observed) -> list[DatabaseCopy]:
    """The databases that restores have made; none where the server does not answer."""
    found = seen.server.facts.copies if seen.server is not None else ()
    parsed = (copies.parse(name) for name, _ in found)
    return [each for each in parsed if each is not None]


def bytes_loaded(seen: Observed, restore: str) -> int:
    """What the database takes that is being filled for this restore."""
    found = dict(seen.server.facts.copies) if seen.server is not None else {}
    return found.get(copies.restoring(restore), 0)


def loading(
    seen: Observed,
    restore: str,
    object_key: str,
    whole: str,
    now: datetime,
    generation: int = 0,
) -> Loading:
    """What is done now for the restore with this UID.

    `generation`, of the Database: where its spec has changed since the last failure, another try
    may help.
    """
    if seen.server is None:
        return Loading(RestoreStep.FILLING, "PostgreSQL does not answer")
    if whole in [name for name, _ in seen.server.facts.copies]:
        return Loading(RestoreStep.SWITCHING, "The copy is whole", ready=True, again=0.0)
    mine = [each for each in seen.loads if each.restore == copies.mark(restore)]
    last = max(mine, key=lambda each: each.job.attempt, default=None)
    if last is None:
        return _start(seen, restore, object_key, whole, 1)
    job = last.job
    if job.state is RunState.FAILED and last.generation < generation:
        return _start(seen, restore, object_key, whole, job.attempt + 1)
    if job.state is RunState.SUCCEEDED and now - (job.ended_at or job.since) < SEEN_WITHIN:
        return Loading(RestoreStep.VERIFYING, "The copy is whole, and is looked for", again=1.0)
    if job.state not in (RunState.FAILED, RunState.SUCCEEDED):
        return Loading(RestoreStep.FILLING, job.message or "The dump is being restored")
    return _after_failure(seen, restore, object_key, whole, job, now)


def _start(seen: Observed, restore: str, object_key: str, whole: str, attempt: int) -> Loading:
    run = steps.LoadBackup(restore, object_key, attempt, whole, _limit(seen))
    return Loading(RestoreStep.FILLING, "The dump is being fetched", (run,), again=5.0)


def _limit(seen: Observed) -> int | None:
    volume = seen.current
    if volume is None or not volume.capacity_bytes:
        return None
    return int(volume.capacity_bytes * FULL)


def _after_failure(
    seen: Observed, restore: str, object_key: str, whole: str, job: JobState, now: datetime
) -> Loading:
    lost = job.state is RunState.SUCCEEDED
    reason = "RestoreLost" if lost else job.reason or "RestoreFailed"
    message = "It ended well, and its database is not there" if lost else job.message
    final = reason in NEVER_AGAIN or not can_help(reason)
    if final or job.attempt >= ATTEMPTS:
        return Loading(RestoreStep.FILLING, message, failed=reason)
    due = (job.ended_at or job.since) + back_off(job.attempt)
    if now < due:
        wait = max(1.0, (due - now).total_seconds())
        told = f"Attempt {job.attempt} of {ATTEMPTS} failed ({reason}: {message})"
        return Loading(RestoreStep.FILLING, told, again=wait)
    return _start(seen, restore, object_key, whole, job.attempt + 1)


def leftovers(
    seen: Observed, restores: Sequence[PitrRestore], own: str, now: datetime
) -> list[Step]:
    """Databases that nobody needs: of restores that are gone or have ended, and former ones whose
    time is over. `own`: the Database's UID, while it begins with a dump; else ""."""
    open_ = [each for each in restores if not each.is_done() and not each.spec.dry_run]
    wanted = {copies.mark(each.metadata.uid) for each in open_} | {copies.mark(own)}
    undoes = any(each.spec.source.previous is not None for each in open_)
    over = [each.name for each in there(seen) if _is_over(each, wanted, now, undoes=undoes)]
    return [steps.DropDatabases(tuple(over))] if over else []


def _is_over(copy: DatabaseCopy, wanted: set[str], now: datetime, *, undoes: bool) -> bool:
    if copy.restore in wanted:
        return False  # by a former one, too, a restore sees that it has done its work
    if copy.kind is not CopyKind.BEFORE:
        return True
    return copy.until is not None and copy.until <= now and not undoes
