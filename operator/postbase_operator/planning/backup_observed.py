"""What a platform and the store know of one Backup at one moment: facts, and nothing of Kubernetes.

None means "not there"; where something could not be asked, a field of its own says so.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from postbase_operator.api.backup import Backup
from postbase_operator.api.database_status import FinishedRun
from postbase_operator.api.policies import BackupMethod
from postbase_operator.archive.keys import (
    Archive,
    LogicalStem,
    PhysicalFolder,
    parse_backup,
)
from postbase_operator.archive.record import BackupRecord, Progress


class RunState(StrEnum):
    """The process that takes the backup, as far as the platform can tell."""

    WAITING = "waiting"
    """Made, and not begun: no room on any node, an image that does not come."""
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    STOPPING = "stopping"


@dataclass(frozen=True, slots=True)
class JobState:
    """The latest attempt that is there."""

    attempt: int
    state: RunState
    since: datetime
    """When it was made."""
    ended_at: datetime | None = None
    reason: str = ""
    """One CamelCase word, of the process (DumpFailed, Denied) or of the platform (Evicted)."""
    message: str = ""
    progress: Progress | None = None

    @property
    def has_ended(self) -> bool:
        return self.state in (RunState.SUCCEEDED, RunState.FAILED)


@dataclass(frozen=True, slots=True)
class Source:
    """The Database that is to be backed up."""

    uid: str
    name: str
    project_id: str
    """`proj_…`; "" while its Project is not there."""
    incarnation: str
    """Which life of it is archived now."""
    is_running: bool = True
    """PostgreSQL answers."""
    is_deleting: bool = False
    size_bytes: int | None = None
    """What there is to read; None: not measured."""


@dataclass(frozen=True, slots=True)
class Trouble:
    """What the store, by its probe, or the platform refuses: a CamelCase word and a sentence."""

    reason: str
    message: str


@dataclass(frozen=True, slots=True)
class Limits:
    """How much runs at a time, and how long what may take."""

    concurrent: int = 10
    attempts: int = 3
    waiting: timedelta = timedelta(hours=1)
    """How long a Backup that cannot begin is Pending; queuing for a turn does not count."""
    starting: timedelta = timedelta(hours=1)
    """How long a run may take until its process is there."""
    least: timedelta = timedelta(hours=1)
    unmeasured: timedelta = timedelta(hours=24)
    bytes_per_second: int = 5 * 2**20
    """The slowest that is taken for progress: a run that is slower than that hangs."""

    def running(self, size_bytes: int | None) -> timedelta:
        """How long all attempts may take together."""
        if size_bytes is None:
            return self.unmeasured
        return max(self.least, timedelta(seconds=size_bytes / self.bytes_per_second))


@dataclass(frozen=True, slots=True)
class BackupSeen:
    """Everything that the planner of a Backup may know beside the Backup itself."""

    source: Source | None = None
    job: JobState | None = None
    record: BackupRecord | None = None
    """Of this very Backup: it is complete, whatever became of the process."""
    record_unknown: str = ""
    """Why the store could not say whether there is a record."""
    store: Trouble | None = None
    over_quota: str = ""
    """Why the Project may have no more (retention.quota)."""
    queued: str = ""
    """Why it is not this one's turn yet (backup_queue.turn)."""
    hindrance: Trouble | None = None
    """Why a step of the plan could not be done: planned once more with it, for the status."""
    done: FinishedRun | None = None
    """That a Backup of this name and spec was completed before (backup_done.done_before) …"""
    done_record: BackupRecord | None = None
    """… and its record, where it still is in the store."""
    verified_at: datetime | None = None
    """When every stored byte was last read back and found right."""
    is_needed: bool = False
    """A recovery window or a restore needs its bytes (retention.is_needed)."""
    namespace_going: bool = False


def place_of(backup: Backup, source: Source | None) -> PhysicalFolder | LogicalStem | None:
    """Where the backup lies, or will: as noted when it began, else as its Database is now."""
    if backup.status.object_key is not None:
        return parse_backup(backup.status.object_key)
    if source is None:
        return None
    if backup.spec.method is BackupMethod.PHYSICAL:
        return PhysicalFolder(Archive(source.uid, source.incarnation), backup.id)
    if not source.project_id:
        return None
    return LogicalStem(source.project_id, source.name, backup.id)
