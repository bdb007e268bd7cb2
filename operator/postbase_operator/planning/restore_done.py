"""How a PitrRestore that was done is known again, so that Git cannot make it run twice. PURE.

A cluster that is built again from Git brings it back with an empty status. Its name and its spec
are the mark, kept in the Database's status.finishedRuns. See backup_done.py.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from postbase_operator.api.database import Database
from postbase_operator.api.database_status import FinishedRun, RunKind
from postbase_operator.api.pitr_restore import PitrRestore
from postbase_operator.api.runs import RunPhase, spec_hash
from postbase_operator.planning.backup_done import REMEMBERED


def was_done(restore: PitrRestore, db: Database) -> bool:
    return _mark(restore) in {(r.kind, r.name, r.spec_hash) for r in db.status.finished_runs}


def remember(
    held: Sequence[FinishedRun], restores: Iterable[PitrRestore]
) -> tuple[FinishedRun, ...]:
    """finishedRuns with those that are done; a dry run may be repeated and is none of them."""
    known = {(run.kind, run.name, run.spec_hash) for run in held}
    new = [
        FinishedRun(
            kind=RunKind.PITR_RESTORE,
            name=restore.metadata.name,
            spec_hash=spec_hash(restore.spec),
            id=restore.id,
            completed_at=restore.status.completed_at,
        )
        for restore in restores
        if restore.status.phase is RunPhase.COMPLETED
        and not restore.spec.dry_run
        and _mark(restore) not in known
    ]
    return (*new, *held)[:REMEMBERED]


def _mark(restore: PitrRestore) -> tuple[RunKind, str, str]:
    return RunKind.PITR_RESTORE, restore.metadata.name, spec_hash(restore.spec)
