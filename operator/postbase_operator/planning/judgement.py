"""How a Database is doing, in words: phase, readiness, reason, sentence. PURE.

One table from what is observed to what people and machines are told, in the order in which the
questions matter.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum, IntEnum

from postbase_operator.planning.observed import Observed, Process, ProcessState, Server


class Exit(IntEnum):
    """Exit codes of start.sh, where PostgreSQL was not started at all."""

    DATA_MISSING = 64
    VERSION_MISMATCH = 65
    PARAMETERS_REJECTED = 66
    VOLUME_IN_USE = 75


class Outlook(Enum):
    """kstatus' three ways: as wanted, on the way, waiting for a person."""

    READY = "ready"
    RECONCILING = "reconciling"
    STALLED = "stalled"
    PAUSED = "paused"


@dataclass(frozen=True, slots=True)
class Verdict:
    """`reason` is one CamelCase word; `message` a sentence that names the remedy where one is."""

    outlook: Outlook
    phase: str
    reason: str
    message: str


def reconciling(phase: str, reason: str, message: str) -> Verdict:
    return Verdict(Outlook.RECONCILING, phase, reason, message)


def stalled(reason: str, message: str) -> Verdict:
    return Verdict(Outlook.STALLED, "Failed", reason, message)


STARTING = "The pod is being made; PostgreSQL starts in it, or recovers from a crash"
DISK_FULL = "No space left on device"
NO_ROOM = (DISK_FULL, "could not write init file")
"""What a server says that runs on a full volume to who would log in; before 17 without a reason."""
SHARED_MEMORY = "shared memory segment"
"""Another place that may be full: no larger volume helps."""
OVERDUE = timedelta(seconds=60)
PATIENCE = timedelta(seconds=10)
"""For which a server that served may leave us without an answer, as on a node that is too busy."""
NODE_LOST = (
    "The pod should have ended and its node does not answer. Once that node is surely off, give "
    "it the taint node.kubernetes.io/out-of-service; or set spec.onNodeLoss: Replace where the "
    "storage fences a lost node"
)
OUT_OF_MEMORY = (
    "PostgreSQL was ended for lack of memory; raise spec.resources.memory, or lower what it takes "
    "(shared_buffers, work_mem for each sort of each session)"
)
ON_ITS_WAY = ("", "Pending", "ContainerCreating", "PodInitializing")
"""The kubelet's words for a pod that is coming up as it should: one word of ours for all of them,
since each other word would be a write of the status."""


def is_lost(process: Process, now: datetime) -> bool:
    """It should have ended long ago, by force if need be: its node does not answer."""
    return process.ends_by is not None and now - process.ends_by > OVERDUE


def hesitates(seen: Observed, now: datetime) -> bool:
    """The kubelet finds the server ready and we got no answer just now: no news, one looks again.

    Else one connection that timed out on a busy node would turn a Database unready and back.
    """
    since = seen.unanswered_since
    running = seen.process.state is ProcessState.RUNNING and seen.process.ready
    return running and since is not None and now - since < PATIENCE


def judge(seen: Observed, now: datetime, *, paused: bool) -> Verdict:
    """The verdict on a Database whose spec is acceptable and whose volume is its own."""
    if is_lost(seen.process, now):
        return reconciling("Running", "NodeLost", NODE_LOST)
    if paused:
        return _paused(seen.process)
    if switching(seen):
        return reconciling("Restoring", "Switching", "PostgreSQL moves to the restored volume")
    if seen.process.state is not ProcessState.RUNNING:
        return _not_running(seen)
    if seen.server is None:
        return _unanswered(seen)
    return _running(seen, seen.server)


def switching(seen: Observed) -> bool:
    """The process still runs on a volume that another one has taken the place of."""
    current, running_on = seen.current, seen.process.claim
    return current is not None and bool(running_on) and running_on != current.name


def _paused(process: Process) -> Verdict:
    if process.state is ProcessState.ABSENT:
        message = "Stopped because spec.paused is true; volume and Secrets are kept"
        return Verdict(Outlook.PAUSED, "Paused", "Paused", message)
    return reconciling("Paused", "Stopping", "PostgreSQL is being stopped")


