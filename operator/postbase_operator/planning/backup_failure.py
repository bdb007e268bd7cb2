"""What a failed run means: whether another try can help, after how long, and what to do. PURE."""

from __future__ import annotations

from datetime import timedelta

FINAL = frozenset(
    {
        "Conflict",
        "DeadlineExceeded",
        "Denied",
        "InvalidSpec",
        "NoObjectStore",
        "NoSuchBucket",
        "TLSFailed",
        "UnsupportedTablespaces",
        "UnsupportedVersion",
        "WrongRegion",
        "WrongServer",
    }
)
"""Another try would find the same: a person has to change something first. Every other reason is
tried again, known or not: Evicted, OOMKilled, NodeLost, StoreUnavailable, DumpFailed,
ChecksumMismatch."""

REMEDIES = {
    "Conflict": "something else writes to the same place of the bucket: give each installation a "
    "folder of its own (spec.objectStore.prefix)",
    "DatabaseDeleted": "the Database is gone; nothing is left to back up",
    "DatabaseNotFound": "see spec.databaseRef.name, and make another Backup",
    "DatabaseNotReady": "see the Database's condition Ready, and make another Backup",
    "DeadlineExceeded": "see whether the Database and the object store are fast enough, and make "
    "another Backup",
    "Denied": "see the rights of the object store's credentials (spec.objectStore of the Project)",
    "NoObjectStore": "set spec.objectStore of the Project, or the installation's",
    "NoSuchBucket": "see spec.objectStore.bucket of the Project",
    "OOMKilled": "the run was ended for lack of memory",
    "ProjectNotFound": "see spec.projectRef.name of the Database, and make another Backup",
    "PlanLimitExceeded": "raise spec.quota.backupGiB of the Project, or delete backups",
    "UnsupportedTablespaces": "take a Logical backup, or move all tables to the default tablespace",
}

BACK_OFF = (timedelta(minutes=1), timedelta(minutes=5))
"""Before the second attempt, and before each further one."""


def can_help(reason: str) -> bool:
    """Whether another try may come to another end."""
    return reason not in FINAL


def back_off(attempt: int) -> timedelta:
    """How long after the end of this attempt the next one begins."""
    return BACK_OFF[min(attempt, len(BACK_OFF)) - 1]


def told(reason: str, message: str) -> str:
    """The sentence for people, with the remedy where there is one."""
    return ". ".join(part for part in (message.rstrip("."), REMEDIES.get(reason)) if part)
