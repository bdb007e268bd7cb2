"""What a platform sees of a Database at one moment: facts, no judgement, nothing of Kubernetes.

Both platforms fill these in; the planners read nothing else. None means "not there" or "could not
be asked"; where the difference matters there are two fields.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from postbase_operator.api.backup import Backup
from postbase_operator.api.database_status import RailwayStatus
from postbase_operator.archive.run import RecoveryProgress, RecoveryTask
from postbase_operator.archive.wish import NOTHING, ArchivingWish
from postbase_operator.planning.archive_observed import NONE_EARLIER, ArchiveSeen, Earlier
from postbase_operator.planning.archived import Offer
from postbase_operator.planning.backup_observed import JobState


class VolumeRole(StrEnum):
    """What a volume is to its Database; kept on the volume itself, the only place that survives."""

    CURRENT = "current"
    PREVIOUS = "previous"
    FILLING = "filling"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Volume:
    """A volume that carries this Database's name."""

    name: str
    generation: int
    """The n of `<db>-1-<n>`; rises with each volume and is never used twice."""
    role: VolumeRole | None
    database_uid: str
    system_id: str
    """PostgreSQL's system identifier, or "" until the operator has read it."""
    image: str
    """The digest of the image that serves it, or ""."""
    requested_bytes: int
    capacity_bytes: int
    deleting: bool = False
    kept: str = ""
    """"Retain": it outlives whatever deletes its claim; "denied": we have no right to see to it."""
    image_tag: str = ""
    """What that image was asked for by."""
    upgrade: str = ""
    """The request to upgrade the image that was last taken up."""
    upgrading: str = ""
    """The process that this upgrade replaces; the next one's image is learnt."""
    restore: str = ""
    """The restore, by its object's UID, that this volume was last meant for."""
    delete_after: datetime | None = None
    """When it goes, where that has been said."""
    labelled: bool = True
    """It bears the labels by which it is found; False where somebody has edited them."""

    @property
    def is_growing(self) -> bool:
        """More has been asked for than is there."""
        return self.capacity_bytes < self.requested_bytes


class ProcessState(StrEnum):
    """The postgres process, as far as the platform can tell."""

    ABSENT = "absent"
    WAITING = "waiting"
    STARTING = "starting"
    RUNNING = "running"
    FAILED = "failed"
    STOPPING = "stopping"


@dataclass(frozen=True, slots=True)
class Process:
    """The container (or service) that runs PostgreSQL."""

    state: ProcessState = ProcessState.ABSENT
    reason: str = ""
    """The platform's word for why it waits or failed: Unschedulable, ErrImagePull, …"""
    message: str = ""
    exit_code: int | None = None
    """Of the last end of the process, where it is not running."""
    identity: str = ""
    """Another after each replacement: the pod's UID."""
    address: str = ""
    claim: str = ""
    """The volume that it runs on."""
    image: str = ""
    image_digest: str = ""
    ready: bool = False
    since: datetime | None = None
    ends_by: datetime | None = None
    """Where it is being stopped: when the platform ends it at the latest."""
    outdated: bool = False
    """Made from an older description than the present one; a new process would be another."""
    waiting_changes: tuple[str, ...] = ()
    """What a new process would have otherwise, where this one is outdated: "image of postgres"."""
    sidecar_waits: bool = False
    """Its sidecar is of another image than a new process would have."""
    size_waits: bool = False
    """Its CPU or memory is not yet what was asked of the platform."""
    size_refused: str = ""
    """Why the platform cannot give it the size that it was asked for."""
    config_revision: str = ""
    """The revision that the platform was last told to bring to the process."""
    receiver_revision: str = ""
    """Likewise, of what the sidecar is told; "" where it never was told anything."""


@dataclass(frozen=True, slots=True)
class ServerFacts:
    """What a running PostgreSQL said of itself, in one look."""

    system_id: str
    version: str
    started_at: datetime
    in_recovery: bool
    loaded_revision: str
    mounted_revision: str
    """The revision of the mounted files; ahead of the loaded one until a reload."""
    certificate_renewed: bool = False
    """The mounted certificate is newer than the last reload."""
    pending_restart: tuple[str, ...] = ()
    copies: tuple[tuple[str, int], ...] = ()
    """Databases beside the application's that restores have made (archive/copies.py): each name,
    and what the one takes that is being filled, in bytes."""
    rejected: tuple[str, ...] = ()
    """Lines of the configuration that PostgreSQL refuses: "name: why"."""
    synchronous: bool = False
    """Commits wait for a standby, which the receiver is to the server."""
    slot: str = ""
    """The receiver's replication slot, by what PostgreSQL says of its log: reserved, extended,
    unreserved, lost, or new; "" where there is none."""


