"""Which branch of the log is the present one, when a restore is asked for. PURE.

For some seconds after a restore or its undo the archive still looks as before: its newest objects
are of the branch that was just left. Who receives the log knows better.
"""

from __future__ import annotations

from datetime import datetime

from postbase_operator.api.pitr_restore import PitrRestore
from postbase_operator.api.restore_status import RestoreReason
from postbase_operator.planning.archived import Offer
from postbase_operator.planning.observed import Observed, ProcessState
from postbase_operator.planning.recovery import PATIENCE

UNSAID = Offer(
    reason=RestoreReason.WAITING_FOR_ARCHIVE.value,
    message="The WAL receiver has not said yet which timeline PostgreSQL writes",
    passing=True,
)


def written_timeline(seen: Observed) -> int | None:
    """By the receiver's report; None where it does not say."""
    report = seen.archive.report if seen.archive is not None else None
    return report.timeline if report is not None else None


def is_unsaid(restore: PitrRestore, seen: Observed, now: datetime) -> bool:
    """The receiver is about to say it, and has to be waited for. Not where a branch is named; and
    not for long: a receiver that is ill must not be in the way of a restore."""
    if not seen.archiving.receiver.enabled or seen.process.state is not ProcessState.RUNNING:
        return False
    made = restore.metadata.creation_timestamp or now
    return restore.spec.source.timeline is None and now - made < PATIENCE
