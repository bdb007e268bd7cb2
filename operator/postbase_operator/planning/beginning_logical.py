"""A new Database that begins with a logical backup: made empty, then restored into. PURE.

PostgreSQL starts as for any new Database, but the application's database is not made: the one that
is being restored takes its name when it is whole. So whoever connects finds all of it, or nothing.
"""

from __future__ import annotations

from datetime import datetime

from postbase_operator.api.database import Database
from postbase_operator.api.policies import BackupMethod
from postbase_operator.api.runs import RunPhase
from postbase_operator.archive.copies import DATABASE
from postbase_operator.planning.judgement import Verdict, reconciling, stalled
from postbase_operator.planning.loading import Loading, loading
from postbase_operator.planning.observed import Observed
from postbase_operator.planning.plan import Step

PHASE = "Restoring"


def is_awaited(db: Database, seen: Observed) -> bool:
    """The application's database is to come out of a logical backup, and has not come yet."""
    wanted = db.spec.bootstrap.backup_ref if db.spec.bootstrap is not None else None
    server = seen.server
    if wanted is None or server is None or not server.lacks_database:
        return False
    backup = seen.source_backup
    return backup is None or backup.spec.method is BackupMethod.LOGICAL


def begin(
    db: Database, seen: Observed, verdict: Verdict, now: datetime
) -> tuple[Verdict, list[Step], float | None]:
    """What is told and done beside the usual, and when to look again, while it is awaited."""
    if not is_awaited(db, seen) or seen.server is None or not seen.server.roles_right:
        return verdict, [], None
    backup = seen.source_backup
    complete = backup is not None and backup.status.phase is RunPhase.COMPLETED
    if backup is None or not complete or backup.status.object_key is None:
        why = "spec.bootstrap.backupRef: the backup is gone, and no empty database is made instead"
        return stalled("BackupMissing", why), [], 30.0
    key, generation = backup.status.object_key, db.metadata.generation
    state = loading(seen, db.metadata.uid, key, DATABASE, now, generation)
    return _told(state), list(state.todo), state.again


def _told(state: Loading) -> Verdict:
    if state.failed:
        return stalled(state.failed, f"The backup could not be restored: {state.message}")
    return reconciling(PHASE, state.step.value, state.message)