@dataclass(frozen=True, slots=True)
class Server:
    """The running server, held against what the Database wants of it."""

    facts: ServerFacts
    access_right: bool
    """Owner, login and database are as wanted."""
    missing_extensions: tuple[str, ...] = ()
    login_pending: bool = False
    """A next login is noted and not yet the one to connect with."""
    login_waits: bool = False
    """… and the server has not heard of it yet, as others bring it there."""
    rotation: str = ""
    """The request that the present login answers, or that the pending one will."""
    rotated_at: datetime | None = None
    password_given: bool = False
    """The user brings the password."""
    password_waits: bool = False
    """… and it is not the present or the pending login's yet."""
    lacks_database: bool = False
    """The application's database is not there …"""
    roles_right: bool = True
    """… though owner and login are as wanted."""
    used_bytes: int = 0
    """What databases and log take on the volume; 0: not measured."""


@dataclass(frozen=True, slots=True)
class Fill:
    """The latest attempt to fill a volume."""

    volume: str
    job: JobState
    system_id: str = ""
    """Whose data it has turned out to be, once it has ended well."""
    last_commit: str = ""
    """The last one that PostgreSQL says it has recovered."""
    task: RecoveryTask | None = None
    """What that is held against, where the platform still has what the attempt was told."""
    recovers: bool = False
    """The backup is there, and PostgreSQL replays the log."""
    staged: bool = False
    """All that is to be recovered is on the volume, and PostgreSQL is to be started on it. Only
    where nothing can stand beside it and fetch the log meanwhile (Railway)."""
    progress: RecoveryProgress | None = None
    content_seconds: int = 0
    """How long the backup was fetched and unpacked …"""
    replay_seconds: int = 0
    """… and recovered, once it has ended well."""


@dataclass(frozen=True, slots=True)
class Load:
    """The latest attempt to restore a dump into a database of its own. `restore`: whose, by
    archive.copies.mark()."""

    restore: str
    job: JobState
    generation: int = 0
    """Of the Database's spec that it was started for."""


@dataclass(frozen=True, slots=True)
class Access:
    """How clients get in: the Secret's name and the address that it holds."""

    secret: str
    host: str
    port: int


@dataclass(frozen=True, slots=True)
class Observed:
    """Everything that the Database's planner may know."""

    wanted_revision: str = ""
    """The revision of the configuration that the spec asks for …"""
    synchronous_revision: str = ""
    """… and of the same one where commits wait for the receiver."""
    archiving: ArchivingWish = NOTHING
    """What sidecar and server were last told of archiving."""
    archive: ArchiveSeen | None = None
    """None where there is no object store."""
    earlier: Earlier = NONE_EARLIER
    """Asked for only where there is no volume yet, and nothing says what to begin with."""
    access: Access | None = None
    volumes: tuple[Volume, ...] = ()
    foreign_volumes: tuple[str, ...] = ()
    """Volumes under this Database's name that belong to another Database's UID."""
    adoptable: Volume | None = None
    """The volume that spec.adoptVolume names, where the Database has none of its own."""
    adoptable_owner: str = ""
    """The Database that this volume belongs to, where that one still exists."""
    process: Process = field(default_factory=Process)
    fill: Fill | None = None
    """What fills a volume, where one is being filled."""
    stray_fills: tuple[str, ...] = ()
    """Runs that fill volumes which are gone, or going."""
    loads: tuple[Load, ...] = ()
    """What restores dumps, where something does."""
    source_backup: Backup | None = None
    """The Backup that spec.bootstrap names, where nothing of it serves yet."""
    source_archive: Offer | None = None
    """What the archive offers that spec.bootstrap names, where it has to be known now."""
    server: Server | None = None
    server_error: str = ""
    """Why `server` is None although the process runs."""
    unanswered_since: datetime | None = None
    """When the first of the looks that failed in a row was made."""
    railway: RailwayStatus | None = None
    """The ids of its parts on Railway, where it runs there."""

    @property
    def current(self) -> Volume | None:
        """The volume that serves: the highest generation marked so.

        A crash in the middle of a cut-over leaves two marked; the higher one is the newer truth.
        """
        marked = [v for v in self.volumes if v.role is VolumeRole.CURRENT and not v.deleting]
        return max(marked, key=lambda v: v.generation, default=None)

    @property
    def filling(self) -> Volume | None:
        """The volume that is being made out of a backup."""
        marked = [v for v in self.volumes if v.role is VolumeRole.FILLING and not v.deleting]
        return max(marked, key=lambda v: v.generation, default=None)

    @property
    def highest_generation(self) -> int:
        return max((v.generation for v in self.volumes), default=0)
