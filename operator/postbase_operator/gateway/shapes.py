"""What answers look like: the `data` of each, in the words of the API page; others are additive.

Times are RFC 3339 in UTC. A field that is not known is null, and never left out.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from postbase_operator.api.scalars import Instant

NAME = r"^[a-z][a-z0-9-]{1,48}[a-z0-9]$"
"""Of projects and databases; ids have a `_` in them, so that neither is taken for the other."""
Name = Annotated[str, Field(pattern=NAME, examples=["myapp"])]


class Shape(BaseModel):
    """An object of an answer."""

    model_config = ConfigDict(frozen=True, hide_input_in_errors=True)


class Health(Shape):
    name: str = "Postbase Cloud API"
    version: str
    status: Literal["healthy"] = "healthy"


class Deleted(Shape):
    id: str
    deleted: Literal[True] = True


class Deleting(Shape):
    id: str
    status: Literal["deleting"] = "deleting"


class DeviceStart(Shape):
    device_code: str
    user_code: str
    verification_uri: str
    expires_in: int
    interval: int


class Pending(Shape):
    """Not yet. `interval` is there where the client polls too fast: seconds to wait from now on."""

    status: Literal["pending"] = "pending"
    interval: int | None = None


class User(Shape):
    id: str
    github_id: int | None
    login: str
    email: str | None


class SignedIn(Shape):
    access_token: str
    token_type: Literal["Bearer"] = "Bearer"  # noqa: S105 - a word of OAuth's
    user: User


class Me(User):
    created_at: Instant
    plan: Literal["free", "pro"]


class Token(Shape):
    id: str
    name: str | None
    scopes: list[str]
    created_at: Instant
    expires_at: Instant | None
    last_used_at: Instant | None
    current: bool


class Tokens(Shape):
    tokens: list[Token]


class Region(Shape):
    name: str
    default: bool


class Regions(Shape):
    regions: list[Region]


class Project(Shape):
    id: str
    name: str
    created_at: Instant


class Page(Shape):
    """`next_cursor` goes into the next request's `cursor`; null at the end."""

    next_cursor: str | None = None


class Projects(Page):
    projects: list[Project]


class DatabaseStatus(StrEnum):
    PROVISIONING = "provisioning"
    RUNNING = "running"
    RESTORING = "restoring"
    PAUSED = "paused"
    DELETING = "deleting"
    FAILED = "failed"


class Config(Shape):
    """cpu in cores, memory in MiB, storage in GiB."""

    cpu: float
    memory: int
    storage: int


class Database(Shape):
    id: str
    name: str
    railway_service_id: str | None
    region: str | None
    status: DatabaseStatus
    created_at: Instant
    status_reason: str | None
    config: Config
    postgres_version: str | None


class Databases(Page):
    databases: list[Database]


class ConnectionUrl(Shape):
    host: str
    port: int
    database: str
    user: str
    connection_string: str


class Rotation(Shape):
    status: Literal["pending"] = "pending"
    request_id: str


class Event(Shape):
    at: Instant | None
    type: str
    reason: str
    message: str
    count: int


class Events(Shape):
    events: list[Event]


class Metrics(Shape):
    """As of `observed_at`; what nobody knows at present is null."""

    observed_at: Instant | None
    storage_capacity_bytes: int | None
    backups: int
    backup_bytes: int
    lag_seconds: float | None
    lag_bytes: int | None
    wal_bytes_received: int | None


class RunStatus(StrEnum):
    PENDING = "pending"
    RUNNING = "running"
    COMPLETED = "completed"
    FAILED = "failed"


class Backup(Shape):
    id: str
    type: Literal["automated", "manual"]
    status: RunStatus
    size_bytes: int | None
    created_at: Instant
    expires_at: Instant | None
    method: Literal["logical", "physical"]
    completed_at: Instant | None
    duration_seconds: int | None
    status_reason: str | None


class Backups(Page):
    backups: list[Backup]


class Download(Shape):
    download_url: str
    expires_at: Instant


class RecoveryWindow(Shape):
    from_: Instant | None = Field(alias="from")
    to: Instant | None


class PitrConfig(Shape):
    enabled: bool
    base_backup_id: str | None
    retention_days: int | None
    recovery_window: RecoveryWindow | None


class ReceiverStatus(StrEnum):
    STARTING = "starting"
    RUNNING = "running"
    RESTARTING = "restarting"
    STOPPED = "stopped"
    ERROR = "error"


class PitrEnabled(Shape):
    enabled: Literal[True] = True
    base_backup_id: str | None
    wal_receiver_status: ReceiverStatus


class PitrDisabled(Shape):
    enabled: Literal[False] = False


class WalArchive(Shape):
    filename: str
    size_bytes: int
    archived_at: Instant


class WalArchives(Page):
    archives: list[WalArchive]
    total_count: int
    total_size_bytes: int


class FullWindow(RecoveryWindow):
    base_backup_time: Instant | None
    latest_wal_time: Instant | None


class Receiver(Shape):
    """`live`: from the receiver itself; else as it was at `observed_at`."""

    status: ReceiverStatus
    started_at: Instant | None
    last_wal_file: str | None
    bytes_received: int
    errors: int
    lag_seconds: float
    live: bool
    observed_at: Instant | None


class Plan(Shape):
    """What a restore will do; null before it is known. Bytes, and seconds."""

    backup_id: str | None
    last_commit_time: Instant | None
    bytes: int | None
    wal_files: int | None
    estimated_seconds: int | None
    warnings: list[str]


class Restore(Shape):
    id: str
    type: Literal["pitr", "backup"]
    target_time: str | None
    status: RunStatus
    wal_files_applied: int | None
    started_at: Instant
    completed_at: Instant | None
    recovered_to: Instant | None
    percent: int | None
    status_reason: str | None
    target_name: str | None
    backup_id: str | None
    dry_run: bool
    plan: Plan | None


class Restores(Page):
    restores: list[Restore]


class RestoreStarted(Shape):
    restore_id: str
    status: RunStatus
    started_at: Instant


class PitrRestoreStarted(RestoreStarted):
    target_time: str
