"""What the WAL receiver is told, and what it tells. PURE.

`receiver.json` lies in the Database's ConfigMap, beside the server's settings; `/status` answers
with the report. Neither holds a secret: keys and certificates are mounted files.
"""

from __future__ import annotations

from enum import StrEnum
from typing import ClassVar

from pydantic import Field, NonNegativeFloat, NonNegativeInt, model_validator

from postbase_operator.api.database_status import ReceiverState
from postbase_operator.api.policies import RecoveryPoint
from postbase_operator.api.scalars import LSN, Instant
from postbase_operator.archive.keys import Archive
from postbase_operator.archive.record import Owner, Part, Record

CONFIG_FILE = "receiver.json"
SLOT = "postbase_walrx"
ROLE = "postbase_walrx"
"""The role with REPLICATION that the receiver, and the Job of a physical backup, log in as."""
APPLICATION = "postbase_walrx"
"""The receiver's application_name: what synchronous_standby_names waits for under `Zero`."""
PORT = 8432
"""Where the report can be asked for, over TLS with a token."""
STOPPING_MARK = "/tmp/stopping"  # noqa: S108 - the pod's own
"""A file that the sidecar's preStop hook makes: the pod goes, and so will the server."""
TOKEN_KEY = "receiver-token"  # noqa: S105 - the name of a key of Secret <db>-tls, not a token


class ArchiveOwner(Part):
    """Whose archive it is: an Owner without the time at which it was taken."""

    database_uid: str
    system_id: str
    incarnation: str
    cluster: str
    namespace: str
    name: str

    @property
    def archive(self) -> Archive:
        return Archive(self.database_uid, self.incarnation)

    def at(self, moment: Instant) -> Owner:
        """What owner.json says when it is written at `moment`."""
        return Owner(created_at=moment, **self.model_dump())


class ReceiverConfig(Record):
    """receiver.json. Where `enabled` is false the rest may be absent."""

    title: ClassVar[str] = CONFIG_FILE

    enabled: bool = False
    rpo: RecoveryPoint = RecoveryPoint.ASYNC
    fallback_after_seconds: int | None = Field(None, gt=0)
    """Zero: seconds without the store until the receiver says `suspended`."""
    grace_seconds: int = Field(300, gt=0)
    """The pod's grace: how long a planned stop may wait for the store."""
    owner: ArchiveOwner | None = None
    project: str | None = None
    """The Project's public id."""

    @model_validator(mode="after")
    def _says_whose(self) -> ReceiverConfig:
        if self.enabled and self.owner is None:
            raise ValueError("a receiver that is enabled needs to know its owner")
        return self


class FailureReason(StrEnum):
    """Why the log does not get into the archive; words that a machine can match."""

    STORE_UNAVAILABLE = "StoreUnavailable"
    STORE_DENIED = "StoreDenied"
    SERVER_UNREACHABLE = "ServerUnreachable"
    SERVER_DENIED = "ServerDenied"
    SLOT_LOST = "SlotLost"
    SLOT_IN_USE = "SlotInUse"
    OWNER_CONFLICT = "OwnerConflict"
    ROLLBACK = "Rollback"
    SPLIT_BRAIN = "SplitBrain"
    INVALID_CONFIG = "InvalidConfig"
    FAILED = "Failed"


class Failure(Part):
    """The last thing that went wrong."""

    reason: FailureReason
    message: str
    at: Instant


class ReceiverReport(Record):
    """/status. Positions are absent until they are known; times are the server's."""

    title: ClassVar[str] = "the receiver's report"

    state: ReceiverState
    started_at: Instant
    writer: str
    """Version of the receiver's release."""
    timeline: NonNegativeInt | None = None
    received_lsn: LSN | None = None
    durable_lsn: LSN | None = None
    """All before it is in the archive, without a hole, and acknowledged to the server."""
    server_lsn: LSN | None = None
    lag_bytes: NonNegativeInt = 0
    lag_seconds: NonNegativeFloat = 0.0
    """Age of the oldest byte that is not durable; 0 where all is."""
    last_commit_at: Instant | None = None
    """Of the last commit that is durable."""
    covered_until: Instant | None = None
    """Nothing newer than `durable_lsn` existed at this moment."""
    last_segment: str | None = None
    segments_archived: NonNegativeInt = 0
    bytes_received: NonNegativeInt = 0
    """Since archiving was switched on, over restarts."""
    errors: NonNegativeInt = 0
    last_error: Failure | None = None
    store_failing_since: Instant | None = None
    suspended: bool = False
    """Zero with fallbackAfter: the promise is not kept at present."""
    slot_lost: bool = False
    """The server had removed log that was not archived: there is a gap."""
    stopping: bool = False
