"""What a planner answers: steps for the platform, a status for the object, when to look again.

Steps are values and platform-neutral. Each is idempotent, and each run plans anew from what it
finds, so that a kill between any two of them costs a repetition and nothing else.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Generic, TypeVar

from postbase_operator.api.backup import Backup
from postbase_operator.archive.wish import NOTHING, ArchivingWish
from postbase_operator.planning.restore_steps import (
    CreateDatabase as CreateDatabase,
)
from postbase_operator.planning.restore_steps import (
    DropDatabases as DropDatabases,
)
from postbase_operator.planning.restore_steps import (
    EndFill as EndFill,
)
from postbase_operator.planning.restore_steps import (
    FailVolume as FailVolume,
)
from postbase_operator.planning.restore_steps import (
    FillVolume as FillVolume,
)
from postbase_operator.planning.restore_steps import (
    LoadBackup as LoadBackup,
)
from postbase_operator.planning.restore_steps import (
    PinLog as PinLog,
)
from postbase_operator.planning.restore_steps import (
    PromoteVolume as PromoteVolume,
)
from postbase_operator.planning.restore_steps import (
    RecoverVolume as RecoverVolume,
)
from postbase_operator.planning.restore_steps import (
    SwapDatabases as SwapDatabases,
)

Status = TypeVar("Status")


@dataclass(frozen=True, slots=True)
class EnsureSecrets:
    """Certificate authority, server certificate and credentials exist. Leaves: Secrets.

    `first`: the Database has no volume yet, so that none of them can be in use.
    """

    first: bool = False


@dataclass(frozen=True, slots=True)
class CreateVolume:
    """A new, empty volume for this Database. Leaves: the volume, marked current.

    With `restore` (the UID of whose wish it is) marked filling: it is to hold what is restored.
    """

    generation: int
    restore: str = ""


@dataclass(frozen=True, slots=True)
class AdoptVolume:
    """The volume of a Database that is gone becomes this one's. Leaves: its labels and UID."""

    volume: str


@dataclass(frozen=True, slots=True)
class LabelVolume:
    """The labels by which the volume is found are put back."""

    volume: str


@dataclass(frozen=True, slots=True)
class GrowVolume:
    """The volume's request is raised to the spec's size. Leaves: the request; growth follows."""

    volume: str


@dataclass(frozen=True, slots=True)
class ApplyWorkload:
    """Everything that runs on the volume, as the spec has it now.

    `system_id` "" lets a database be made on the volume; anything else must be found there.
    `image` is the digest to run, "" for what the spec's tag means now.
    `stopped`: a restore wants PostgreSQL stopped for now, whatever the spec says.
    """

    volume: str
    system_id: str
    image: str = ""
    archiving: ArchivingWish = NOTHING
    stopped: bool = False


@dataclass(frozen=True, slots=True)
class RecordOrigin:
    """The volume remembers whose data it holds: from then on nothing else starts on it.

    And the image that serves it, by digest and by tag, as the C library's collations depend on it;
    with it an upgrade is over. "" leaves each as it is.
    `keep`: what deletes the claim (its namespace, a person) must not delete the volume.
    """

    volume: str
    system_id: str = ""
    image: str = ""
    tag: str = ""
    keep: bool = False


@dataclass(frozen=True, slots=True)
class BeginUpgrade:
    """The next start learns anew what the image's tag means. Leaves: the volume's note of it.

    `process` is the identity of the one to be replaced.
    """

    volume: str
    request: str
    process: str


@dataclass(frozen=True, slots=True)
class SetUpAccess:
    """Owner, login and database as wanted. Leaves: roles and a database.

    Not `with_database`: one is being restored, and takes its name when it is whole.
    """

    with_database: bool = True


@dataclass(frozen=True, slots=True)
class BeginRotation:
    """A next login is noted beside the present one. Leaves: the note, with the request's value."""

    value: str