def _is_new(seen: Observed) -> bool:
    return seen.current is None or not seen.current.system_id


def _not_running(seen: Observed) -> Verdict:
    process = seen.process
    phase = "Provisioning" if _is_new(seen) else "Running"
    match process.state:
        case ProcessState.FAILED:
            return _failed(seen, phase)
        case ProcessState.STOPPING:
            return reconciling(phase, "Restarting", "PostgreSQL is being stopped")
        case ProcessState.ABSENT | ProcessState.STARTING:
            return reconciling(phase, "Starting", STARTING)
    if process.reason in ON_ITS_WAY:
        return reconciling(phase, "Starting", STARTING)
    return reconciling(phase, process.reason or "Pending", process.message or "The pod is waiting")


def _unanswered(seen: Observed) -> Verdict:
    """It runs, and lets nobody in."""
    phase, why = "Provisioning" if _is_new(seen) else "Running", seen.server_error
    if any(words in why for words in NO_ROOM) and SHARED_MEMORY not in why:
        return _disk_full(seen, phase, why)
    told = why or "PostgreSQL runs and has not been asked yet"
    return reconciling(phase, "ServerUnreachable", told)


def _failed(seen: Observed, phase: str) -> Verdict:
    """PostgreSQL ended, or never began; the exit codes of start.sh say which way."""
    process = seen.process
    said = process.message or process.reason
    if DISK_FULL in said:
        return _disk_full(seen, phase, said)
    if process.reason == "OOMKilled":
        return reconciling(phase, "OutOfMemory", f"{OUT_OF_MEMORY}: {said}")
    match process.exit_code:
        case Exit.VOLUME_IN_USE:
            return reconciling(phase, "VolumeInUse", f"Another PostgreSQL holds the volume: {said}")
        case Exit.DATA_MISSING:
            return stalled("DataMissing", f"The volume does not hold this database's data: {said}")
        case Exit.VERSION_MISMATCH:
            return stalled("VersionMismatch", f"Data and image are of different majors: {said}")
        case Exit.PARAMETERS_REJECTED:
            return stalled("ParametersRejected", f"PostgreSQL cannot start with these: {said}")
    return reconciling(
        phase, "PostgresFailed", f"PostgreSQL ended with {process.exit_code}: {said}"
    )


def _disk_full(seen: Observed, phase: str, said: str) -> Verdict:
    """A person must give it room; once that is done it only takes time."""
    if seen.current is not None and seen.current.is_growing:
        return reconciling(phase, "VolumeGrowing", f"The volume was full and is growing: {said}")
    return stalled("VolumeFull", f"The volume is full; raise spec.storage.size: {said}")


def _running(seen: Observed, server: Server) -> Verdict:
    facts = server.facts
    new = "Provisioning" if _is_new(seen) or not server.access_right else "Running"
    if facts.in_recovery:
        return reconciling(new, "InRecovery", "PostgreSQL is replaying its log")
    held = seen.current.system_id if seen.current else ""
    if held and held != facts.system_id:
        return stalled(
            "DataMissing",
            f"The volume should hold system {held}, the server says {facts.system_id}",
        )
    if not held or not server.access_right:
        return reconciling(new, "SettingUp", "Roles and the database are being made")
    if server.missing_extensions:
        missing = ", ".join(server.missing_extensions)
        return reconciling("Running", "CreatingExtensions", f"Extensions to create: {missing}")
    wanted = seen.wanted_revision
    if facts.mounted_revision == wanted and facts.rejected:
        return stalled_settings(facts.rejected)
    if facts.loaded_revision != wanted:
        return reconciling("Running", "Reloading", "The new settings are being loaded")
    return Verdict(Outlook.READY, "Running", "Running", f"PostgreSQL {facts.version} answers")


def stalled_settings(rejected: tuple[str, ...]) -> Verdict:
    return Verdict(
        Outlook.STALLED,
        "Running",
        "ParametersRejected",
        "PostgreSQL refuses, and keeps its old settings: " + "; ".join(rejected),
    )
