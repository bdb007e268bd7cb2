"""What an attempt at a backup comes to that the receiver's service takes. PURE.

The order says that there is one; the deployment, whether a process may have it; the process's word
in the log, how it does. Whether it is whole only the bucket knows, which is asked by others.
"""

from __future__ import annotations

from datetime import datetime

from postbase_operator.api.backup import Backup
from postbase_operator.api.runs import RunPhase
from postbase_operator.archive.backup_order import BackupOrder, BackupWord
from postbase_operator.planning.backup_observed import JobState, RunState
from postbase_operator.railway.graphql.deployments import Deployment, Standing

WAITS = {
    None: "The receiver on Railway, which takes it, has no deployment yet",
    Standing.COMING: "The receiver on Railway, which takes it, is being deployed with the order",
    Standing.RUNNING: "The receiver on Railway, which takes it, has not begun it yet",
    Standing.FAILED: "The deployment of the receiver on Railway, which takes it, has failed; its "
    "log is on Railway's page of the service",
    Standing.STOPPED: "The receiver on Railway, which takes it, is stopped",
    Standing.GONE: "The receiver on Railway, which takes it, is being removed",
}
ENDED = (Standing.FAILED, Standing.STOPPED)
APPLIES = "Railway applies the commit that tells the receiver to take it"
CUT_OFF = "the process that took it has ended in the middle, and is not started again"


def counts(order: BackupOrder | None, backup: Backup, now: datetime) -> bool:
    """It is this Backup's, and can still be taken by whoever finds it."""
    return order is not None and order.is_of(backup.id) and now < order.until


def of_order(
    order: BackupOrder, deployment: Deployment | None, word: BackupWord | None
) -> JobState:
    """`word`: its last one, in the log of this deployment."""
    made, attempt = order.made_at, order.attempt
    if word is not None and word.ended:
        ended = RunState.FAILED if word.reason else RunState.SUCCEEDED
        return JobState(attempt, ended, made, word.at, word.reason, word.message)
    standing = deployment.standing if deployment is not None else None
    changed = deployment.status_updated_at if deployment is not None else None
    if word is not None and standing in ENDED:
        return JobState(attempt, RunState.FAILED, made, changed, "Interrupted", CUT_OFF)
    if word is not None:
        return JobState(attempt, RunState.RUNNING, made)
    # A process that comes anew finds an order that may be hours old: it has not waited for those.
    since = max(made, changed) if changed is not None else made
    return JobState(attempt, RunState.WAITING, since, reason="Pending", message=WAITS[standing])


def of_ended(order: BackupOrder, backup: Backup) -> JobState | None:
    """Of a Backup that has ended, or goes: an order that still counts would be carried out by the
    next process. A whole one is only found to be whole, as long as its bytes are there."""
    if backup.status.phase is RunPhase.COMPLETED and not backup.metadata.is_deleting:
        return None
    return JobState(order.attempt, RunState.RUNNING, order.made_at)


def on_its_way(attempt: int, now: datetime) -> JobState:
    return JobState(attempt, RunState.WAITING, now, reason="Pending", message=APPLIES)


def rejected(attempt: int, now: datetime, why: str) -> JobState:
    return JobState(attempt, RunState.FAILED, now, now, "RailwayRefused", why)


def stopping(attempt: int, since: datetime) -> JobState:
    return JobState(attempt, RunState.STOPPING, since)