@dataclass(frozen=True, slots=True)
class FinishRotation:
    """The noted login, which works by now, is the one to connect with; the former stays open for
    the overlap. Leaves: the Secret."""


@dataclass(frozen=True, slots=True)
class CreateExtensions:
    """The named extensions exist in the application's database."""

    names: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class PokeConfig:
    """The process's mounted files are brought up to `revision` now, not in a minute."""

    revision: str


@dataclass(frozen=True, slots=True)
class PokeReceiver:
    """The sidecar's files likewise; PostgreSQL hears nothing of it."""

    revision: str


@dataclass(frozen=True, slots=True)
class RestartReceiver:
    """The receiver's process anew, where it is no sidecar. Leaves nothing that shows it: killed
    before the status is written it is done once more, which costs a reconnection and no log.

    `request`: the value that asked for it.
    """

    request: str


@dataclass(frozen=True, slots=True)
class BringStore:
    """The Secret by which the sidecar reaches the object store is as its sources are now."""


@dataclass(frozen=True, slots=True)
class EnterCatalogue:
    """The object store's catalogue knows of the Database. Leaves: an object that never changes."""


@dataclass(frozen=True, slots=True)
class DropSlot:
    """The receiver's slot goes, where nobody reads from it; else at the next look."""


@dataclass(frozen=True, slots=True)
class ReloadConfig:
    """PostgreSQL reads its mounted files again."""


@dataclass(frozen=True, slots=True)
class ReplaceProcess:
    """A process that cannot come up, and would in its present description, is made anew."""


@dataclass(frozen=True, slots=True)
class AbandonProcess:
    """A process on a node that is gone is given up without an answer. Leaves: a new one elsewhere.

    `identity` is that of the process which is meant.
    """

    identity: str


@dataclass(frozen=True, slots=True)
class RestartProcess:
    """PostgreSQL is stopped cleanly, after a checkpoint, and started anew. Leaves: a new process.

    `identity` is that of the process which is meant: another one by then is left alone.
    """

    identity: str


@dataclass(frozen=True, slots=True)
class ResizeProcess:
    """CPU and memory of the running process become the spec's, without a restart."""


@dataclass(frozen=True, slots=True)
class UpgradeSidecar:
    """The sidecar of the running process gets the present image; PostgreSQL runs on."""


@dataclass(frozen=True, slots=True)
class CreateBackup:
    """The Backup of a scheduled minute. Leaves: it; that there is one of its name is as well."""

    backup: Backup


@dataclass(frozen=True, slots=True)
class ExpireBackup:
    """A Backup that is over is deleted. `bytes`: what it stored goes too."""

    name: str
    bytes: bool


Step = (
    EnsureSecrets
    | CreateVolume
    | FillVolume
    | RecoverVolume
    | PinLog
    | PromoteVolume
    | FailVolume
    | EndFill
    | LoadBackup
    | SwapDatabases
    | DropDatabases
    | CreateDatabase
    | AdoptVolume
    | LabelVolume
    | GrowVolume
    | ApplyWorkload
    | RecordOrigin
    | BeginUpgrade
    | SetUpAccess
    | BeginRotation
    | FinishRotation
    | CreateExtensions
    | PokeConfig
    | PokeReceiver
    | RestartReceiver
    | BringStore
    | EnterCatalogue
    | DropSlot
    | ReloadConfig
    | ReplaceProcess
    | RestartProcess
    | AbandonProcess
    | ResizeProcess
    | UpgradeSidecar
    | CreateBackup
    | ExpireBackup
)


@dataclass(frozen=True, slots=True)
class Notice:
    """A Kubernetes Event worth posting: something changed that a person may want to know."""

    type: str  # Normal | Warning
    reason: str
    message: str


@dataclass(frozen=True, slots=True)
class Plan(Generic[Status]):
    """`requeue_after` is in seconds; None means: when something changes."""

    status: Status
    steps: tuple[Step, ...] = ()
    requeue_after: float | None = None
    notices: tuple[Notice, ...] = ()
