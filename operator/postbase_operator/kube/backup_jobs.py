"""From a backup's Job and pod to what its planner knows. PURE: bodies in, facts out."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime

from postbase_operator.archive.record import UnreadableRecord
from postbase_operator.archive.run import VARIABLE, BackupRun, LastWord
from postbase_operator.desired.backup_job import PROGRAM
from postbase_operator.kube.kinds import Body
from postbase_operator.planning.backup_observed import JobState, RunState

JOB_NAME = "batch.kubernetes.io/job-name"


def pod_of(job: Body, pods: Iterable[Body]) -> Body | None:
    """The pod of a Job; there is never more than one (backoffLimit 0)."""
    name = job["metadata"]["name"]
    own = (pod for pod in pods if (pod["metadata"].get("labels") or {}).get(JOB_NAME) == name)
    return next(own, None)


def source_bytes(job: Body) -> int | None:
    """How much there is to read, as the run has been told; None where a later release wrote it."""
    for container in job["spec"]["template"]["spec"]["containers"]:
        for variable in container.get("env") or []:
            if variable["name"] == VARIABLE:
                return _told(variable.get("value", ""))
    return None


def _told(run: str) -> int | None:
    try:
        return BackupRun.from_bytes(run.encode()).server.source_bytes
    except UnreadableRecord:
        return None


def state_of(job: Body, pod: Body | None) -> JobState:
    """The attempt, as far as it has come, and why it ended where it did."""
    meta, status = job["metadata"], job.get("status") or {}
    attempt = int(meta["name"].rpartition("-")[2])
    since = _moment(meta.get("creationTimestamp")) or datetime.now(UTC)
    if "deletionTimestamp" in meta:
        return JobState(attempt, RunState.STOPPING, since)
    ended = {c["type"]: c for c in status.get("conditions") or [] if c["status"] == "True"}
    if "Complete" in ended:
        when = _moment(ended["Complete"].get("lastTransitionTime"))
        return JobState(attempt, RunState.SUCCEEDED, since, when)
    if "Failed" in ended:
        reason, message = _why(ended["Failed"], pod)
        when = _moment(ended["Failed"].get("lastTransitionTime"))
        return JobState(attempt, RunState.FAILED, since, when, reason, message)
    if pod is not None and "running" in _program(pod).get("state", {}):
        return JobState(attempt, RunState.RUNNING, since)
    reason, message = waits_for(pod)
    return JobState(attempt, RunState.WAITING, since, reason=reason, message=message)


def _why(condition: Body, pod: Body | None) -> tuple[str, str]:
    """Our program's last word; else what the platform did to the pod; else what the Job says."""
    if condition.get("reason") == "DeadlineExceeded":
        return "DeadlineExceeded", condition.get("message", "")
    status: Body = (pod or {}).get("status") or {}
    if status.get("reason"):  # Evicted, NodeLost, …
        return str(status["reason"]), str(status.get("message", ""))
    ended: Body = _program(pod or {}).get("state", {}).get("terminated") or {}
    try:
        word = LastWord.from_bytes(str(ended.get("message") or "").encode())
    except UnreadableRecord:
        reason = str(ended.get("reason") or condition.get("reason") or "Failed")
        code = ended.get("exitCode")
        said = f"the backup's program ended with {code}" if code is not None else ""
        return reason, said or str(condition.get("message", ""))
    return word.reason, word.message


def waits_for(pod: Body | None) -> tuple[str, str]:
    """The platform's word and sentence for why a pod has not begun."""
    if pod is None:
        return "Pending", "the Job has no pod yet"
    status: Body = pod.get("status") or {}
    for condition in status.get("conditions") or []:
        if condition["type"] == "PodScheduled" and condition["status"] == "False":
            return condition.get("reason", "Pending"), condition.get("message", "")
    containers = [
        *(status.get("initContainerStatuses") or []),
        *(status.get("containerStatuses") or []),
    ]
    for each in containers:
        waiting: Body = each.get("state", {}).get("waiting") or {}
        if waiting.get("reason") not in (None, "PodInitializing", "ContainerCreating"):
            return str(waiting["reason"]), str(waiting.get("message", ""))
    return "Starting", ""


def _program(pod: Body) -> Body:
    statuses = (pod.get("status") or {}).get("containerStatuses") or []
    found: Body = next((each for each in statuses if each["name"] == PROGRAM), {})
    return found


def _moment(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None
